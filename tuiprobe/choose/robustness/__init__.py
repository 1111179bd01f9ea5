"""Accuracies on every labelled set, and effective robustness by published models."""
