"""Related criteria beside ours, each as its authors define it.

Magnitude rules are about a transformer's residual stream: elsewhere they read "not run" with the
reason.
"""

from collections.abc import Sequence

import numpy as np

from tuiprobe.numbers import number
from tuiprobe.probes.inputs import Float64, Int64, TapArrays
from tuiprobe.probes.intervals import exact
from tuiprobe.probes.outliers.result import Criterion
from tuiprobe.results import Figure, NotRun, given

MASSIVE_MAGNITUDE, MASSIVE_RATIO = 100.0, 1000.0
INT8_LAYERS, INT8_POSITIONS = 0.25, 0.06
SIX_SIGMA = 6.0
LISTED = 32
REGISTERS = "registers"
"""Name of the criterion of tokens with large norms."""
NO_STREAM = "magnitude rules need a transformer's residual stream; this tap is not one"


def neighbouring(tap: TapArrays, kurtosis: Figure, reference: float) -> tuple[Criterion, ...]:
    """Returns the related criteria that one tap can answer.

    Args:
        tap: Statistics and sampled rows.
        kurtosis: Kappa of this tap.
        reference: Expected kappa after a random rotation.
    """
    return (
        massive_activations(tap),
        registers(tap),
        six_sigma(tap),
        privileged_basis(kurtosis, reference),
    )


def _largest_magnitude(tap: TapArrays) -> Float64:
    seen = tap.statistics["count"] > 0
    low, high = tap.statistics["min"], tap.statistics["max"]
    return np.where(seen, np.maximum(np.abs(low), np.abs(high)), 0.0)


def _rows(tap: TapArrays) -> int:
    """Returns the number of finite values of the channel that has most of them."""
    return int(np.asarray(tap.statistics["count"]).max(initial=0))


def _listed(mask: np.ndarray) -> tuple[int, ...]:
    return tuple(int(c) for c in np.flatnonzero(mask)[:LISTED])


def massive_activations(tap: TapArrays) -> Criterion:
    """Tests for magnitudes above 100 and about 1,000 times the median (Sun et al. 2024)."""
    note, met = "", None
    channels: tuple[int, ...] = ()
    figure: Figure
    if tap.kind != "token":
        figure = NotRun(reason=NO_STREAM)
    elif tap.tokens == "mean":
        figure = NotRun(reason="the mean over tokens levels magnitudes out")
    elif tap.rows is None or not np.isfinite(tap.rows).any():
        figure = NotRun(reason="no sampled rows to take the median magnitude from")
    else:
        magnitude = np.abs(tap.rows[np.isfinite(tap.rows)])
        median, largest = float(np.median(magnitude)), _largest_magnitude(tap)
        if median == 0:
            figure = NotRun(reason="the median magnitude is zero")
        else:
            hit = (largest > MASSIVE_MAGNITUDE) & (largest >= MASSIVE_RATIO * median)
            figure = exact(largest.max() / median, _rows(tap), "all rows; median from sampled rows")
            met, channels = bool(hit.any()), _listed(hit)
            note = f"largest magnitude {number(float(largest.max()))}, median {number(median)}"
    return Criterion(
        name="massive activations",
        source="Sun et al. 2024",
        rule="magnitude > 100 and about 1,000 times the median magnitude of the hidden state",
        figure=figure,
        unit="largest magnitude / median magnitude",
        met=met,
        channels=channels,
        note=note,
    )


def registers(tap: TapArrays) -> Criterion:
    """Looks for a second mode of large token norms (Darcet et al. 2024)."""
    met, note = None, ""
    figure: Figure
    if tap.kind != "token":
        figure = NotRun(reason=NO_STREAM)
    elif tap.tokens != "all":
        figure = NotRun(reason="needs the norms of all tokens")
    else:
        histogram = np.asarray(tap.statistics["norm_histogram"], dtype=np.int64)
        total = int(histogram.sum())
        cut = second_mode(histogram)
        if total == 0:
            figure = NotRun(reason="no tokens")
        else:
            above = 0 if cut is None else int(histogram[cut:].sum())
            met = cut is not None
            figure = exact(above / total, total, "count over all tokens", "share")
            if cut is not None:
                note = f"cut at norm {number(2 ** ((cut - 32) / 4))}, the valley between the modes"
    return Criterion(
        name=REGISTERS,
        source="Darcet et al. 2024",
        rule="token norms above a model-specific cut, seen as a second mode of the histogram",
        figure=figure,
        unit="fraction of tokens above the cut",
        met=met,
        note=note,
    )


def second_mode(histogram: Int64) -> int | None:
    """Returns the first bin above the valley before a second mode; None for a single mode.

    Bins are quarter octaves of the norm. A second mode lies at least an octave above the main one,
    holds at least 0.1 % of the tokens, and stands at least twice as high as the valley between.

    >>> one = np.zeros(96, dtype=np.int64); one[30:34] = [10, 800, 700, 20]
    >>> second_mode(one) is None
    True
    >>> one[44:46] = [15, 9]
    >>> second_mode(one)
    35
    """
    total, main = int(histogram.sum()), int(histogram.argmax())
    best: int | None = None
    height = 0
    for peak in range(main + 4, histogram.size):
        valley = int(histogram[main:peak].min())
        cut = main + int(histogram[main:peak].argmin()) + 1
        enough = histogram[cut:].sum() >= 1e-3 * total
        if histogram[peak] >= max(1, 2 * valley) and histogram[peak] > height and enough:
            best, height = cut, int(histogram[peak])
    return best


def six_sigma(tap: TapArrays) -> Criterion:
    """Looks for values farther than six sigma from the tensor's mean (Bondarenko et al. 2023)."""
    count = np.asarray(tap.statistics["count"], dtype=np.float64)
    total = float(count.sum())
    met, note = None, ""
    channels: tuple[int, ...] = ()
    figure: Figure
    if total == 0:
        figure = NotRun(reason="no values")
    else:
        seen = count > 0
        means = np.where(seen, tap.statistics["mean"], 0.0)
        mean = float((count * means).sum()) / total
        around = np.where(seen, tap.statistics["var"], 0.0) + (means - mean) ** 2
        sigma = float(np.sqrt((count * around).sum() / total))
        away = np.maximum(tap.statistics["max"] - mean, mean - tap.statistics["min"])
        hit = seen & (np.where(seen, away, 0.0) > SIX_SIGMA * sigma)
        figure = exact(int(hit.sum()), _rows(tap), "extremes over all rows", "count")
        met, channels = bool(hit.any()), _listed(hit)
        note = (
            f"mean {number(mean)}, sigma {number(sigma)}; outliers widen sigma and hide each other"
        )
    return Criterion(
        name="six sigma",
        source="Bondarenko et al. 2023",
        rule="farther than 6 standard deviations from the mean of the whole tensor",
        figure=figure,
        unit="channels with at least one such value",
        met=met,
        channels=channels,
        note=note,
    )


def privileged_basis(kurtosis: Figure, reference: float) -> Criterion:
    """Compares the kurtosis with that after a random rotation (Elhage et al. 2023)."""
    figure: Figure = kurtosis
    if given(kurtosis):
        ends = (None if end is None else end / reference for end in (kurtosis.low, kurtosis.high))
        low, high = ends
        figure = kurtosis.model_copy(
            update={"value": kurtosis.value / reference, "low": low, "high": high}
        )
    return Criterion(
        name="privileged basis",
        source="Elhage et al. 2023",
        rule="kurtosis over channels far above 3, which a random rotation restores",
        figure=figure,
        unit="kurtosis / basis reference",
        note="sets no threshold, and sparse features of any network raise it too",
    )


def llm_int8(taps: Sequence[TapArrays], *, all_blocks: bool) -> Criterion:
    """Tests for magnitude >= 6 in >= 25 % of layers and >= 6 % of positions (Dettmers et al. 2022).

    Args:
        taps: Token taps of one set, one per block.
        all_blocks: Whether these are all the model's blocks.
    """
    met = None
    channels: tuple[int, ...] = ()
    figure: Figure
    stream = [tap for tap in taps if tap.kind == "token" and tap.tokens != "mean"]
    widths = {tap.channels for tap in stream}
    if not stream:
        figure = NotRun(reason=NO_STREAM.replace("this tap is not one", "no tap is one"))
    elif not all_blocks:
        figure = NotRun(reason="needs all blocks; only some are tapped")
    elif len(widths) > 1:
        figure = NotRun(reason="needs blocks of one width")
    else:
        wide = [
            np.asarray(tap.statistics["exceed_count"]) / np.maximum(1, tap.statistics["count"])
            >= INT8_POSITIONS
            for tap in stream
        ]
        hit = np.mean(wide, axis=0) >= INT8_LAYERS
        figure = exact(
            int(hit.sum()), _rows(stream[0]), f"all rows of {len(stream)} blocks", "count"
        )
        met, channels = bool(hit.any()), _listed(hit)
    return Criterion(
        name="LLM.int8 outlier dimensions",
        source="Dettmers et al. 2022",
        rule="magnitude >= 6 in >= 25 % of layers and >= 6 % of positions",
        figure=figure,
        unit="channels",
        met=met,
        channels=channels,
    )
