"""Trains the shipped models, by `python -m tuiprobe.miniature.train`; imports torch."""
