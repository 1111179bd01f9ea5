"""What `tuiprobe.stats` does on a CUDA device, and with host threads in the place of the device."""

import ctypes
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
import torch

from tests.csrc.conftest import built
from tests.stats.oracle import as_rows, check_moments, check_samples, check_topk
from tuiprobe.stats import (
    ActivationStats,
    ChannelMoments,
    ChannelTopK,
    SampleMoments,
    _cuda,
    cuda_reason,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]  # the first run builds

ON_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])


class HostStream:
    """A stream that has done everything already."""

    cuda_stream = 0

    def wait_stream(self, other):
        pass


class HostDevice:
    """Runs the kernels of one accumulator at once on host threads, or keeps them in a graph."""

    device = torch.device("cpu")

    def __init__(self, host, parts):
        self._host, self._parts, self._stream = host, parts, HostStream()

    def current(self):
        return nullcontext()

    def stream(self):
        return self._stream

    def capturing(self):
        return self._host.graph is not None

    def synchronize(self):
        self._host.waits += 1

    def upload(self, ids):
        return torch.from_numpy(ids.copy())

    def enqueue(self, layout, /, **a):
        quads = [(ctypes.c_int64 * 4)(*a[name]) for name in ("shape", "strides")]
        kept = torch.empty(a["scratch_size"] // 16 * 2 + 2, dtype=torch.float64)  # on 16 bytes

        def work():
            self._host.library.host_update(
                ctypes.c_int64(self._parts["channels"]),
                *(int(self._parts[n]) for n in ("moments", "largest", "smallest", "samples")),
                ctypes.c_void_p(a["data"]), a["dtype"], *quads, ctypes.c_void_p(a["ids"]),
                ctypes.c_void_p(a["state"]), ctypes.c_void_p(kept.data_ptr()),
            )  # fmt: skip

        if self._host.graph is None:
            work()
        else:
            self._host.graph.append(work)


class Host:
    """Accumulators whose state is in the memory of a `HostDevice`."""

    def __init__(self, library):
        self.library, self.graph, self.waits = library, None, 0

    def put(self, x):
        return x.clone()

    def make(self, kind, channels, **options):
        stats = kind(channels, **options)
        nothing = {"moments": False, "largest": 0, "smallest": 0, "samples": False}
        stats.place = HostDevice(self, {"channels": channels} | nothing | stats._parts)
        stats._keep_on(stats.place)
        return stats

    def captured(self, update):
        """Captures what `update` enqueues; returns its replay."""
        self.graph = []
        try:
            update()
        finally:
            graph, self.graph = self.graph, None
        return lambda: [work() for work in graph]

    @contextmanager
    def without_waiting(self):
        before = self.waits
        yield
        assert self.waits == before


class Cuda:
    """Accumulators on the current device."""

    def put(self, x):
        return x.cuda()

    def make(self, kind, channels, **options):
        return kind(channels, device="cuda", **options)

    def captured(self, update):
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            update()
        return graph.replay

    @contextmanager
    def without_waiting(self):
        torch.cuda.synchronize()
        before = torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode(before)


@pytest.fixture(scope="session")
def library():
    return ctypes.CDLL(str(built("host_device") / "libhost_device.so"))


@pytest.fixture(params=["host", pytest.param("cuda", marks=ON_GPU)])
def device(request, monkeypatch):
    if request.param == "cuda":
        return Cuda()
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda *_: None)
    return Host(request.getfixturevalue("library"))


def batch(*shape, seed=0, dtype=torch.float32):
    return (torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 3).to(dtype)


def check_all(stats, x, ids, k):
    """Compares an `ActivationStats` with float64 figures of all its images."""
    result, rows = stats.compute(), as_rows(x.cpu())
    check_moments(result.moments, rows)
    check_topk(result.largest, rows, list(ids), k)
    check_topk(result.smallest, rows, list(ids), k, largest=False)
    check_samples(result.samples, rows, list(ids))


def equal_bits(first, second):
    one, other = first.state_dict(), second.state_dict()
    for name, tensor in one.items():
        torch.testing.assert_close(other[name], tensor, rtol=0, atol=0, equal_nan=True)


@DTYPES
@pytest.mark.parametrize(
    ("shape", "channel_dim"), [((70, 24), -1), ((6, 40, 16), -1), ((5, 9, 4, 3), 1)]
)
def test_everything_in_several_updates(device, shape, channel_dim, dtype):
    x = batch(*shape, dtype=dtype)
    stats = device.make(ActivationStats, shape[channel_dim], k=3)
    for part in x.split(max(1, len(x) // 2)):
        stats.update(device.put(part), channel_dim=channel_dim)
    check_all(stats, x.movedim(channel_dim, -1), range(len(x)), 3)


VIEWS = {
    "every second position": ((20, 12, 9), lambda x: x[:, ::2], -1),
    "transposed rows": ((17, 70), lambda x: x.T, -1),
    "cropped maps": ((6, 3, 8, 12), lambda x: x[:, :, 4:, 3:], -1),
    "expanded positions": ((40, 1, 9), lambda x: x.expand(40, 5, 9), -1),
    "channels second": ((12, 33, 5, 7), lambda x: x, 1),
    "wide and not aligned": ((9, 4, 131), lambda x: x, -1),
}


@pytest.mark.parametrize("view", VIEWS)
def test_maps_and_views_of_any_strides(device, view):
    shape, change, channel_dim = VIEWS[view]
    x = change(device.put(batch(*shape)))
    stats = device.make(ActivationStats, x.shape[channel_dim], k=4)
    for _ in range(2):
        stats.update(x, torch.arange(len(x)), channel_dim=channel_dim)
    check_all(stats, torch.cat([x.movedim(channel_dim, -1)] * 2), [*range(len(x))] * 2, 4)


@pytest.mark.parametrize("channels", [16, 9])
def test_no_bit_depends_on_strides_or_alignment(device, channels):
    x = device.put(batch(20, 12, channels, dtype=torch.float16))
    shifted, wide = x.new_empty(x.numel() + 1), x.new_empty(20, 12, channels + 3)
    second = x.movedim(-1, 1).contiguous()
    same = shifted[1:].view(x.shape), wide[..., 2 : channels + 2], second.movedim(1, -1)
    plain = device.make(ActivationStats, channels, k=4)
    plain.update(x)
    for view in same:
        stats = device.make(ActivationStats, channels, k=4)
        stats.update(view.copy_(x))
        equal_bits(stats, plain)


@pytest.mark.parametrize(("scale", "offset"), [(1e-12, 0.0), (1.0, 1e4), (1e12, 1e4)])
def test_scales_means_and_values_that_are_not_finite(device, scale, offset):
    x = (batch(60, 6, 20) + 3 * offset) * scale
    x[torch.rand(x.shape, generator=torch.Generator().manual_seed(2)) < 0.003] = torch.nan
    x[5, 2, 3], x[7, 0, 4], x[9] = torch.inf, -torch.inf, 2.5 * scale
    stats = device.make(ActivationStats, 20, k=5)
    for part in x.split(23):
        stats.update(device.put(part))
    check_all(stats, x, range(60), 5)


def test_looking_changes_no_bit(device):
    x = device.put(batch(60, 3, 8) + 100)
    watched, alone = (device.make(ActivationStats, 8, k=3) for _ in range(2))
    moved = ActivationStats(8, k=3)
    for part in x.split(20):
        watched.update(part)
        alone.update(part)
        watched.compute()
        watched.samples.compute()
        device.make(ActivationStats, 8, k=3).merge(watched)
        moved.load_state_dict(watched.state_dict())
    equal_bits(watched, alone)
    check_all(moved, x, range(60), 3)  # on the CPU


def test_merging_loading_and_continuing(device):
    x = device.put(batch(80, 2, 8))
    stats, other = (device.make(ActivationStats, 8, k=3) for _ in range(2))
    stats.update(x[:20])
    other.update(x[20:40], torch.arange(20, 40))
    stats.merge(other)
    reloaded = device.make(ActivationStats, 8, k=3)
    reloaded.update(x[:5])  # replaced
    reloaded.load_state_dict(stats.state_dict())
    equal_bits(reloaded, stats)
    for one in (stats, reloaded):
        one.update(x[40:])
    equal_bits(reloaded, stats)
    check_all(stats, x, range(80), 3)
    with pytest.raises(ValueError, match="into itself"):
        stats.merge(stats)


def test_ids_are_used_without_waiting(device):
    x, stats = device.put(batch(10, 8)), device.make(SampleMoments, 8)
    stats.update(x)
    ids = [device.put(item) for item in (torch.arange(50, 60), torch.arange(10).int())]
    with device.without_waiting():
        for each in (None, *ids, torch.arange(20, 30)):
            stats.update(x, each)
    wanted = [*range(10), *range(10, 20), *range(50, 60), *range(10), *range(20, 30)]
    assert stats.compute().sample_ids.tolist() == wanted
    stats.update(x, device.put(torch.arange(-2, 8)))
    with pytest.raises(ValueError, match=r"2 sample_ids given on \S+ were negative"):
        stats.compute()
    with pytest.raises(ValueError, match="shape"):
        stats.update(x, torch.arange(9))


@pytest.mark.parametrize("shape", [(512, 64), (40, 9, 64)])
def test_what_a_graph_captured_is_replayed(device, shape):
    x, more = batch(*shape), batch(*shape, seed=1)
    stats, static = device.make(ActivationStats, 64), device.put(x)
    stats.update(static)
    replay, seen = device.captured(lambda: stats.update(static)), [x]
    for part in (x, more):
        static.copy_(part)
        replay()
        seen.append(part)
    stats.update(device.put(more))
    rows = torch.cat([*seen, more])
    check_all(stats, rows, range(len(rows)), 32)


def test_replays_count_as_updates_and_updates_after_them_make_room(device, monkeypatch):
    monkeypatch.setattr(_cuda, "_FIRST_ROOM", 64)
    x, ids = device.put(batch(20, 8)), device.put(torch.arange(20))
    stats = device.make(SampleMoments, 8)
    stats.update(x, ids)
    replay = device.captured(lambda: stats.update(x, ids))
    for start in (100, 200):
        ids.copy_(torch.arange(start, start + 20))
        replay()
    stats.update(x, torch.arange(300, 320))  # the 61st to 80th
    wanted = [*range(20), *range(100, 120), *range(200, 220), *range(300, 320)]
    assert stats.compute().sample_ids.tolist() == wanted


def test_replays_beyond_the_room_lose_nothing_but_per_image_figures(device, monkeypatch):
    monkeypatch.setattr(_cuda, "_FIRST_ROOM", 64)
    x = device.put(batch(20, 8))
    stats, whole = (device.make(ActivationStats, 8, k=4) for _ in range(2))
    replay = device.captured(lambda: stats.update(x))
    whole.reserve(100)
    for _ in range(5):
        replay()
        whole.update(x)
    with pytest.warns(RuntimeWarning, match=r"reserve\(100\)"):
        found = stats.compute()
    wanted = whole.compute()
    assert found.samples.sample_ids.tolist() == list(range(64))
    assert len(wanted.samples.sample_ids) == 100
    for name in ("moments", "largest", "smallest"):
        np.testing.assert_equal(vars(getattr(found, name)), vars(getattr(wanted, name)))
    per_image = {"sample_ids", "kurtosis", "self_share", "leading"}
    for name, value in vars(wanted.samples).items():
        if name not in per_image:
            np.testing.assert_equal(getattr(found.samples, name), value)
    stats.update(x)  # goes on, with room
    with pytest.warns(RuntimeWarning):
        stats.compute()


def test_captures_need_room_and_ids_on_the_device(device, monkeypatch):
    monkeypatch.setattr(_cuda, "_FIRST_ROOM", 4)
    x = device.put(batch(8, 4))
    samples, moments = device.make(SampleMoments, 4), device.make(ChannelMoments, 4)

    def update():
        moments.update(x)
        with pytest.raises(ValueError, match="every replay"):
            moments.update(x, range(8))
        with pytest.raises(RuntimeError, match=r"reserve\(8\)"):
            samples.update(x)

    device.captured(update)


# What only a GPU has: its sizes, streams and speed.


@ON_GPU
@DTYPES
@pytest.mark.parametrize(
    "shape",
    [(1, 2), (300, 7), (5000, 130), (1000, 768), (64, 50, 96), (9, 197, 768), (2, 3, 12288)],
)
def test_rows_and_tokens_of_every_size(shape, dtype):
    x = batch(*shape, dtype=dtype)
    stats, again = (ActivationStats(shape[-1], k=5, device="cuda") for _ in range(2))
    for part in x.split(max(1, len(x) // 3)):
        stats.update(part.cuda())
        again.update(part.cuda())
    check_all(stats, x, range(len(x)), 5)
    equal_bits(again, stats)


@ON_GPU
@pytest.mark.parametrize("k", [1, 32, 1000])
@pytest.mark.parametrize("largest", [True, False])
def test_top_k_of_many_images(k, largest):
    x = batch(20000, 24)
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


@ON_GPU
def test_native_kernels_serve_this_device_and_torch_what_is_wider_or_longer():
    assert cuda_reason() == ""
    x = batch(20, 12289)
    stats = ActivationStats(12289, k=2, device="cuda")
    stats.update(x.cuda())
    check_all(stats, x, range(20), 2)
    x = batch(1500, 3)
    top = ChannelTopK(3, 1025, device="cuda")
    top.update(x.cuda())
    check_topk(top.compute(), as_rows(x), range(1500), 1025)


@ON_GPU
def test_other_streams():
    x = batch(4000, 256)
    stats, device = ActivationStats(256, k=4, device="cuda"), x.cuda()
    streams = [torch.cuda.Stream() for _ in range(2)]
    for stream in streams:
        stream.wait_stream(torch.cuda.current_stream())
    for number in range(20):
        with torch.cuda.stream(streams[number % 2]):
            fresh = device + 0.0  # freed while the kernels may still read it
            stats.update(fresh)
            del fresh
    check_all(stats, x.repeat(20, 1), range(80000), 4)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one device")
def test_the_second_device():
    x = batch(500, 64)
    stats = ActivationStats(64, k=4, device="cuda:1")
    stats.update(x.to("cuda:1"))  # while cuda:0 is current
    assert torch.cuda.current_device() == 0
    check_all(stats, x, range(500), 4)
