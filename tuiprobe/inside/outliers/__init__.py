"""Outlier features: which channels dominate the representation, and in how many images."""
