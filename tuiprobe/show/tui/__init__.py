"""The terminal screens: they read run directories and start the engine as a child process.

Nothing here imports torch, the engine, models, data sets or probes.
"""
