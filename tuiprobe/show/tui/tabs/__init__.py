"""Tabs of the results: one per probe, generic unless it has its own file here."""
