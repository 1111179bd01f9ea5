"""From images to a run directory: the engine writes it, `run` is its layout, for all readers."""
