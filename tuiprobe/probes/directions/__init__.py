"""Privileged directions: right singular vectors of the head, and what depends on them."""

from tuiprobe.probes.protocol import Need

TITLE = "Privileged directions"
NEEDS: tuple[Need, ...] = ("head",)
