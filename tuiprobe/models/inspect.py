"""Data of `tuiprobe inspect`: an encoder's taps, widths, preprocessing and time per batch."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from statistics import median
from typing import Any

import torch
from torch import Tensor

from tuiprobe.errors import WeightsError
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.heads import TextTower

TRIAL_BATCH = 8
REPEATS = 3
_PROMPT = "a photo of a dog."


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
    """Times one batch of images, and one of prompts if the encoder has a text tower."""
    height, width = encoder.preprocessing.size
    images = torch.zeros(TRIAL_BATCH, 3, height, width)
    with torch.inference_mode():
        seconds = _seconds(lambda: encoder.encode(images))
        prompts = None if encoder.text is None else _prompts_per_second(encoder.text)
    return {
        "device": str(encoder.device),
        "threads": torch.get_num_threads(),
        "batch": TRIAL_BATCH,
        "seconds": seconds,
        "images_per_second": TRIAL_BATCH / seconds,
        "prompts_per_second": prompts,
    }


def _prompts_per_second(text: TextTower) -> float | None:
    try:
        tokens = text.tokenize([_PROMPT] * TRIAL_BATCH)
    except WeightsError:  # its tokenizer is not here
        return None
    return TRIAL_BATCH / _seconds(lambda: text.encode(tokens))


def _seconds(work: Callable[[], Tensor]) -> float:
    """Returns the median of three, after one to warm up."""
    work()
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work().cpu()  # The copy waits for the device.
        seconds.append(time.perf_counter() - start)
    return median(seconds)
