"""Measures the architectures of all presets with random weights: `python -m tools.untrained`.

It adds what is missing to `tuiprobe/catalog/untrained.json`, whose figures reports show beside the
outcome.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import islice

import torch

from tools.train.evaluation import outliers
from tuiprobe.catalog.presets import presets
from tuiprobe.catalog.untrained import FILE, Untrained, references
from tuiprobe.miniature import encoder as from_miniature
from tuiprobe.miniature.data import dataset
from tuiprobe.models import from_open_clip, from_timm
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.registry import ModelRequest

IMAGES = 64
"""Images of `miniature:val`, evenly spaced over its labels."""


def measure(encoder: Encoder, architecture: str, batch: int = 16) -> Untrained:
    """Measures an encoder on the first images of the miniature's validation set."""
    images = dataset("val")
    step = len(images.samples) // IMAGES
    samples = list(islice(images.samples, 0, step * IMAGES, step))
    rows = []
    with torch.inference_mode():
        for start in range(0, len(samples), batch):
            tensors = [encoder.preprocess(images.open(s)) for s in samples[start : start + batch]]
            rows.append(encoder.encode(torch.stack(tensors)).double())
    figures = outliers(torch.cat(rows).numpy())
    return Untrained(
        architecture=architecture,
        representation=encoder.representation,
        digest=encoder.weights.digest,
        data="miniature:val",
        n=len(samples),
        width=encoder.width,
        kurtosis=(figures["kurtosis"], figures["kurtosis_low"], figures["kurtosis_high"]),
        persistence=figures["persistence"],
    )


def architectures() -> list[tuple[str, str]]:
    """Returns loader and architecture of every preset, each once."""
    pairs = {(p.loader, p.architecture): None for p in presets().values()}
    small = {"miniature": 0, "timm": 1, "open_clip": 2}
    return sorted(pairs, key=lambda pair: (small[pair[0]], "L-14" in pair[1] or "large" in pair[1]))


def build(loader: str, architecture: str) -> Encoder:
    """Builds an architecture with random weights from the fixed seed."""
    request = ModelRequest(
        architecture, architecture, None, None, "cpu", torch.float32, untrained=True
    )
    modules = {"open_clip": from_open_clip, "timm": from_timm, "miniature": from_miniature}
    encoder: Encoder = modules[loader].load(request)
    return encoder


def main() -> None:
    """Adds missing architectures to `untrained.json`; saves after each one."""
    note = f"random initialisation, seed 0, {IMAGES} rendered images of miniature:val"
    measured = list(references())
    known = {reference.architecture for reference in measured}
    for loader, architecture in architectures():
        if architecture in known:
            continue
        measured.append(measure(build(loader, architecture), architecture))
        content = {"note": note, "architectures": [asdict(row) for row in measured]}
        FILE.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
