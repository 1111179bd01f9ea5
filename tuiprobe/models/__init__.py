"""Vision encoders by name, loaded with exactly the requested weights or not at all.

Names are imported on first use, so listing loaders does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuiprobe.models.encoder import Encoder
    from tuiprobe.models.heads import Head
    from tuiprobe.models.load import load_encoder
    from tuiprobe.models.taps import Tap

__all__ = ["Encoder", "Head", "Tap", "load_encoder"]

_HOMES = {"Encoder": "encoder", "Head": "heads", "Tap": "taps", "load_encoder": "load"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
