"""Arrays of a measured run, and what the engine and probes compute from them. NumPy only."""
