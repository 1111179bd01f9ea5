"""Privileged directions: right singular vectors of the head, and what depends on them."""
