"""State: exact copies, results that do not depend on threads, merging what fits."""

import copy
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tuiprobe.stats import ActivationStats, ChannelMoments, ChannelTopK, SampleMoments

KINDS = {
    "moments": lambda: ChannelMoments(21),
    "largest": lambda: ChannelTopK(21, k=4),
    "smallest": lambda: ChannelTopK(21, k=4, largest=False),
    "samples": lambda: SampleMoments(21),
    "union": lambda: ActivationStats(21, k=4),
}


def batch(seed, n=200):
    x = torch.randn(n, 3, 21, generator=torch.Generator().manual_seed(seed)) * 5 + 1
    x[3, 1, 2] = torch.nan
    return x


def assert_same_state(a, b):
    a, b = a.state_dict(), b.state_dict()
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].dtype == b[name].dtype
        assert a[name].numpy().tobytes() == b[name].numpy().tobytes(), name


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("kind", KINDS)
def test_resume_then_merge_is_bit_equal(kind):
    straight, first = KINDS[kind](), KINDS[kind]()
    straight.update(batch(0))
    first.update(batch(0))
    resumed = KINDS[kind]()
    resumed.load_state_dict(first.state_dict())
    assert_same_state(resumed, first)
    state = first.state_dict()
    first.update(batch(1))  # the state is a copy
    assert_same_state(resumed, SimpleNamespace(state_dict=lambda: state))
    for stats in (straight, resumed):
        stats.update(batch(1))
        other = KINDS[kind]()
        other.update(batch(2))
        stats.merge(other)
    assert_same_state(straight, resumed)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [7, 3000])
def test_thread_count_changes_no_bit(kind, n, threads):
    states = []
    for count in (1, 2, 5):
        threads(count)
        stats = KINDS[kind]()
        for seed in range(3):
            stats.update(batch(seed, n))
        states.append(stats)
    assert_same_state(states[0], states[1])
    assert_same_state(states[0], states[2])


@pytest.mark.parametrize("kind", KINDS)
def test_merging_an_empty_one_changes_nothing(kind):
    stats, same = KINDS[kind](), KINDS[kind]()
    stats.update(batch(0))
    same.update(batch(0))
    stats.merge(KINDS[kind]())
    assert_same_state(stats, same)
    empty = KINDS[kind]()
    empty.merge(same)
    assert_same_state(empty, same)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_goes_on_by_itself_and_reset_forgets_everything(kind, copied):
    stats = KINDS[kind]()
    stats.update(batch(0))
    other = copied(stats)
    assert type(other) is type(stats)
    assert repr(stats) == repr(other)
    assert_same_state(stats, other)
    before = stats.state_dict()
    other.update(batch(1))
    assert_same_state(stats, SimpleNamespace(state_dict=lambda: before))
    stats.update(batch(1))
    assert_same_state(stats, other)
    assert_same_state(stats.reset(), KINDS[kind]())
    stats.update(batch(0))
    assert_same_state(stats, SimpleNamespace(state_dict=lambda: before))


class Foreign:
    """An array of another library, as far as DLPack shows it."""

    def __init__(self, array):
        self.__dlpack__, self.__dlpack_device__ = array.__dlpack__, array.__dlpack_device__


def test_arrays_of_other_libraries_are_read_where_they_are():
    array = np.random.default_rng(0).normal(size=(20, 3, 21)).astype(np.float32)
    stats, other = ActivationStats(21, k=0), ActivationStats(21, k=0)
    stats.update(Foreign(array))
    other.update(array)
    assert_same_state(stats, other)
    with pytest.raises(TypeError, match="Foreign cannot be shared with torch"):
        stats.update(Foreign(np.array(["a"], dtype=object)))
    assert stats.compute().largest.values.shape == (21, 0)  # no entries where k is zero
    assert stats.compute().moments.count.tolist() == [60] * 21
    assert stats.to("cpu") is stats
    with pytest.raises(ValueError, match="must be 'cpu' or 'cuda'"):
        stats.to("meta")


def test_what_does_not_fit_is_refused():
    stats = ActivationStats(21, k=4)
    with pytest.raises(ValueError, match="itself"):
        stats.merge(stats)
    with pytest.raises(ValueError, match="differ"):
        stats.merge(ActivationStats(21, k=5))
    with pytest.raises(ValueError, match="differ"):
        stats.merge(ActivationStats(22, k=4))
    with pytest.raises(TypeError, match="ChannelMoments"):
        stats.merge(ChannelMoments(21))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="differ"):
        ChannelTopK(3, k=2).merge(ChannelTopK(3, k=2, largest=False))


def test_a_damaged_state_is_refused_and_loses_nothing():
    stats = ActivationStats(21, k=4)
    stats.update(batch(0))
    good = stats.state_dict()
    same = ActivationStats(21, k=4)
    same.load_state_dict(good)
    bad = [
        (KeyError, {k: v for k, v in good.items() if k != "moments.m3"}),
        (KeyError, {k: v for k, v in good.items() if not k.startswith("samples.")}),
        (ValueError, good | {"moments.mean": torch.zeros(20, dtype=torch.float64)}),
        (TypeError, good | {"moments.mean": torch.zeros(21)}),
        (ValueError, good | {"samples.kurtosis": torch.zeros(3, dtype=torch.float64)}),
        (ValueError, good | {"largest.values": good["largest.values"] * torch.nan}),
        (TypeError, good | {"moments": torch.zeros(1)}),
    ]
    for error, state in bad:
        with pytest.raises(error):
            stats.load_state_dict(state)
        assert_same_state(stats, same)
