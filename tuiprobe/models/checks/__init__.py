"""Checks of an encoder: whether it is what its name says, and works on these images."""
