"""Figures of the channels of rows of activations; needs NumPy alone."""
