"""CUDA statistics against the CPU's figures; skipped where there is no device."""

import numpy as np
import pytest
import torch

from tests.stats.oracle import as_rows, check_moments, check_samples, check_topk
from tuiprobe.stats import ActivationStats, ChannelMoments, cuda_reason

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

DTYPES = [torch.float32, torch.float16, torch.bfloat16]


def batch(shape, dtype, seed=0):
    return (torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 3 + 1).to(dtype)


def test_native_kernels_serve_this_device():
    assert cuda_reason() == ""


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (300, 7), (1000, 768), (64, 50, 96), (5000, 130)])
def test_rows_and_tokens(dtype, shape):
    x = batch(shape, dtype)
    stats = ChannelMoments(shape[-1], device="cuda")
    for part in x.split(max(1, len(x) // 3)):
        stats.update(part.cuda())
    check_moments(stats.compute(), as_rows(x))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channel_dim", [1, -1])
def test_maps_and_strides(dtype, channel_dim):
    x = batch((20, 7, 7, 65), dtype)
    device = x.cuda()
    views = [device] if channel_dim == -1 else [device.permute(0, 3, 1, 2)]
    if channel_dim == 1:
        views.append(views[0].contiguous())
    else:
        wide = torch.zeros(20, 7, 7, 140, dtype=dtype, device="cuda")
        wide[..., 3:133:2] = device
        views.append(wide[..., 3:133:2])
    for view in views:
        stats = ChannelMoments(65, device="cuda")
        stats.update(view, channel_dim=channel_dim)
        check_moments(stats.compute(), as_rows(x))


def test_values_that_are_not_finite_and_extreme_scales():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3000, 40)) * 10.0 ** rng.integers(-12, 13, 40)
    x[:, 20:] += 1e4 * x[:, 20:].std(0)
    x[rng.random(x.shape) < 0.01] = np.nan
    x = torch.from_numpy(x.astype(np.float32))
    stats = ChannelMoments(40, device="cuda")
    stats.update(x.cuda())
    check_moments(stats.compute(), as_rows(x))


def test_other_streams():
    x = batch((4000, 256), torch.float32)
    stats, device = ChannelMoments(256, device="cuda"), x.cuda()
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(20):
            fresh = device + 0.0  # freed while the kernels may still read it
            stats.update(fresh)
            del fresh
    check_moments(stats.compute(), as_rows(x.repeat(20, 1)))


def test_captured_in_a_graph():
    x = batch((512, 64), torch.float32)
    stats, static = ChannelMoments(64, device="cuda"), x.cuda()
    stats.update(static)  # makes the scratch
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        stats.update(static)  # recorded, not run
    for _ in range(3):
        graph.replay()
    check_moments(stats.compute(), as_rows(x.repeat(4, 1)))


def test_update_does_not_wait_for_the_device():
    stats, x = ChannelMoments(64, device="cuda"), batch((512, 64), torch.float32).cuda()
    stats.update(x)
    torch.cuda.synchronize()
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        stats.update(x)
    finally:
        torch.cuda.set_sync_debug_mode(before)


def test_bits_are_repeatable_and_merge_with_the_cpu():
    x = batch((5000, 96), torch.float32)
    states = []
    for _ in range(2):
        stats = ChannelMoments(96, device="cuda")
        stats.update(x.cuda())
        states.append(stats.state_dict())
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name])
    cpu = ChannelMoments(96)
    cpu.update(x)
    cpu.load_state_dict(ChannelMoments(96).merge(cpu).state_dict())
    cpu2 = ChannelMoments(96)
    cpu2.load_state_dict(states[0])
    check_moments(cpu.merge(cpu2).compute(), as_rows(x.repeat(2, 1)))


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one device")
def test_the_second_device():
    x = batch((500, 64), torch.float32)
    stats = ChannelMoments(64, device="cuda:1")
    stats.update(x.to("cuda:1"))
    check_moments(stats.compute(), as_rows(x))


@pytest.mark.parametrize("dtype", DTYPES)
def test_everything_else_takes_the_torch_path(dtype):
    x, ids = batch((60, 5, 33), dtype), np.random.default_rng(0).permutation(60)
    stats = ActivationStats(33, k=4, device="cuda")
    stats.update(x.cuda(), ids)
    result, rows = stats.compute(), as_rows(x)
    check_moments(result.moments, rows)
    check_topk(result.largest, rows, ids.tolist(), 4)
    check_samples(result.samples, rows, ids.tolist())
