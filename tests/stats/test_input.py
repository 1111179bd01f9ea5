"""Bad input: a typed error that names value and fix, or the documented result; never a crash."""

import gc
import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from tuiprobe import _native
from tuiprobe.stats import ActivationStats, ChannelMoments, ChannelTopK, SampleMoments


def fake():
    with FakeTensorMode():
        return torch.zeros(4, 3)


def quantised():
    return torch.quantize_per_tensor(torch.zeros(4, 3), 0.1, 0, torch.qint8)


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
    "meta": (lambda: torch.zeros(4, 3, device="meta"), "meta"),
    "fake": (fake, "memory"),
    "list": (lambda: [[1.0, 2.0, 3.0]], "list"),
    "none": (lambda: None, "NoneType"),
    "NumPy float64": (lambda: np.zeros((4, 3)), "float64"),
    "NumPy big-endian": (lambda: np.zeros((4, 3), dtype=">f4"), ">f4"),
    "NumPy objects": (lambda: np.zeros((4, 3), dtype=object), "'O'"),
}


@pytest.mark.parametrize("name", WRONG_TYPES)
@pytest.mark.filterwarnings("ignore:.*quant.*", "ignore:.*[Ss]parse.*")
def test_wrong_types(name):
    make, message = WRONG_TYPES[name]
    stats = ActivationStats(3)
    with pytest.raises(TypeError, match=message):
        stats.update(make())
    assert stats.compute().samples.rows == 0


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
    "ids too few": (lambda: (torch.zeros(4, 3), {"sample_ids": [1, 2]}), "4 images"),
    "ids 2-D": (lambda: (torch.zeros(1, 3), {"sample_ids": [[1]]}), "1 images"),
    "ids negative": (lambda: (torch.zeros(1, 3), {"sample_ids": [-1]}), "negative"),
}


@pytest.mark.parametrize("name", WRONG_VALUES)
def test_wrong_values(name):
    make, message = WRONG_VALUES[name]
    x, options = make()
    stats = ActivationStats(3)
    with pytest.raises(ValueError, match=message):
        stats.update(x, **options)
    assert stats.compute().samples.rows == 0


@pytest.mark.parametrize("ids", [[0.5], torch.tensor([1.0]), ["a"], torch.tensor([True])])
def test_ids_that_are_no_integers(ids):
    with pytest.raises(TypeError, match="sample_ids"):
        ChannelMoments(3).update(torch.zeros(1, 3), ids)


@pytest.mark.parametrize("channels", [0, -1, 2**40])
def test_channel_numbers_out_of_range(channels):
    with pytest.raises(ValueError, match="channels"):
        ActivationStats(channels)


def test_constructor_types():
    with pytest.raises(TypeError, match="channels"):
        ChannelMoments(3.0)
    with pytest.raises(TypeError, match="k must"):
        ChannelTopK(3, k=None)
    with pytest.raises(ValueError, match="k must"):
        ChannelTopK(3, k=0)
    with pytest.raises(ValueError, match="device"):
        ChannelMoments(3, device="meta")


def test_wrong_device():
    class Elsewhere(torch.Tensor):
        device = torch.device("cuda", 0)

    x = torch.zeros(2, 3).as_subclass(Elsewhere)
    with pytest.raises(ValueError, match="cuda"):
        ChannelMoments(3).update(x)


@pytest.mark.parametrize("shape", [(0, 3), (0, 5, 3), (0, 0, 3)])
def test_empty_batches_change_nothing(shape):
    stats = ActivationStats(3)
    stats.update(torch.zeros(shape))
    assert stats.compute().moments.count.tolist() == [0, 0, 0]
    assert np.isnan(stats.compute().moments.mean).all()


def test_tensors_that_require_grad_are_read():
    stats = ChannelMoments(2)
    stats.update(torch.ones(4, 2, requires_grad=True) * 2)
    assert stats.compute().mean.tolist() == [2.0, 2.0]


def test_numpy_and_torch_agree():
    x = torch.randn(50, 6)
    a, b = ChannelMoments(6), ChannelMoments(6)
    a.update(x)
    b.update(x.numpy())
    np.testing.assert_array_equal(a.compute().kurtosis, b.compute().kurtosis)


def test_the_call_keeps_its_tensor_alive():
    stats = ChannelMoments(256)
    for _ in range(20):
        stats.update(torch.ones(512, 256))
        gc.collect()
    assert stats.compute().max.tolist() == [1.0] * 256


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


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=120,
    )


def test_a_forked_child_is_refused():
    result = run_python(
        """
        import os, torch
        from tuiprobe.stats import ChannelMoments
        stats = ChannelMoments(64)
        stats.update(torch.randn(4096, 64))
        if os.fork() == 0:
            try:
                stats.update(torch.randn(4, 64))
            except RuntimeError as error:
                os._exit(7 if "spawn" in str(error) else 8)
            os._exit(9)
        raise SystemExit(os.waitstatus_to_exitcode(os.wait()[1]))
        """
    )
    assert result.returncode == 7, result.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_only_torchs_openmp_runtime_is_loaded():
    result = run_python(
        """
        import torch
        before = {l.split()[-1] for l in open("/proc/self/maps") if "omp" in l}
        from tuiprobe.stats import ChannelMoments, openmp_runtime
        ChannelMoments(64).update(torch.randn(4096, 64))
        after = {l.split()[-1] for l in open("/proc/self/maps") if "omp" in l}
        assert after == before, after - before
        assert openmp_runtime() in after, openmp_runtime()
        """
    )
    assert result.returncode == 0, result.stderr


def test_an_unknown_instruction_set_is_named():
    result = run_python(
        """
        from tuiprobe.stats import instruction_set
        instruction_set()
        """,
        TUIPROBE_ISA="sse9",
    )
    assert "TUIPROBE_ISA" in result.stderr
    assert "generic, avx2 or avx512" in result.stderr


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
@settings(max_examples=400, deadline=None)
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
@settings(max_examples=200, deadline=None)
def test_fuzzed_state_is_refused(state):
    core = _native.Accumulator(channels=3, moments=True, largest=2, smallest=2, samples=True)
    with pytest.raises((TypeError, ValueError, KeyError, RuntimeError)):
        core.load(state)


def test_samples_of_one_update_stay_in_order():
    stats = SampleMoments(5)
    stats.update(torch.randn(1000, 5), range(1000, 2000))
    assert stats.compute().sample_ids.tolist() == list(range(1000, 2000))
