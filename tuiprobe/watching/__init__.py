"""Statistics of anyone's torch model while it runs: `tuiprobe.watch`."""

from tuiprobe.watching.layer_figures import LayerFigures
from tuiprobe.watching.watched import Watched

__all__ = ["LayerFigures", "Watched"]
