"""Accuracy expected on images without labels, and the error of the estimate on labelled sets."""
