"""State: exact round trips, results that do not depend on threads, merging what fits."""

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
def test_state_is_cpu_tensors_and_a_copy(kind):
    stats = KINDS[kind]()
    stats.update(batch(0))
    state = stats.state_dict()
    before = {name: t.clone() for name, t in state.items()}
    stats.update(batch(1))
    for name, tensor in state.items():
        assert tensor.device.type == "cpu"
        assert tensor.is_contiguous()
        np.testing.assert_array_equal(tensor.numpy(), before[name].numpy())


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
