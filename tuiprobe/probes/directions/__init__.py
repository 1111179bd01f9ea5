"""Privileged directions: right singular vectors of the head, and what hangs on them."""
