"""The states of several taps in one shard: back as they were, and checked."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tuiprobe.files import DamagedFileError, Entry
from tuiprobe.measure.engine.shards import LENGTHS, TapStates, check_shard, stack_states
from tuiprobe.measure.run.arrays import Arrays
from tuiprobe.stats import ActivationStats

WIDTHS = {"embedding": 6, "b": 5, "a": 3, "states": 4}
PLANNED = np.arange(10, 17)


def state(width: int, k: int, seen: np.ndarray) -> Arrays:
    stats = ActivationStats(width, k=k)
    draws = torch.Generator().manual_seed(width)
    stats.update(torch.randn(len(seen), width, generator=draws), torch.from_numpy(seen))
    return {name: tensor.numpy() for name, tensor in stats.state_dict().items()}


def states_of(seen: dict[str, np.ndarray]) -> TapStates:
    return {
        tap: state(width, 4 if tap == "embedding" else 2, seen.get(tap, PLANNED))
        for tap, width in WIDTHS.items()
    }


EMPTY = states_of(dict.fromkeys(WIDTHS, PLANNED[:0]))


def shard(**seen: np.ndarray) -> Arrays:
    """Returns the arrays of a shard."""
    return {
        "features": np.zeros((len(PLANNED), 6), np.float32), "ids": PLANNED, "images": PLANNED,
        "digests": np.zeros((len(PLANNED), 32), np.uint8), "a/rows": np.zeros((2, 3), np.float32),
        **stack_states(states_of(seen)),
    }  # fmt: skip


def check(arrays: Arrays) -> None:
    check_shard(Entry(Path("/nowhere"), "shard"), arrays, PLANNED, EMPTY)


HARMS: dict[str, Callable[[Arrays], object]] = {
    "a length is beyond everything": lambda a: a.update({LENGTHS: np.array([2**53, 7, 7])}),
    "lengths are negative": lambda a: a.update({LENGTHS: np.array([28, -14, 7])}),
    "lengths are too few": lambda a: a.update({LENGTHS: np.array([14, 7])}),
    "lengths are no integers": lambda a: a.update({LENGTHS: np.array([7.0, 7, 7])}),
    "a field is missing": lambda a: a.pop("states/moments.m4"),
    "a field is short": lambda a: a.update({"states/moments.m4": a["states/moments.m4"][1:]}),
    "the representation is missing": lambda a: a.pop("embedding/state.samples.sample_ids"),
}


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
def test_what_no_engine_wrote_is_refused(harm: Callable[[Arrays], object]) -> None:
    arrays = shard()
    check(arrays)
    harm(arrays)
    with pytest.raises(DamagedFileError):
        check(arrays)
