"""Images and class texts as two sets of points in one space."""

from tuiprobe.probes.protocol import Need

TITLE = "Both towers"
NEEDS: tuple[Need, ...] = ("head", "texts")
