"""What `tuiprobe.stats` does on a CUDA device, with host threads in the place of the device."""

import ctypes
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from tests.stats.oracle import as_rows, check_moments, check_samples, check_topk
from tuiprobe.stats import ActivationStats, ChannelMoments, SampleMoments, _cuda

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]  # the first run builds


class HostStream:
    """A stream that has done everything already."""

    cuda_stream = 0

    def wait_stream(self, other):
        pass


class HostDevice:
    """Runs kernels at once on host threads; a captured update is kept for `replay`."""

    device = torch.device("cpu")

    def __init__(self, library, parts):
        self._library, self._parts = library, parts
        self._stream, self._graph, self.waits = HostStream(), None, 0

    def current(self):
        return nullcontext()

    def stream(self):
        return self._stream

    def capturing(self):
        return self._graph is not None

    def synchronize(self):
        self.waits += 1

    def upload(self, ids):
        return torch.from_numpy(ids.copy())

    def enqueue(self, layout, /, **a):
        quads = [(ctypes.c_int64 * 4)(*a[name]) for name in ("shape", "strides")]
        kept = torch.empty(a["scratch_size"] // 16 * 2 + 2, dtype=torch.float64)  # on 16 bytes

        def work():
            self._library.host_update(
                ctypes.c_int64(self._parts["channels"]),
                *(int(self._parts[n]) for n in ("moments", "largest", "smallest", "samples")),
                ctypes.c_void_p(a["data"]), a["dtype"], *quads, ctypes.c_void_p(a["ids"]),
                ctypes.c_void_p(a["state"]), ctypes.c_void_p(kept.data_ptr()),
            )  # fmt: skip

        if self._graph is None:
            work()
        else:
            self._graph.append(work)

    def capture(self, update):
        """Captures what `update` enqueues; returns its replay."""
        self._graph = []
        try:
            update()
        finally:
            graph, self._graph = self._graph, None

        def replay():
            for work in graph:
                work()

        return replay


@pytest.fixture
def on_device(build, monkeypatch):
    """Returns a maker of accumulators whose state is in the memory of a `HostDevice`."""
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda *_: None)
    library = ctypes.CDLL(str(build / "libhost_device.so"))

    def make(kind, channels, **options):
        stats = kind(channels, **options)
        nothing = {"moments": False, "largest": 0, "smallest": 0, "samples": False}
        stats.place = HostDevice(library, {"channels": channels} | nothing | stats._parts)
        stats._keep_on(stats.place)
        return stats

    return make


def batch(*shape, seed=0, dtype=torch.float32):
    return (torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 3).to(dtype)


def check_all(stats, x, ids, k):
    result, rows = stats.compute(), as_rows(x)
    check_moments(result.moments, rows)
    check_topk(result.largest, rows, list(ids), k)
    check_topk(result.smallest, rows, list(ids), k, largest=False)
    check_samples(result.samples, rows, list(ids))


def equal_bits(first, second):
    one, other = first.state_dict(), second.state_dict()
    for name, tensor in one.items():
        torch.testing.assert_close(other[name], tensor, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    ("shape", "channel_dim"), [((70, 24), -1), ((6, 40, 16), -1), ((5, 9, 4, 3), 1)]
)
def test_everything_in_several_updates(on_device, shape, channel_dim, dtype):
    x = batch(*shape, dtype=dtype)
    stats = on_device(ActivationStats, shape[channel_dim], k=3)
    for part in x.split(max(1, len(x) // 2)):
        stats.update(part, channel_dim=channel_dim)
    check_all(stats, x.movedim(channel_dim, -1), range(len(x)), 3)


VIEWS = {
    "every second position": lambda: (batch(20, 12, 9)[:, ::2], -1),
    "transposed rows": lambda: (batch(17, 70).T, -1),
    "cropped maps": lambda: (batch(6, 3, 8, 12)[:, :, 4:, 3:], -1),
    "expanded positions": lambda: (batch(40, 1, 9).expand(40, 5, 9), -1),
    "channels second": lambda: (batch(12, 33, 5, 7), 1),
    "wide and not aligned": lambda: (batch(9, 4, 131), -1),
}


@pytest.mark.parametrize("view", VIEWS)
def test_views_of_any_strides(on_device, view):
    x, channel_dim = VIEWS[view]()
    stats = on_device(ActivationStats, x.shape[channel_dim], k=4)
    for _ in range(2):
        stats.update(x, torch.arange(len(x)), channel_dim=channel_dim)
    check_all(stats, torch.cat([x.movedim(channel_dim, -1)] * 2), [*range(len(x))] * 2, 4)


@pytest.mark.parametrize("channels", [16, 9])
def test_no_bit_depends_on_strides_or_alignment(on_device, channels):
    x = batch(20, 12, channels, dtype=torch.float16)
    shifted, wide = torch.empty(x.numel() + 1, dtype=x.dtype), batch(20, 12, channels + 3)
    second = x.movedim(-1, 1).contiguous()
    same = shifted[1:].view(x.shape), wide.to(x.dtype)[..., 2 : channels + 2], second.movedim(1, -1)
    plain = on_device(ActivationStats, channels, k=4)
    plain.update(x)
    for view in same:
        stats = on_device(ActivationStats, channels, k=4)
        stats.update(view.copy_(x))
        equal_bits(stats, plain)


@pytest.mark.parametrize(("scale", "offset"), [(1e-12, 0.0), (1.0, 1e4), (1e12, 1e4)])
def test_scales_means_and_values_that_are_not_finite(on_device, scale, offset):
    x = (batch(60, 6, 20) + 3 * offset) * scale
    x[torch.rand(x.shape, generator=torch.Generator().manual_seed(2)) < 0.003] = torch.nan
    x[5, 2, 3], x[7, 0, 4], x[9] = torch.inf, -torch.inf, 2.5 * scale
    stats = on_device(ActivationStats, 20, k=5)
    for part in x.split(23):
        stats.update(part)
    check_all(stats, x, range(60), 5)


def test_looking_changes_no_bit(on_device):
    x = batch(60, 3, 8) + 100
    watched, alone = (on_device(ActivationStats, 8, k=3) for _ in range(2))
    for part in x.split(20):
        watched.update(part)
        alone.update(part)
        watched.compute()
        watched.samples.compute()
        watched.state_dict()
        on_device(ActivationStats, 8, k=3).merge(watched)
        ActivationStats(8, k=3).merge(watched)
    equal_bits(watched, alone)


def test_merging_loading_and_continuing(on_device):
    x = batch(80, 2, 8)
    stats, other = (on_device(ActivationStats, 8, k=3) for _ in range(2))
    stats.update(x[:20])
    other.update(x[20:40], torch.arange(20, 40))
    stats.merge(other)
    reloaded = on_device(ActivationStats, 8, k=3)
    reloaded.update(x[:5])  # replaced
    reloaded.load_state_dict(stats.state_dict())
    equal_bits(reloaded, stats)
    for one in (stats, reloaded):
        one.update(x[40:])
    equal_bits(reloaded, stats)
    check_all(stats, x, range(80), 3)
    with pytest.raises(ValueError, match="into itself"):
        stats.merge(stats)


def test_ids_on_the_device_are_used_without_waiting(on_device):
    x = batch(10, 8)
    stats = on_device(SampleMoments, 8)
    before = stats.place.waits
    stats.update(x, torch.arange(50, 60))
    stats.update(x, torch.arange(10, dtype=torch.int32))
    assert stats.place.waits == before
    assert stats.compute().sample_ids.tolist() == [*range(50, 60), *range(10)]
    stats.update(x, torch.arange(-2, 8))
    with pytest.raises(ValueError, match="2 sample_ids given on cpu were negative"):
        stats.compute()
    with pytest.raises(ValueError, match="shape"):
        stats.update(x, torch.arange(9))


def test_replays_count_as_updates_and_updates_after_them_make_room(on_device, monkeypatch):
    monkeypatch.setattr(_cuda, "_FIRST_ROOM", 64)
    x, ids = batch(20, 8), torch.arange(20)
    stats = on_device(SampleMoments, 8)
    stats.update(x, ids)
    replay = stats.place.capture(lambda: stats.update(x, ids))
    for start in (100, 200):
        ids.copy_(torch.arange(start, start + 20))
        replay()
    stats.update(x, torch.arange(300, 320))  # the 61st to 80th
    wanted = [*range(20), *range(100, 120), *range(200, 220), *range(300, 320)]
    assert stats.compute().sample_ids.tolist() == wanted


def test_replays_beyond_the_room_lose_nothing_but_per_image_figures(on_device, monkeypatch):
    monkeypatch.setattr(_cuda, "_FIRST_ROOM", 64)
    x = batch(20, 8)
    stats, whole = (on_device(ActivationStats, 8, k=4) for _ in range(2))
    replay = stats.place.capture(lambda: stats.update(x))
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


def test_captures_need_room_and_ids_on_the_device(on_device, monkeypatch):
    monkeypatch.setattr(_cuda, "_FIRST_ROOM", 4)
    x = batch(8, 4)
    stats = on_device(SampleMoments, 4)
    with pytest.raises(RuntimeError, match=r"reserve\(8\)"):
        stats.place.capture(lambda: stats.update(x))
    moments = on_device(ChannelMoments, 4)
    with pytest.raises(ValueError, match="every replay"):
        moments.place.capture(lambda: moments.update(x, range(8)))
