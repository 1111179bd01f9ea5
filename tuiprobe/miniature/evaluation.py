"""Accuracies and figures of trained models, for cards and for the log of training."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tuiprobe.miniature import cache, figures, world
from tuiprobe.miniature.captions import TEMPLATES
from tuiprobe.miniature.networks import Classifier, to_input, zero_shot_weights

TUNING_IMAGES = 1000


def _visual(model: nn.Module) -> nn.Module:
    visual = model.visual
    assert isinstance(visual, nn.Module)
    return visual


def encode(model: nn.Module, pixels: Any) -> Tensor:
    """Return float32 representations `[images, 128]` of uint8 pixels, before normalisation."""
    rows = []
    with torch.inference_mode():
        for at in range(0, len(pixels), 250):
            images = to_input(torch.from_numpy(np.array(pixels[at : at + 250])))
            rows.append(_visual(model)(images).float())
    return torch.cat(rows)


def head(model: nn.Module) -> tuple[Tensor, Tensor | None]:
    """Return the head `[classes, 128]` and its bias (None for a zero-shot head)."""
    if isinstance(model, Classifier):
        return model.head.weight.detach(), model.head.bias.detach()
    return zero_shot_weights(model, world.CLASS_NAMES, TEMPLATES), None


def hits(h: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor) -> int:
    """Return how many images get their class."""
    logits = h @ weight.T if bias is None else h @ weight.T + bias
    return int((logits.argmax(dim=1) == labels).sum())


def labels_of(name: str, count: int) -> Tensor:
    """Return the labels of the images that `cache.pixels` holds."""
    return torch.tensor([world.label(name, i) for i in cache.indices(name, count)])


def quick_report(folder: Path, count: int = TUNING_IMAGES) -> Any:
    """Return a function of a model: accuracy, kurtosis and persistence on the tuning images."""
    pixels, labels = cache.pixels(folder, "val", count, stream=1), labels_of("val", count)

    def report(model: nn.Module) -> dict[str, float]:
        h = encode(model, pixels)
        found = figures.outliers(h.double().numpy())
        scale = getattr(model, "logit_scale", None)
        return {
            "val": hits(h, *head(model), labels) / count,
            "kurtosis": found.kurtosis,
            "persistence": found.persistence,
            "centred": found.kurtosis_centred,
            "scale": 0.0 if scale is None else float(scale.detach().exp()),
        }

    return report


def evaluate(
    model: nn.Module, folder: Path, stream: int, count: int | None = None
) -> dict[str, Any]:
    """Return accuracies with hits, n and Wilson intervals, and the outlier figures on `val`.

    Args:
        model: A trained CLIP or classifier.
        folder: Cache of rendered pixels.
        stream: Image seed; 0 is the published world.
        count: Images a set, all of them by default.
    """
    model.eval()
    weight, bias = head(model)
    found: dict[str, Any] = {"accuracy": {}}
    for name in ("val", *world.SHIFTS):
        n = count or world.size(name)
        h = encode(model, cache.pixels(folder, name, n, stream))
        right = hits(h, weight, bias, labels_of(name, n))
        low, high = figures.wilson(right, n)
        found["accuracy"][name] = {"hits": right, "n": n, "low": low, "high": high}
        if name == "val":
            rows = h.double().numpy()
            found["outliers"] = figures.outliers(rows).as_dict()
            w = weight.double().numpy()
            found["importance_of_top_8"] = figures.concentration(w, rows)
            found["importance_of_top_8_centred"] = figures.concentration(w - w.mean(axis=0), rows)
    return found
