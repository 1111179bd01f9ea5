"""Accuracy under shift as published models of the same kind of training lead one to expect it."""
