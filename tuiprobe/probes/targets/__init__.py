"""Accuracy expected on images without labels, and how wrong such estimates were."""
