"""What measuring costs: the extraction loop with taps on every block against the same loop without.

Run with `python -m benchmarks.extraction`. Both loops encode the same batch in memory; decoding
is left out, so the overhead shown is the largest a run can have. Pairs are interleaved and their
order alternates; the median of the pairwise ratios is given with a bootstrap interval.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks._common import command
from tuiprobe.measure.engine.extract import TapMeasure
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.load import load_encoder
from tuiprobe.models.taps import Tap
from tuiprobe.plaintext import matches
from tuiprobe.spec import FINAL_TAP, RunSpec

TITLE = "Extraction overhead"
TARGET = 0.97
"""Least images/s with taps, as a part of images/s without."""

CASES = {
    "ViT-B/16": ("vit_base_patch16_224", "blocks.*", 8),
    "small ResNet": ("test_resnet", "layer*.*", 64),
}


def build(architecture: str) -> Encoder:
    """Returns an encoder with random weights: speed does not depend on them."""
    import timm

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.pt"
        torch.save(timm.create_model(architecture, pretrained=False).state_dict(), path)
        return load_encoder(f"timm:{architecture}", checkpoint=path)


def measure(architecture: str, layers: str, batch: int, pairs: int) -> dict[str, Any]:
    """Returns images/s with and without taps and the pairwise ratio."""
    encoder = build(architecture)
    taps = [tap for tap in encoder.taps() if matches(tap.name, layers)]
    images = torch.randn(batch, 3, *encoder.preprocessing.size)
    ids = torch.arange(batch)
    spec = RunSpec(model=architecture, data="random")
    measures = {tap.name: TapMeasure(tap, spec, "cpu") for tap in taps}
    final = TapMeasure(Tap(FINAL_TAP, "vector", encoder.width, -1, 0), spec, "cpu")

    def plain() -> None:
        encoder.encode(images)

    def tapped() -> None:
        with encoder.watch(taps, lambda tap, x: measures[tap.name].update(x, ids)):
            final.update(encoder.encode(images), ids)

    with torch.inference_mode():
        for _ in range(3):
            seconds(plain), seconds(tapped)
        times = np.array([pair(plain, tapped, i) for i in range(pairs)])
    ratios = times[:, 0] / times[:, 1]
    draws = np.random.default_rng(0).integers(0, pairs, (2000, pairs))
    low, high = np.percentile(np.median(ratios[draws], axis=1), [2.5, 97.5])
    return {
        "model": architecture,
        "taps": len(taps) + 1,
        "batch": batch,
        "pairs": pairs,
        "images_per_second_without": batch / float(np.median(times[:, 0])),
        "images_per_second_with": batch / float(np.median(times[:, 1])),
        "ratio": float(np.median(ratios)),
        "low": float(low),
        "high": float(high),
    }


def pair(plain: Callable[[], None], tapped: Callable[[], None], number: int) -> list[float]:
    """Returns seconds without and with taps; which goes first alternates."""
    if number % 2:
        with_taps = seconds(tapped)
        return [seconds(plain), with_taps]
    without = seconds(plain)
    return [without, seconds(tapped)]


def seconds(work: Callable[[], None]) -> float:
    """Returns how long one call takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def run(quick: bool = False) -> dict[str, Any]:
    """Returns the figures of all cases by name."""
    pairs = 10 if quick else 40
    return {name: measure(*case, pairs) for name, case in CASES.items()}


def table(figures: dict[str, Any]) -> str:
    """Returns the figures as a Markdown table with the target and whether it is met."""
    lines = [
        "| encoder | taps | images/s without | with | ratio (95 %) | target | met |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, figure in figures.items():
        met = "yes" if figure["ratio"] >= TARGET else "**no**"
        lines.append(
            f"| {name} | {figure['taps']} | {figure['images_per_second_without']:.1f} | "
            f"{figure['images_per_second_with']:.1f} | {figure['ratio']:.3f} "
            f"({figure['low']:.3f} to {figure['high']:.3f}) | {TARGET} | {met} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    command(__doc__, run, table)
