"""Vision encoders by name: loaded with exactly the weights asked for, or not at all."""

from tuiprobe.models.encoder import Encoder
from tuiprobe.models.heads import Head
from tuiprobe.models.load import load_encoder
from tuiprobe.models.taps import Tap

__all__ = ["Encoder", "Head", "Tap", "load_encoder"]
