"""Bad input: a typed error that names value and fix, or the documented result; never a crash."""

import gc
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from tests.stats.oracle import examples
from tuiprobe import _native
from tuiprobe.stats import ActivationStats, ChannelMoments, ChannelTopK


def fake():
    with FakeTensorMode():
        return torch.zeros(4, 3)


def quantised():
    return torch.quantize_per_tensor(torch.zeros(4, 3), 0.1, 0, torch.qint8)


def shrunken(size):
    x = torch.zeros(4, 3)
    x.untyped_storage().resize_(size)
    return x


def nested(layout):
    return torch.nested.nested_tensor([torch.zeros(2, 3), torch.zeros(1, 3)], layout=layout)


def unaligned():
    return np.frombuffer(bytes(4 * 12 + 1), dtype=np.uint8)[1:].view(np.float32).reshape(4, 3)


WRONG_TYPES = {
    "integers": (lambda: torch.zeros(4, 3, dtype=torch.int64), "int64"),
    "float64": (lambda: torch.zeros(4, 3, dtype=torch.float64), "float64"),
    "booleans": (lambda: torch.zeros(4, 3, dtype=torch.bool), "bool"),
    "complex": (lambda: torch.zeros(4, 3, dtype=torch.complex64).conj(), "complex64"),
    "negated view": (lambda: torch._neg_view(torch.zeros(4, 3)), "resolve_neg"),
    "sparse": (lambda: torch.zeros(4, 3).to_sparse(), "to_dense"),
    "quantised": (quantised, "qint8"),
    "nested": (lambda: nested(torch.strided), "nested"),
    "jagged": (lambda: nested(torch.jagged), "nested"),
    "oneDNN": (lambda: torch.zeros(4, 3).to_mkldnn(), "to_dense"),
    "eight bits": (lambda: torch.zeros(4, 3).to(torch.float8_e4m3fn), "float8"),
    "meta": (lambda: torch.zeros(4, 3, device="meta"), "meta"),
    "fake": (fake, "memory"),
    "list": (lambda: [[1.0, 2.0, 3.0]], "list"),
    "none": (lambda: None, "NoneType"),
    "NumPy float64": (lambda: np.zeros((4, 3)), "float64"),
    "NumPy big-endian": (lambda: np.zeros((4, 3), dtype=">f4"), ">f4"),
    "NumPy objects": (lambda: np.zeros((4, 3), dtype=object), "'O'"),
}


WRONG_VALUES = {
    "channels": (lambda: (torch.zeros(4, 5), {}), "expected 3 channels.*got 5"),
    "one dimension": (lambda: (torch.zeros(3), {}), "dimensions"),
    "five dimensions": (lambda: (torch.zeros(1, 1, 1, 1, 3), {}), "dimensions"),
    "scalar": (lambda: (torch.tensor(1.0), {}), "dimensions"),
    "channel_dim 0": (lambda: (torch.zeros(3, 3), {"channel_dim": 0}), "channel_dim"),
    "channel_dim 2 of 4": (lambda: (torch.zeros(3, 3, 3, 3), {"channel_dim": 2}), "channel_dim"),
    "channel_dim 9": (lambda: (torch.zeros(3, 3), {"channel_dim": 9}), "channel_dim"),
    "channel_dim None": (lambda: (torch.zeros(3, 3), {"channel_dim": None}), "channel_dim"),
    "no positions": (lambda: (torch.zeros(2, 0, 3), {}), "without positions"),
    "unaligned": (lambda: (unaligned(), {}), "aligned"),
    "freed": (lambda: (shrunken(0), {}), "48 bytes.*holds 0; it was resized or freed"),
    "memory too short": (lambda: (shrunken(47), {}), "48 bytes.*holds 47"),
    "ids too few": (lambda: (torch.zeros(4, 3), {"sample_ids": [1, 2]}), "4 images"),
    "ids 2-D": (lambda: (torch.zeros(1, 3), {"sample_ids": [[1]]}), "1 images"),
    "ids ragged": (lambda: (torch.zeros(2, 3), {"sample_ids": [[1], [2, 3]]}), "flat list"),
    "ids negative": (lambda: (torch.zeros(1, 3), {"sample_ids": [-1]}), "negative"),
    "ids too large": (
        lambda: (torch.zeros(1, 3), {"sample_ids": np.array([2**63 + 5], np.uint64)}),
        str(2**63 + 5),
    ),
}


@pytest.mark.parametrize("name", WRONG_TYPES | WRONG_VALUES)
@pytest.mark.filterwarnings("ignore:.*quant.*", "ignore:.*[Ss]parse.*", "ignore:.*nested.*")
def test_wrong_input(name):
    stats = ActivationStats(3)
    if name in WRONG_TYPES:
        make, message = WRONG_TYPES[name]
        with pytest.raises(TypeError, match=message):
            stats.update(make())
    else:
        make, message = WRONG_VALUES[name]
        x, options = make()
        with pytest.raises(ValueError, match=message):
            stats.update(x, **options)  # type: ignore[arg-type]
    assert stats.compute().samples.rows == 0


def test_what_an_accumulator_is_made_of():
    for error, name, make in (
        (TypeError, "sample_ids", lambda: ChannelMoments(3).update(torch.zeros(1, 3), ["a"])),
        (TypeError, "sample_ids", lambda: ChannelMoments(3).update(torch.zeros(1, 3), [0.5])),
        (TypeError, "channels", lambda: ChannelMoments(3.0)),  # type: ignore[arg-type]
        (ValueError, "channels", lambda: ActivationStats(0)),
        (ValueError, "channels", lambda: ActivationStats(2**40)),
        (TypeError, "k must", lambda: ChannelTopK(3, k=None)),  # type: ignore[arg-type]
        (ValueError, "k must", lambda: ChannelTopK(3, k=0)),
        (ValueError, "device", lambda: ChannelMoments(3, device="meta")),
    ):
        with pytest.raises(error, match=name):
            make()


def test_what_is_read_and_what_changes_nothing():
    stats, of_array = ChannelMoments(2), ChannelMoments(2)
    for shape in [(0, 2), (0, 5, 2), (0, 0, 2)]:
        stats.update(torch.zeros(shape))
    assert stats.compute().count.tolist() == [0, 0]
    assert np.isnan(stats.compute().mean).all()
    x = torch.randn(50, 2, requires_grad=True)
    stats.update(x)
    of_array.update(x.detach().numpy())
    np.testing.assert_array_equal(stats.compute().kurtosis, of_array.compute().kurtosis)


def test_inside_a_function_transform():
    stats = ChannelMoments(3)

    def seen(x):
        stats.update(x)
        return x.sum()

    for transform in (torch.func.vmap, torch.func.grad):
        x = torch.zeros((2, 4, 3) if transform is torch.func.vmap else (4, 3))
        with pytest.raises(TypeError, match="no readable memory"):
            transform(seen)(x)
    assert stats.compute().count.tolist() == [0, 0, 0]


def test_wrong_device():
    class Elsewhere(torch.Tensor):
        device = torch.device("cuda", 0)

    x = torch.zeros(2, 3).as_subclass(Elsewhere)
    with pytest.raises(ValueError, match="cuda"):
        ChannelMoments(3).update(x)


@pytest.mark.parametrize("largest", [True, False])
def test_k_larger_than_n_leaves_the_rest_empty(largest):
    top = ChannelTopK(2, k=4, largest=largest)
    top.update(torch.tensor([[1.0, np.nan], [3.0, 2.0]]), [7, 5])
    result = top.compute()
    values, ids, positions = result.values, result.sample_ids, result.positions
    assert ids.tolist() == [[5, 7, -1, -1] if largest else [7, 5, -1, -1], [5, -1, -1, -1]]
    assert (positions == np.where(ids < 0, -1, 0)).all()
    assert (np.isnan(values) == (ids < 0)).all()
    top.update(torch.tensor([[2.0, 9.0]]), [6])  # there is room left
    assert top.compute().sample_ids[0].tolist() == [*((5, 6, 7) if largest else (7, 6, 5)), -1]


def test_memory_lives_as_long_as_the_call_whatever_happens_to_its_tensor(monkeypatch):
    """Another thread may give the tensor other memory while the call has released the GIL."""
    stats, x = ChannelMoments(2048), torch.ones(512, 2048)
    core = stats._core
    taken: list[torch.Tensor] = []

    class Meanwhile:
        def update(self, *arguments):
            x.set_()  # type: ignore[call-overload]
            gc.collect()
            taken.extend(torch.full((512, 2048), 9.0) for _ in range(8))
            core.update(*arguments)

    monkeypatch.setattr(stats, "_core", Meanwhile())
    stats.update(x)
    monkeypatch.undo()
    assert stats.compute().max.tolist() == [1.0] * 2048


def test_threads_on_one_accumulator():
    stats, x = ActivationStats(40, k=3), torch.randn(300, 40)
    workers = [
        threading.Thread(target=lambda: [stats.update(x) for _ in range(10)]) for _ in range(4)
    ]
    readers = [threading.Thread(target=lambda: [stats.compute() for _ in range(20)])]
    for thread in workers + readers:
        thread.start()
    for thread in workers + readers:
        thread.join()
    assert stats.compute().moments.count.tolist() == [12000] * 40
    assert len(stats.compute().samples.sample_ids) == 12000


def test_two_merges_crosswise_do_not_deadlock():
    a, b = ChannelMoments(4), ChannelMoments(4)
    a.update(torch.ones(1, 4))
    one = threading.Thread(target=lambda: [a.merge(b) for _ in range(20)])
    two = threading.Thread(target=lambda: [b.merge(a) for _ in range(20)])
    one.start()
    two.start()
    one.join(30)
    two.join(30)
    assert not one.is_alive()
    assert not two.is_alive()


PROGRAM = """
import os, torch
before = {l.split()[-1] for l in open("/proc/self/maps") if "omp" in l}
from tuiprobe.stats import ChannelMoments, average_precision, instruction_set, openmp_runtime
stats = ChannelMoments(64)
stats.update(torch.randn(4096, 64))
after = {l.split()[-1] for l in open("/proc/self/maps") if "omp" in l}
assert after == before, after - before
assert openmp_runtime() in after, openmp_runtime()
os.environ["TUIPROBE_ISA"] = "sse9"
try:
    instruction_set()
except RuntimeError as error:
    assert "TUIPROBE_ISA" in str(error) and "generic, avx2 or avx512" in str(error), error
else:
    raise AssertionError
if os.fork() == 0:
    for call in (
        lambda: stats.update(torch.randn(4, 64)),
        lambda: average_precision(torch.randn(4, 2), torch.eye(4)),
    ):
        try:
            call()
        except RuntimeError as error:
            if "spawn" not in str(error):
                os._exit(8)
        else:
            os._exit(9)
    os._exit(7)
raise SystemExit(os.waitstatus_to_exitcode(os.wait()[1]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.slow
def test_a_process_of_its_own():
    """Only torch's OpenMP is loaded, an unknown set is named, a forked child is refused."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 7, done.stderr


SMALL = st.integers(-2, 5)
ANYTHING = st.one_of(SMALL, st.none(), st.text(max_size=2), st.floats(), st.integers())
MEMORY = np.arange(4096, dtype=np.float32)


@given(
    shape=st.one_of(st.tuples(SMALL, SMALL, SMALL, SMALL), st.tuples(SMALL, SMALL), ANYTHING),
    ids=st.one_of(
        st.none(),
        ANYTHING,
        st.integers(0, 6).map(lambda n: np.arange(n)),
        st.integers(0, 6).map(lambda n: np.zeros(n, dtype=np.float32)),
    ),
    dtype=ANYTHING,
    threads=st.one_of(st.integers(-3, 70), ANYTHING),
    null=st.booleans(),
)
@examples(25)
def test_fuzzed_binding_never_crashes(shape, ids, dtype, threads, null):
    core = _native.Accumulator(channels=3, moments=True, largest=2, smallest=2, samples=True)
    address = 0 if null else MEMORY.ctypes.data
    try:
        core.update(address, dtype, shape, (75, 15, 3, 1), ids, threads)
    except (TypeError, ValueError):
        assert core.images() == 0


@given(
    st.dictionaries(
        st.sampled_from(["images", "moments", "largest", "smallest", "samples"]),
        st.one_of(
            ANYTHING,
            st.just(np.zeros(1, dtype=np.int64)),
            st.dictionaries(
                st.sampled_from(["count", "mean", "m2", "values", "sample_ids", "positions"]),
                st.one_of(ANYTHING, st.integers(0, 7).map(lambda n: np.zeros(n))),
            ),
        ),
    )
)
@examples(25)
def test_fuzzed_state_is_refused(state):
    core = _native.Accumulator(channels=3, moments=True, largest=2, smallest=2, samples=True)
    with pytest.raises((TypeError, ValueError, KeyError, RuntimeError)):
        core.load(state)


SHORT = st.integers(0, 7)
COLUMN = st.one_of(
    ANYTHING,
    st.lists(SMALL, max_size=7).map(lambda v: np.array(v, dtype=np.int64)),
    st.lists(SMALL, max_size=7).map(lambda v: np.array(v, dtype=np.int32)),
    SHORT.map(lambda n: np.ones(n)),
    SHORT.map(lambda n: np.ones(n, dtype=np.uint64)),
)


@given(
    shape=st.one_of(st.tuples(SMALL, SMALL), ANYTHING),
    columns=st.tuples(*[COLUMN] * 6),
    dtype=ANYTHING,
    threads=st.one_of(st.integers(-3, 70), ANYTHING),
    null=st.booleans(),
)
@examples(25)
def test_fuzzed_average_precision_never_crashes(shape, columns, dtype, threads, null):
    address = 0 if null else MEMORY.ctypes.data
    try:
        result, bad = _native.average_precision(  # type: ignore[call-arg]
            address, dtype, shape, (5, 1), *columns, False, threads
        )
    except (TypeError, ValueError, OverflowError):
        return
    assert result.shape == (shape[1], len(columns[2]))
    assert bad == -1


@given(st.data())
@examples(25)
def test_fuzzed_labels_are_read_within_bounds(data):
    """Every argument fits but one entry, which may not."""
    concepts = data.draw(st.integers(1, 4))
    inside = st.lists(st.integers(0, concepts - 1), max_size=7)
    rows = data.draw(st.lists(inside, min_size=1, max_size=4))
    images = len(rows)
    starts = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    labels = np.array([label for row in rows for label in row], dtype=np.int32)
    groups = np.ones(images, dtype=np.uint64)
    of = np.zeros(concepts, dtype=np.int32)
    changed = data.draw(st.sampled_from([starts, labels, of]))
    if len(changed):
        at = data.draw(st.integers(0, len(changed) - 1))
        changed[at] = data.draw(st.sampled_from([-(2**31), -1, 0, 1, 5, 64, 2**31 - 1]))
    weights = np.ones(concepts)
    arguments = (starts, labels, weights, weights, groups, of)
    valid = (
        starts[0] == 0 and (np.diff(starts) >= 0).all() and starts[-1] == len(labels)
        and ((labels >= 0) & (labels < concepts)).all() and ((of >= 0) & (of < 64)).all()
    )  # fmt: skip
    address = MEMORY.ctypes.data
    if valid:
        _native.average_precision(address, 0, (images, 2), (5, 1), *arguments, False, 1)
    else:
        with pytest.raises(ValueError, match=r"starts|concept|group"):
            _native.average_precision(address, 0, (images, 2), (5, 1), *arguments, False, 1)


@given(st.data())
@examples(25)
def test_fuzzed_state_of_a_device_never_crashes(data):
    parts: dict[str, Any] = {"moments": True, "largest": 2, "smallest": 1, "samples": True}
    device = _native.DeviceState(channels=2, **parts)
    empty = _native.Accumulator(channels=2, **parts).state()
    state = bytearray(device.place(empty, 0, 4)[0])
    for at in data.draw(st.lists(st.integers(0, len(state) // 8 - 1), max_size=4)):
        worst = [0, 1, 3, -1, 2**31, 2**59, 2**63 - 1, -(2**63), 0x7FF8 << 48]
        state[8 * at : 8 * at + 8] = np.int64(data.draw(st.sampled_from(worst))).tobytes()
    size = _native.CUDA_RECORD_BYTES
    records = data.draw(st.sampled_from([b"", b"\xff" * size, b"\1" * size, b"\0" * (3 * size)]))
    assert len(device.progress(bytes(state))) == 2
    loaded = _native.Accumulator(channels=2, **parts)
    try:
        loaded.load(device.read(bytes(state), records))
    except (ValueError, MemoryError):
        assert loaded.images() == 0
    with pytest.raises((TypeError, ValueError)):
        device.read(data.draw(ANYTHING), records)
    with pytest.raises((TypeError, ValueError, KeyError, RuntimeError)):
        device.place(data.draw(ANYTHING), 0, 0)
