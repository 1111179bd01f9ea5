"""Which encoder to take, how good it is, and how certain that is.

Probes of one run (accuracy, calibration, heads, labelled and unlabelled pictures, robustness), and
what reads several runs: `comparing` and `labelling`.
"""
