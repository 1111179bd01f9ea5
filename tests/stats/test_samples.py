"""SampleMoments and the union, ActivationStats, against float64 figures."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.stats.oracle import as_rows, check_moments, check_samples, check_topk, examples
from tuiprobe.stats import ActivationStats, ChannelTopK, SampleMoments, supported_instruction_sets


@st.composite
def images(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, p = draw(st.integers(1, 40)), draw(st.sampled_from([1, 1, 3, 16, 33]))
    c = draw(st.integers(2, 70))
    x = rng.standard_normal((n, p, c)) * draw(st.sampled_from([1e-12, 1e-3, 1, 4, 1e12]))
    if draw(st.booleans()):
        x[..., rng.integers(c)] *= 40
    x = x + draw(st.sampled_from([0, 1, 1000])) * x.std()
    if draw(st.booleans()):
        x[rng.random((n, p)) < 0.1] = 0  # rows without variance
    if draw(st.booleans()):
        x[rng.random(x.shape) < 0.002] = draw(st.sampled_from([np.nan, np.inf]))
    return x.astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("isa", supported_instruction_sets())
@given(x=images(), k=st.integers(1, 9), seed=st.integers(0, 1000))
@examples(6)
def test_union_holds_every_figure(isa, x, k, seed):
    rng = np.random.default_rng(seed)
    ids = rng.permutation(len(x))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUIPROBE_ISA", isa)
        a, b = ActivationStats(x.shape[2], k=k), ActivationStats(x.shape[2], k=k)
        cut = rng.integers(0, len(x) + 1)
        a.update(x[:cut], ids[:cut])
        b.update(x[cut:], ids[cut:])
        result = a.merge(b).compute()
    rows = as_rows(x)
    check_moments(result.moments, rows)
    check_topk(result.largest, rows, ids.tolist(), k)
    check_topk(result.smallest, rows, ids.tolist(), k, largest=False)
    check_samples(result.samples, rows, ids.tolist())


def test_union_equals_its_parts_to_the_bit():
    x = torch.randn(300, 7, 48, generator=torch.Generator().manual_seed(0)) * 4
    union = ActivationStats(48, k=5)
    union.update(x)
    top, samples = ChannelTopK(48, k=5), SampleMoments(48)
    top.update(x)
    samples.update(x)
    summary = union.compute()
    for name, value in vars(samples.compute()).items():
        np.testing.assert_array_equal(value, getattr(summary.samples, name))
        np.testing.assert_array_equal(value, getattr(union.samples.compute(), name))
    for name, value in vars(top.compute()).items():
        np.testing.assert_array_equal(value, getattr(summary.largest, name))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("channel_dim", [1, -1])
def test_maps_in_half_precision(dtype, channel_dim):
    x = (torch.randn(20, 5, 6, 33, generator=torch.Generator().manual_seed(0)) * 3).to(dtype)
    view = x if channel_dim == -1 else x.permute(0, 3, 1, 2).contiguous()
    stats = SampleMoments(33)
    stats.update(view, channel_dim=channel_dim)
    check_samples(stats.compute(), as_rows(x), range(20))


@pytest.mark.parametrize("channels", [96, 768])
@pytest.mark.parametrize("isa", supported_instruction_sets())
def test_rows_whose_mean_is_many_sigma(isa, channels, monkeypatch):
    """As a float32 their mean is off by more than a millionth of the spread."""
    monkeypatch.setenv("TUIPROBE_ISA", isa)
    x = np.random.default_rng(0).standard_normal((96, channels))
    x += np.repeat([1, -5, 30, 1e3, -1e4, 1e6], 16)[:, None]
    x = x.astype(np.float32)
    x[5, 7] = np.inf
    for shape in ((96, 1, channels), (16, 6, channels)):
        stats = SampleMoments(channels)
        stats.update(x.reshape(shape))
        check_samples(stats.compute(), as_rows(x.reshape(shape)), range(shape[0]), tolerance=3e-6)


@pytest.mark.parametrize("scale", [1e-9, 1, 1e5])
@pytest.mark.parametrize("height", [0, 1e3, 1e6])
def test_a_channel_far_above_the_others(height, scale):
    """The scale of rows comes from some of their channels, of which this is none."""
    x = np.random.default_rng(0).standard_normal((40, 768))
    x[:, 1] = height
    x = (x * scale).astype(np.float32)
    stats = SampleMoments(768)
    stats.update(x)
    check_samples(stats.compute(), as_rows(x), range(40))


@pytest.mark.parametrize("channels", [40, 768])
@pytest.mark.parametrize("isa", supported_instruction_sets())
def test_small_integers_whose_norm_is_a_power_of_two(isa, channels, monkeypatch):
    monkeypatch.setenv("TUIPROBE_ISA", isa)
    rng = np.random.default_rng(channels)
    x = np.zeros((400, channels), np.float32)
    for row in x:
        threes, twos = rng.integers(0, 2, 2)  # the others are ones: 32 or 256 in all
        ones = (32 if channels < 64 else 256) - 9 * threes - 4 * twos
        row[: threes + twos + ones] = [3] * threes + [2] * twos + [1] * ones
    x = rng.permuted(x, axis=1) * rng.choice([-1, 1], x.shape).astype(np.float32)
    stats = SampleMoments(channels)
    stats.update(x)
    expected = 32 + 2 * int(np.log2(32 if channels < 64 else 256))
    assert stats.compute().norm_histogram[expected] == len(x)


def test_ties_and_few_channels():
    tied = SampleMoments(5)
    tied.update(torch.tensor([[0.0, 3.0, 0.0, -3.0, 0.0]]))
    assert tied.compute().leading.tolist() == [1]  # the lower one
    stats = SampleMoments(2)
    stats.update(torch.tensor([[1.0, 3.0]]))
    assert stats.compute().kurtosis.tolist() == [1.0]
    single = SampleMoments(1)
    single.update(torch.tensor([[1.0]]))
    assert single.compute().degenerate == 1
