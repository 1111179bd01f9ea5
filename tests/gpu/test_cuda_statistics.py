"""CUDA statistics against the CPU's figures; skipped where there is no device."""

import numpy as np
import pytest
import torch

from tests.stats.oracle import as_rows, check_moments, check_samples, check_topk
from tuiprobe.stats import (
    ActivationStats,
    ChannelMoments,
    ChannelTopK,
    SampleMoments,
    cuda_reason,
)

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

DTYPES = [torch.float32, torch.float16, torch.bfloat16]


def batch(shape, dtype, seed=0):
    return (torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 3 + 1).to(dtype)


def test_native_kernels_serve_this_device():
    assert cuda_reason() == ""


def test_values_that_are_not_finite_and_extreme_scales():
    rng = np.random.default_rng(0)
    drawn = rng.standard_normal((3000, 40)) * 10.0 ** rng.integers(-12, 13, 40)
    drawn[:, 20:] += 1e4 * drawn[:, 20:].std(0)
    drawn[rng.random(drawn.shape) < 0.01] = np.nan
    x = torch.from_numpy(drawn.astype(np.float32))
    stats = ChannelMoments(40, device="cuda")
    stats.update(x.cuda())
    check_moments(stats.compute(), as_rows(x))


def check_all(stats, rows, ids, k):
    """Holds an ActivationStats against float64 figures of all its images."""
    result = stats.compute()
    check_moments(result.moments, rows)
    check_topk(result.largest, rows, list(ids), k)
    check_topk(result.smallest, rows, list(ids), k, largest=False)
    check_samples(result.samples, rows, list(ids))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shape",
    [(1, 2), (300, 7), (5000, 130), (1000, 768), (64, 50, 96), (9, 197, 768), (2, 3, 12288)],
)
def test_everything_of_rows_and_tokens(dtype, shape):
    x = batch(shape, dtype)
    stats = ActivationStats(shape[-1], k=5, device="cuda")
    for part in x.split(max(1, len(x) // 3)):
        stats.update(part.cuda())
    check_all(stats, as_rows(x), range(len(x)), 5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_everything_of_maps_and_strides(dtype):
    x = batch((20, 7, 7, 65), dtype)
    device = x.cuda()
    wide = torch.zeros(20, 7, 7, 140, dtype=dtype, device="cuda")
    wide[..., 3:133:2] = device
    second = device.permute(0, 3, 1, 2)
    views = (device, -1), (wide[..., 3:133:2], -1), (second, 1), (second.contiguous(), 1)
    for view, channel_dim in views:
        stats = ActivationStats(65, k=4, device="cuda")
        stats.update(view, channel_dim=channel_dim)
        check_all(stats, as_rows(x), range(20), 4)


@pytest.mark.parametrize("shape", [(60, 33), (60, 5, 33), (3000, 3, 8)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_values_that_are_not_finite_ties_and_ids(dtype, shape):
    rng = np.random.default_rng(0)
    x = np.round(rng.standard_normal(shape), 1) * 4
    x[..., 3] = 2.5
    x[rng.random(x.shape) < 0.01] = np.nan
    x[rng.random(x.shape) < 0.01] = -np.inf
    x[7] = 1.0
    x = torch.from_numpy(x).to(dtype)
    ids = rng.permutation(len(x))
    stats = ActivationStats(shape[-1], k=6, device="cuda")
    stats.update(x[:20].cuda(), ids[:20])
    stats.update(x[20:].cuda(), torch.from_numpy(ids[20:]))
    check_all(stats, as_rows(x), ids.tolist(), 6)


@pytest.mark.parametrize("k", [1, 32, 1000])
@pytest.mark.parametrize("largest", [True, False])
def test_top_k_of_many_images(k, largest):
    x = batch((20000, 24), torch.float32)
    x[:, 0] = torch.arange(20000)  # each row better than all before
    x[:, 1] = -torch.arange(20000)
    x[:, 2] = 0.0
    x[5::2, 3] = torch.nan
    ids = torch.arange(20000) % 12345  # some images twice
    top = ChannelTopK(24, k, largest, device="cuda")
    top.update(x.cuda(), ids)
    top.update(x[:100].cuda(), torch.arange(100))
    rows = as_rows(torch.cat([x, x[:100]]))
    check_topk(top.compute(), rows, [*ids.tolist(), *range(100)], k, largest)


def test_wider_activations_and_longer_lists_take_the_torch_path():
    x = batch((20, 12289), torch.float32)
    stats = ActivationStats(12289, k=2, device="cuda")
    stats.update(x.cuda())
    check_all(stats, as_rows(x), range(20), 2)
    x = batch((1500, 3), torch.float32)
    top = ChannelTopK(3, 1025, device="cuda")
    top.update(x.cuda())
    check_topk(top.compute(), as_rows(x), range(1500), 1025)


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e12, 1e30])
@pytest.mark.parametrize("shape", [(500, 96), (20, 9, 96)])
def test_rows_at_extreme_scales_and_means(shape, scale):
    x = batch(shape, torch.float32) * scale
    x[::2] += 1e4 * 3 * scale
    samples = SampleMoments(96, device="cuda")
    samples.update(x.cuda())
    check_samples(samples.compute(), as_rows(x), range(len(x)))


def test_figures_go_on_after_compute_merge_and_load():
    x = batch((400, 6, 40), torch.float32)
    stats, other = (ActivationStats(40, k=3, device="cuda") for _ in range(2))
    stats.update(x[:100].cuda())
    stats.compute()
    stats.update(x[100:200].cuda())
    other.update(x[200:300].cuda(), torch.arange(200, 300))
    stats.merge(other)
    reloaded = ActivationStats(40, k=3, device="cuda")
    reloaded.update(x[:7].cuda())  # replaced
    reloaded.load_state_dict(stats.state_dict())
    reloaded.update(x[300:].cuda())
    check_all(reloaded, as_rows(x), range(400), 3)
    assert len(reloaded.samples.compute().sample_ids) == 400


def test_other_streams():
    x = batch((4000, 256), torch.float32)
    stats, device = ActivationStats(256, k=4, device="cuda"), x.cuda()
    streams = [torch.cuda.Stream() for _ in range(2)]
    for stream in streams:
        stream.wait_stream(torch.cuda.current_stream())
    for number in range(20):
        with torch.cuda.stream(streams[number % 2]):
            fresh = device + 0.0  # freed while the kernels may still read it
            stats.update(fresh)
            del fresh
    check_all(stats, as_rows(x.repeat(20, 1)), range(80000), 4)


@pytest.mark.parametrize("shape", [(512, 64), (40, 9, 64)])
def test_captured_in_a_graph(shape):
    x = batch(shape, torch.float32)
    more = batch(shape, torch.float32, seed=1)
    stats, static = ActivationStats(64, device="cuda"), x.cuda()
    stats.update(static)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        stats.update(static)  # recorded, not run
    seen = [x]
    for part in (x, more):
        static.copy_(part)
        graph.replay()
        seen.append(part)
    stats.update(more.cuda())
    seen.append(more)
    for _ in range(2):
        rows = as_rows(torch.cat(seen))
        check_all(stats, rows, range(len(rows)), 32)
        graph.replay()  # goes on from there
        seen.append(more)


def test_replays_beyond_the_room_are_told_and_reserve_helps():
    x = batch((30000, 4), torch.float32).cuda()
    for room in (None, 130000):
        stats = SampleMoments(4, device="cuda")
        if room:
            stats.reserve(room)
        stats.update(x)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            stats.update(x)
        for _ in range(3):
            graph.replay()
        if room:
            stats.update(x)  # makes room
            assert len(stats.compute().kurtosis) == 150000
        else:
            with pytest.warns(RuntimeWarning, match="reserve\\(120000\\)"):
                found = stats.compute()
            assert len(found.kurtosis) == 65536
            assert found.rows == 120000


def test_sample_ids_on_the_device_alone_may_change_between_replays():
    x, moments = batch((8, 4), torch.float32).cuda(), ChannelMoments(4, device="cuda")
    with torch.cuda.graph(torch.cuda.CUDAGraph()):
        moments.update(x)
        with pytest.raises(ValueError, match="every replay"):
            moments.update(x, range(8))
    stats = SampleMoments(4, device="cuda")
    ids, graph = torch.arange(8, device="cuda"), torch.cuda.CUDAGraph()
    stats.update(x, ids)
    with torch.cuda.graph(graph):
        stats.update(x, ids)
    ids += 100
    graph.replay()
    assert stats.compute().sample_ids.tolist() == [*range(8), *range(100, 108)]


@pytest.mark.parametrize("where", ["", "cpu", "cuda"])
def test_update_does_not_wait_for_the_device(where):
    ids = torch.arange(512, device=where) if where else None
    stats, x = ActivationStats(64, device="cuda"), batch((512, 64), torch.float32).cuda()
    stats.update(x, ids)
    torch.cuda.synchronize()
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        stats.update(x, ids)
    finally:
        torch.cuda.set_sync_debug_mode(before)
    if ids is not None:
        assert stats.compute().samples.sample_ids.tolist() == ids.tolist() * 2


def test_looking_changes_no_bit():
    x = (batch((600, 5, 40), torch.float32) + 100).cuda()
    watched, alone = (ActivationStats(40, k=3, device="cuda") for _ in range(2))
    for part in x.split(200):
        watched.update(part)
        alone.update(part)
        watched.compute()
        watched.state_dict()
        ActivationStats(40, k=3, device="cuda").merge(watched)
    for name, tensor in alone.state_dict().items():
        torch.testing.assert_close(
            watched.state_dict()[name], tensor, rtol=0, atol=0, equal_nan=True
        )


def test_bits_are_repeatable():
    x = batch((5000, 3, 96), torch.float32).cuda()
    states = []
    for _ in range(3):
        stats = ActivationStats(96, device="cuda")
        stats.update(x)
        stats.update(x[:, :1])
        states.append(stats.state_dict())
    for state in states[1:]:
        for name, tensor in states[0].items():
            torch.testing.assert_close(state[name], tensor, rtol=0, atol=0, equal_nan=True)


def test_states_merge_with_those_of_the_cpu():
    x = batch((600, 40), torch.float32)
    on_cpu, on_device = ActivationStats(40, k=3), ActivationStats(40, k=3, device="cuda")
    on_cpu.update(x[:300])
    on_device.update(x[300:].cuda(), torch.arange(300, 600))
    moved = ActivationStats(40, k=3)
    moved.load_state_dict(on_device.state_dict())
    check_all(on_cpu.merge(moved), as_rows(x), range(600), 3)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one device")
def test_the_second_device():
    x = batch((500, 64), torch.float32)
    stats = ActivationStats(64, k=4, device="cuda:1")
    stats.update(x.to("cuda:1"))  # while cuda:0 is current
    assert torch.cuda.current_device() == 0
    check_all(stats, as_rows(x), range(500), 4)
