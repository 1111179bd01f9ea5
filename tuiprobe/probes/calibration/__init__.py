"""Calibration of the head before and after temperature scaling; accuracy by class."""

from tuiprobe.probes.protocol import Need

TITLE = "Calibration"
NEEDS: tuple[Need, ...] = ("head", "labels")
