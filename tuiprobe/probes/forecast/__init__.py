"""Accuracy under shift as published models of the same kind of training lead one to expect it."""

from tuiprobe.probes.protocol import Need

TITLE = "Forecast from published models"
NEEDS: tuple[Need, ...] = ("peers",)
