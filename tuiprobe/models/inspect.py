"""Data of `tuiprobe inspect`: an encoder's taps, widths, preprocessing and time per batch."""

from __future__ import annotations

import time
from dataclasses import asdict
from statistics import median
from typing import Any

import torch

from tuiprobe.models.encoder import Encoder

TRIAL_BATCH = 8
REPEATS = 3


def describe(encoder: Encoder, *, cost: bool = True) -> dict[str, Any]:
    """Describes an encoder as plain data.

    Args:
        encoder: The encoder.
        cost: Whether to time a trial batch of blank images.
    """
    text = encoder.text
    return {
        "name": encoder.name,
        "loader": encoder.loader,
        "architecture": encoder.architecture,
        "tag": encoder.tag,
        "representation": encoder.representation,
        "training": encoder.training,
        "width": encoder.width,
        "parameters": encoder.parameters(),
        "weights": encoder.weights.model_dump(mode="json"),
        "preprocessing": encoder.preprocessing.model_dump(mode="json"),
        "text": None
        if text is None
        else {
            "context_length": text.context_length,
            "tokenizer": text.tokenizer,
            "templates": len(text.templates),
        },
        "head": None
        if encoder.classifier is None
        else {"classes": len(encoder.classifier.classes), "source": encoder.classifier.source},
        "taps": [asdict(tap) for tap in encoder.taps()],
        "untappable": encoder.untappable(),
        "cost": trial_cost(encoder) if cost else None,
    }


def trial_cost(encoder: Encoder) -> dict[str, Any]:
    """Times one batch: the median of three, after one warm-up batch."""
    height, width = encoder.preprocessing.size
    images = torch.zeros(TRIAL_BATCH, 3, height, width)
    seconds = []
    with torch.inference_mode():
        encoder.encode(images)
        for _ in range(REPEATS):
            start = time.perf_counter()
            encoder.encode(images).cpu()  # The copy waits for the device.
            seconds.append(time.perf_counter() - start)
    middle = median(seconds)
    return {
        "device": str(encoder.device),
        "threads": torch.get_num_threads(),
        "batch": TRIAL_BATCH,
        "seconds": middle,
        "images_per_second": TRIAL_BATCH / middle,
    }
