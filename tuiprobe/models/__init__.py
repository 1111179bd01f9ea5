"""Vision encoders by name: loaded with exactly the weights asked for, or not at all."""

from tuiprobe.models.encoder import Encoder, Head, Tap
from tuiprobe.models.load import load_encoder

__all__ = ["Encoder", "Head", "Tap", "load_encoder"]
