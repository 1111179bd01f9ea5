"""What speaks against believing figures: asked of arrays, without files.

All code in which sets, labels and answers meet asks here: runs, `label`, `compare` and gates. What
is found is a `Doubt` (`tuiprobe.results.doubt`), which they show before any figure.
"""
