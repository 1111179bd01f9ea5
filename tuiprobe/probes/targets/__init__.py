"""Accuracy expected on images without labels, and how wrong such estimates were."""

from tuiprobe.probes.protocol import Need

TITLE = "Accuracy on your images"
NEEDS: tuple[Need, ...] = ("target", "head")
