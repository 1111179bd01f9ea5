"""Probes: arrays in, results out; no files, no model, no screen."""
