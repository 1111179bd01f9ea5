"""`toy:WIDTH`: an encoder whose first three channels are the means of the colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tuiprobe.models.registry import Loader, ModelRequest

if TYPE_CHECKING:
    from tuiprobe.models import Encoder


def load(request: ModelRequest) -> Encoder:
    from .towers import build

    return build(int(request.rest))


def models() -> list[str]:
    return ["toy:8", "toy:16"]


LOADER = Loader(forms=("toy:WIDTH",), load=load, takes_checkpoint=False, models=models)
