"""Accumulators are copied, pickled, emptied and moved with all their bits; others share memory."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from tuiprobe.stats import (
    ActivationStats,
    ChannelMoments,
    ChannelStats,
    ChannelTopK,
    SampleMoments,
)

KINDS: list[Callable[[], Any]] = [
    lambda: ActivationStats(8, k=3),
    lambda: ActivationStats(8, k=0),
    lambda: ChannelMoments(8),
    lambda: ChannelTopK(8, k=2, largest=False),
    lambda: ChannelStats(8, k=2),
    lambda: SampleMoments(8),
]


def filled(make: Callable[[], Any], seed: int = 0) -> Any:
    stats = make()
    stats.update(torch.randn(20, 3, 8, generator=torch.Generator().manual_seed(seed)))
    return stats


def equal(one: Any, other: Any) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(
        first[name].numpy().tobytes() == second[name].numpy().tobytes() for name in first
    )


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_has_the_same_bits_and_goes_on_by_itself(
    make: Callable[[], Any], copied: Callable[[Any], Any]
) -> None:
    stats = filled(make)
    other = copied(stats)
    assert type(other) is type(stats)
    assert equal(stats, other)
    more = torch.randn(5, 3, 8, generator=torch.Generator().manual_seed(1))
    other.update(more)
    assert not equal(stats, other)
    stats.update(more)
    assert equal(stats, other)
    assert repr(stats) == repr(other)


@pytest.mark.parametrize("make", KINDS)
def test_reset_forgets_everything(make: Callable[[], Any]) -> None:
    stats = filled(make).reset()
    assert equal(stats, make())
    stats.update(torch.randn(20, 3, 8, generator=torch.Generator().manual_seed(0)))
    assert equal(stats, filled(make))


def test_the_same_device_is_itself_and_another_one_is_refused() -> None:
    stats = filled(KINDS[0])
    assert stats.to("cpu") is stats
    with pytest.raises(ValueError, match="must be 'cpu' or 'cuda'"):
        stats.to("meta")


def test_it_says_what_it_has_seen() -> None:
    assert repr(filled(KINDS[0])) == "ActivationStats(8, k=3): 20 images"
    assert repr(ChannelMoments(1024)) == "ChannelMoments(1024): 0 images"


class Foreign:
    """An array of another library, as far as DLPack shows it."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


def test_arrays_of_other_libraries_are_read_where_they_are() -> None:
    array = np.random.default_rng(0).normal(size=(20, 3, 8)).astype(np.float32)
    stats, other = ActivationStats(8, k=3), ActivationStats(8, k=3)
    stats.update(Foreign(array))
    other.update(array)
    assert equal(stats, other)


def test_what_dlpack_cannot_share_is_a_typed_error() -> None:
    with pytest.raises(TypeError, match="Foreign cannot be shared with torch"):
        ActivationStats(8).update(Foreign(np.array(["a"], dtype=object)))


def test_no_entries_are_kept_where_k_is_zero() -> None:
    found = filled(KINDS[1]).compute()
    assert found.largest.values.shape == (8, 0)
    assert found.smallest.sample_ids.shape == (8, 0)
    assert found.moments.count.tolist() == [60] * 8
