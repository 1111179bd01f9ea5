"""Accuracies and outlier figures of trained models, for cards and for the log of training.

Figures are computed in plain float64 NumPy, independently of the probes that report them for any
model.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tools.train import cache
from tuiprobe.miniature import world
from tuiprobe.miniature.captions import TEMPLATES, WordTokenizer
from tuiprobe.miniature.networks import MEAN, STD, Classifier
from tuiprobe.results.proportions import wilson_bounds

Float64Array = NDArray[np.float64]


def to_input(pixels: Tensor) -> Tensor:
    """Returns normalised images, float32 `[B, 3, 64, 64]` channels last.

    Args:
        pixels: uint8 `[B, 64, 64, 3]`.
    """
    mean, std = torch.tensor(MEAN), torch.tensor(STD)
    return ((pixels.float() / 255 - mean) / std).permute(0, 3, 1, 2)


def zero_shot_weights(model: Any, names: tuple[str, ...], templates: tuple[str, ...]) -> Tensor:
    """Returns the zero-shot head `[classes, 128]`: mean of normalised prompts, renormalised."""
    tokenizer = WordTokenizer()
    rows = []
    with torch.no_grad():
        for name in names:
            text = model.encode_text(tokenizer([t.format(name) for t in templates]), normalize=True)
            rows.append(nn.functional.normalize(text.float().mean(dim=0), dim=0))
    return torch.stack(rows)


def _visual(model: nn.Module) -> nn.Module:
    visual = model.visual
    assert isinstance(visual, nn.Module)
    return visual


def encode(model: nn.Module, pixels: Any) -> Tensor:
    """Returns float32 representations `[images, 128]` of uint8 pixels, before normalisation."""
    rows = []
    with torch.inference_mode():
        for at in range(0, len(pixels), 250):
            images = to_input(torch.from_numpy(np.array(pixels[at : at + 250])))
            rows.append(_visual(model)(images).float())
    return torch.cat(rows)


def head(model: nn.Module) -> tuple[Tensor, Tensor | None]:
    """Returns the head `[classes, 128]` and its bias (None for a zero-shot head)."""
    if isinstance(model, Classifier):
        return model.head.weight.detach(), model.head.bias.detach()
    return zero_shot_weights(model, world.CLASS_NAMES, TEMPLATES), None


def hits(h: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor) -> int:
    """Returns how many images get their class."""
    logits = h @ weight.T if bias is None else h @ weight.T + bias
    return int((logits.argmax(dim=1) == labels).sum())


def labels_of(name: str, count: int) -> Tensor:
    """Returns the labels of the images that `cache.pixels` holds."""
    return torch.tensor([world.label(name, i) for i in cache.indices(name, count)])


def evaluate(model: nn.Module, folder: Path, count: int | None = None) -> dict[str, Any]:
    """Returns accuracies with hits, n and Wilson intervals, and the outlier figures on `val`.

    Args:
        model: A trained CLIP or classifier.
        folder: Cache of rendered pixels.
        count: Images a set, all of them by default.
    """
    model.eval()
    weight, bias = head(model)
    figures: dict[str, Any] = {"accuracy": {}}
    for name in ("val", *world.SHIFTS):
        n = count or world.size(name)
        h = encode(model, cache.pixels(folder, name, n))
        right = hits(h, weight, bias, labels_of(name, n))
        low, high = map(float, wilson_bounds(right, n))
        figures["accuracy"][name] = {"hits": right, "n": n, "low": low, "high": high}
        if name == "val":
            rows = h.double().numpy()
            figures["outliers"] = outliers(rows)
            w = weight.double().numpy()
            figures["importance_of_top_8"] = concentration(w, rows)
            figures["importance_of_top_8_centred"] = concentration(w - w.mean(axis=0), rows)
    return figures


def standardise(h: Float64Array) -> Float64Array:
    """Returns z-scores over the channels of each image."""
    centred = h - h.mean(axis=1, keepdims=True)
    z: Float64Array = centred / h.std(axis=1, keepdims=True)
    return z


def image_kurtosis(h: Float64Array) -> Float64Array:
    """Returns the Pearson kurtosis over the channels of each image."""
    k: Float64Array = (standardise(h) ** 4).mean(axis=1)
    return k


def persistence(h: Float64Array) -> tuple[float, float]:
    """Returns persistence P and the effective number of channels."""
    n, channels = h.shape
    fourth = standardise(h) ** 4
    share = fourth / fourth.sum(axis=1, keepdims=True)
    q = float((share**2).sum())
    cross = (float((share.sum(axis=0) ** 2).sum()) - q) / (n * (n - 1))
    return (cross - 1 / channels) / (q / n - 1 / channels), 1 / cross


def outliers(h: Float64Array) -> dict[str, float]:
    """Returns the outlier figures of representations `[images, channels]`.

    The kurtosis is a mean over images with its 95 % interval.
    """
    kappa = image_kurtosis(h)
    half = 1.96 * kappa.std(ddof=1) / np.sqrt(len(kappa))
    p, effective = persistence(h)
    return {
        "images": len(h),
        "kurtosis": float(kappa.mean()),
        "kurtosis_low": float(kappa.mean() - half),
        "kurtosis_high": float(kappa.mean() + half),
        "kurtosis_centred": float(image_kurtosis(h - h.mean(axis=0)).mean()),
        "persistence": p,
        "effective_channels": effective,
        "six_sigma_images": float((np.abs(standardise(h)).max(axis=1) > 6).mean()),
    }


def concentration(w: Float64Array, h: Float64Array, top: int = 8) -> float:
    """Returns the share of importance that the `top` directions of a head carry."""
    _, s, vt = np.linalg.svd(w, full_matrices=False)
    cosine = np.abs((h / np.linalg.norm(h, axis=1, keepdims=True)) @ vt.T).mean(axis=0)
    importance = np.sort(s * cosine)[::-1]
    return float(importance[:top].sum() / importance.sum())
