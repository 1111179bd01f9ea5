"""Tabs of the results: one for every probe, generic unless there is a file of its own here."""
