"""Planted truths, and the arrays a probe is given for them, by plain float64 NumPy."""

from typing import Any, Literal

import numpy as np

from tuiprobe.measure.arrays.tap_arrays import ShardSums, TapArrays

Array = np.ndarray[Any, Any]

WIDTH = 256


def gaussian(n: int = 1500, channels: int = WIDTH, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal((n, channels)).astype(np.float32)


def persistent(
    count: int, n: int = 1500, channels: int = WIDTH, offset: float = 20.0, seed: int = 0
) -> Array:
    """`count` channels lifted by `offset` sigma in every image."""
    h = gaussian(n, channels, seed)
    h[:, 5 : 5 + count] += offset
    return h


def sometimes(fraction: float = 0.2, n: int = 4000, channels: int = WIDTH, seed: int = 0) -> Array:
    """One channel far out in a part of the images."""
    h = gaussian(n, channels, seed)
    h[:, 7] += 20 * (np.random.default_rng(seed + 1).random(n) < fraction)
    return h


def moving(n: int = 1500, channels: int = WIDTH, seed: int = 0) -> Array:
    """One channel far out in every image, each time another."""
    h = gaussian(n, channels, seed)
    h[np.arange(n), np.random.default_rng(seed + 1).integers(0, channels, n)] += 20
    return h


def sparse(
    classes: int, n: int = 3000, channels: int = WIDTH, seed: int = 0
) -> tuple[Array, Array]:
    """Post-activation features of an ordinary CNN: few channels on, which ones by class."""
    rng = np.random.default_rng(seed)
    prototypes = rng.gamma(0.3, 1.0, (classes, channels))
    labels = np.arange(n) % classes
    h = prototypes[labels] * rng.gamma(2.0, 0.5, (n, channels)) + 0.3 * rng.standard_normal(
        (n, channels)
    )
    return np.maximum(h - 0.3, 0).astype(np.float32), labels


def shares(x: Array) -> Array:
    """s_nc of rows [..., C]."""
    z4 = (x - x.mean(-1, keepdims=True)) ** 4
    result: Array = z4 / z4.sum(-1, keepdims=True)
    return result


def kurtosis(x: Array) -> Array:
    d = x - x.mean(-1, keepdims=True)
    result: Array = (d**4).mean(-1) / (d**2).mean(-1) ** 2
    return result


def statistics(x: Array, k: int = 8) -> dict[str, Array]:
    """The flattened summary of images x[n, positions, C], straightforwardly."""
    x = np.asarray(x, dtype=np.float64)
    n, positions, channels = x.shape
    finite = np.isfinite(x)
    good = finite.all((1, 2)) & (x.max(2) > x.min(2)).all(1)
    s = np.zeros((n, channels))
    s[good] = shares(x[good]).mean(1)
    flat = np.where(finite, x, np.nan).reshape(-1, channels)
    count = finite.sum((0, 1))
    with np.errstate(all="ignore"):
        mean = np.nansum(flat, 0) / count
        var = np.nansum((flat - mean) ** 2, 0) / count
    out: dict[str, Any] = {
        "count": count,
        "mean": mean,
        "var": var,
        "min": np.where(count > 0, np.where(finite, x, np.inf).min((0, 1), initial=np.inf), np.nan),
        "max": np.where(
            count > 0, np.where(finite, x, -np.inf).max((0, 1), initial=-np.inf), np.nan
        ),
        "nonfinite": (~finite).sum((0, 1)),
        "sample_ids": np.arange(n),
        "sample_kurtosis": np.full(n, np.nan),
        "sample_self_share": (s**2).sum(1),
        "sample_leading": s.argmax(1),
        "share_sum": s.sum(0),
        "share_square_sum": np.float64((s**2).sum()),
        "leading_count": np.bincount(s[good].argmax(1), minlength=channels),
        "rows": np.int64(n * positions),
        "norm_histogram": np.zeros(96, dtype=np.int64),
        "degenerate": np.int64((~good).sum()),
    }
    out["sample_kurtosis"][good] = kurtosis(x[good]).mean(1)
    with np.errstate(all="ignore"):
        bins = np.floor(4 * np.log2(np.linalg.norm(x, axis=2).ravel())) + 32
    bins = bins[np.isfinite(bins)].clip(0, 95).astype(int)
    out["norm_histogram"] += np.bincount(bins, minlength=96)
    for name, sign in (("largest", -1), ("smallest", 1)):
        order = np.argsort(sign * np.where(finite, x, np.nan).max(1), axis=0, kind="stable")[:k]
        values = np.take_along_axis(x.max(1), order, 0)
        pad = [(0, k - order.shape[0]), (0, 0)]
        out[f"{name}_values"] = np.pad(values, pad, constant_values=np.nan).T
        out[f"{name}_sample_ids"] = np.pad(order, pad, constant_values=-1).T
        out[f"{name}_positions"] = np.zeros_like(out[f"{name}_sample_ids"])
    return out


def final(features: Array, labels: Array | None = None) -> TapArrays:
    """A final representation, features [n, C]."""
    features = np.asarray(features, dtype=np.float32)
    return TapArrays(
        set="val", tap="final", kind="vector", channels=features.shape[1],
        statistics=statistics(features[:, None]), final=True, rows=features,
        labels=None if labels is None else np.asarray(labels),
    )  # fmt: skip


def inner(
    x: Array,
    kind: Literal["token", "map"] = "token",
    tokens: Literal["all", "class", "mean"] = "all",
    shard: int = 32,
    rows: int = 4096,
) -> TapArrays:
    """An inner tap of images x[n, positions, C]."""
    x = np.asarray(x, dtype=np.float32)
    parts = [statistics(x[at : at + shard]) for at in range(0, len(x), shard)]
    sums = ShardSums(
        share_sum=np.array([p["share_sum"] for p in parts]),
        share_square_sum=np.array([p["share_square_sum"] for p in parts]),
        images=np.array([np.isfinite(p["sample_kurtosis"]).sum() for p in parts]),
    )
    return TapArrays(
        set="val", tap="blocks.3", kind=kind, tokens=tokens, channels=x.shape[2],
        statistics=statistics(x), final=False, rows=x[:rows, x.shape[1] // 2], shards=sums,
    )  # fmt: skip
