"""Accuracy by nearest neighbours, for encoders without a head of their own."""

from tuiprobe.probes.protocol import Need

TITLE = "Nearest neighbours"
NEEDS: tuple[Need, ...] = ("labels",)
