"""Training of the models that ship, by `python -m tuiprobe.miniature.train`; it imports torch."""
