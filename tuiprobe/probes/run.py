"""Measures, merges and probes with the installed probes; imports torch."""

from functools import partial

from tuiprobe.measure.engine.run import run as run_engine
from tuiprobe.probes.hooks import HOOKS

run = partial(run_engine, hooks=HOOKS)
