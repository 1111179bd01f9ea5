"""Trains the shipped models, by `python -m tools.train`; imports torch."""
