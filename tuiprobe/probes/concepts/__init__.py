"""Unique concepts that directions encode, beside what random directions encode."""

from tuiprobe.probes.protocol import Need

TITLE = "Concepts"
NEEDS: tuple[Need, ...] = ("concepts",)
