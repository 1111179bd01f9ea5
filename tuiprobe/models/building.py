"""Keeps libraries from writing to the log and to stderr while they build models.

Models without weights of their own get random ones from a fixed seed.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def quiet() -> Iterator[None]:
    """Silences logging and warnings; our own errors and reports cover what matters."""
    # open_clip logs through the root logger, which would install a permanent handler.
    handler = logging.NullHandler()
    before = logging.root.manager.disable
    logging.root.addHandler(handler)
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        logging.root.removeHandler(handler)


@contextmanager
def seeded() -> Iterator[None]:
    """Silences libraries and seeds their random weights; the generator of others is unchanged."""
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
