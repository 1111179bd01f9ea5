"""Outlier features: which channels dominate the representation, and in how many images."""

from tuiprobe.probes.protocol import Need

TITLE = "Outlier features"
NEEDS: tuple[Need, ...] = ()
