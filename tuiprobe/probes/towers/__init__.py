"""Images and class texts as two sets of points in one space."""

from tuiprobe.probes.protocol import Need

TITLE = "Image vs text"
NEEDS: tuple[Need, ...] = ("head", "texts")
