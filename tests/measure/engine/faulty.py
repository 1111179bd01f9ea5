"""An encoder that fails or hangs where `FAULT` says: `<place>:<what>`, for example `forward:hang`.

Places: `load`, `decode` (of the one red image), `encode` (always), `forward` (after the batches
that the preflight and the first shards take). What: `hang`, `doze`, `nap`, `die-once` (rank 1,
before torchrun starts it again), or the name of an exception.
"""

import builtins
import os
import signal
import sys
import time
from pathlib import Path

import torch
from PIL import Image

from tests.measure.engine import colors
from tuiprobe.models.encoder import Encoder

BATCHES_BEFORE = 8
WAITS = {"hang": 600.0, "doze": 0.3, "nap": 0.02}


def fault(place: str) -> None:
    """Fails if it is this place's turn."""
    expected, _, what = os.environ.get("FAULT", "").partition(":")
    if expected != place:
        return
    if what in WAITS:
        print(f"at {place}", file=sys.stderr, flush=True)
        time.sleep(WAITS[what])
        return
    if what == "die-once":
        if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
            die_later() if os.environ["RANK"] == "1" else time.sleep(0.2)
        return
    raise getattr(builtins, what)(f"{place} failed on purpose\nwith more lines")


def die_later() -> None:
    """Ends this process as soon as another one has published a shard."""
    while not list(Path(os.environ["SHARDS"]).glob("[!.]*")):
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGKILL)


class Faulty(colors.Means):
    """The means of colours, for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.batches = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        fault("encode")
        self.batches += 1
        if self.batches > BATCHES_BEFORE:
            fault("forward")
        return super().forward(images)


def preprocess(image: Image.Image) -> torch.Tensor:
    # The one red image of the test's data.
    if image.getpixel((0, 0)) == (255, 0, 0):
        fault("decode")
    return colors.to_tensor(image)


def build() -> Encoder:
    fault("load")
    return colors.encoder_of(Faulty(), colors.WIDTH, preprocess)


def healthy() -> Encoder:
    """Builds an encoder that never fails, to stand beside the other."""
    return colors.build()
