"""Accuracies on every labelled set, and effective robustness by published models."""

from tuiprobe.probes.protocol import Need

TITLE = "Accuracy under shift"
NEEDS: tuple[Need, ...] = ("head", "labels")
