"""How a state lies in device memory: written here by hand, read by the native module."""

from typing import Any

import numpy as np
import pytest

from tuiprobe.stats._native import native

NOTHING: dict[str, Any] = {"moments": False, "largest": 0, "smallest": 0, "samples": False}
EVERYTHING: dict[str, Any] = {"moments": True, "largest": 2, "smallest": 2, "samples": True}

PROGRESS = np.dtype(
    [("images", "i8"), ("recorded", "i8"), ("negative", "i8"), ("at", "u8"), ("room", "i8")]
)
MOMENTS = np.dtype(
    [
        ("count", "i8"),
        ("nonfinite", "i8"),
        *((f, "f8") for f in ["mean", "m2", "m3", "m4", "min", "max"]),
    ]
)
ENTRY = np.dtype([("key", "f4"), ("position", "i4"), ("id", "i8")])
RECORD = np.dtype([("id", "i8"), ("kurtosis", "f8"), ("self_share", "f8"), ("leading", "i8")])


def padded(array):
    data = array.tobytes()
    return data + b"\0" * (-len(data) % 16)


def top(entries, sizes):
    return padded(np.array(entries, ENTRY)) + padded(np.array(sizes, "i4"))


def accumulator(parts, channels=3):
    return native.Accumulator(channels=channels, **NOTHING | parts)


@pytest.mark.parametrize(
    "parts", [{"moments": True}, {"largest": 4}, {"samples": True}, EVERYTHING]
)
def test_a_state_survives_the_way_to_the_device_and_back(parts):
    core = accumulator(parts)
    device = native.DeviceState(channels=3, **NOTHING | parts)
    for _ in range(2):
        wanted = core.state()
        state, records = device.place(wanted, 1 << 40, 50)
        assert len(state) == device.bytes()
        images = len(records) // RECORD.itemsize
        header = np.frombuffer(state[: PROGRESS.itemsize], PROGRESS)[0]
        assert header.tolist() == (int(wanted["images"][0]), images, 0, 1 << 40, 50)
        assert device.progress(state) == (images, 0)
        loaded = accumulator(parts)
        loaded.load(device.read(state, records))
        for name, value in wanted.items():
            np.testing.assert_equal(loaded.state()[name], value)
        x = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32)
        x[2] = 1
        core.update(x.ctypes.data, 0, (7, 1, 1, 3), (3, 3, 3, 1), None, 1)


def test_what_the_kernels_leave_is_read():
    device = native.DeviceState(channels=2, **EVERYTHING)
    moments = np.array([(3, 1, 1.5, 2, 3, 4, -1, 5), (0, 4, 0, 0, 0, 0, np.inf, -np.inf)], MOMENTS)
    void = (0, 0, 0)
    state = b"".join(
        [
            padded(np.array([(12, 2, 3, 1 << 40, 8)], PROGRESS)),
            padded(moments),
            top([(5, 1, 11), (3, 0, 10), (2, 1, 10), void], [2, 1]),
            top([(1, 0, 10), void, void, void], [1, 0]),
            padded(np.array([0.75, 0.25])),
            padded(np.array([0.625])),
            padded(np.array([1, 0])),
            padded(np.array([2, 0])),
            padded(np.arange(96)),
            padded(np.array([4])),
            padded(np.array([1])),
        ]
    )
    records = np.array([(10, 2.5, 0.625, 0), (11, np.nan, np.nan, -1)], RECORD)
    assert device.progress(state) == (2, 3)
    loaded = native.Accumulator(channels=2, **EVERYTHING)
    loaded.load(device.read(state, records.tobytes()))
    got = loaded.state()
    assert got["images"].tolist() == [12]
    for name in MOMENTS.names:
        np.testing.assert_equal(got["moments"][name], moments[name])
    np.testing.assert_equal(got["largest"]["values"], np.float32([[5, 3], [2, np.nan]]))  # type: ignore[arg-type]
    assert got["largest"]["sample_ids"].tolist() == [[11, 10], [10, -1]]
    assert got["largest"]["positions"].tolist() == [[1, 0], [1, -1]]
    np.testing.assert_equal(got["smallest"]["values"], np.float32([[-1, np.nan], [np.nan] * 2]))  # type: ignore[arg-type]
    samples = got["samples"]
    np.testing.assert_equal(samples["kurtosis"], [2.5, np.nan])
    np.testing.assert_equal(samples["self_share"], [0.625, np.nan])
    assert samples["sample_ids"].tolist() == [10, 11]
    assert samples["leading"].tolist() == [0, -1]
    assert samples["leading_count"].tolist() == [1, 0]
    assert samples["share_square_sum"].tolist() == [0.625]
    assert samples["share_sum"].tolist() == [0.75, 0.25]
    assert samples["exceed_count"].tolist() == [2, 0]
    assert samples["norm_histogram"].tolist() == list(range(96))
    assert (samples["rows"].tolist(), samples["degenerate"].tolist()) == ([4], [1])


def test_bytes_of_another_state_are_refused():
    device = native.DeviceState(channels=2, **EVERYTHING)
    state, records = device.place(native.Accumulator(channels=2, **EVERYTHING).state(), 0, 0)
    assert records == b""
    with pytest.raises(ValueError, match="another size"):
        device.progress(state + b"\0")
    with pytest.raises(ValueError, match="more records than images"):
        device.read(state, b"\0" * RECORD.itemsize)
    with pytest.raises(ValueError, match="bytes of records"):
        device.read(state, b"\0")
    with pytest.raises(ValueError, match="entries, expected"):
        device.place(accumulator(EVERYTHING).state(), 0, 0)
    with pytest.raises(ValueError, match="more than the kernels keep"):
        native.DeviceState(channels=2, **NOTHING | {"largest": native.CUDA_MAX_K + 1})
    with pytest.raises(ValueError, match="range"):
        native.DeviceState(channels=native.CUDA_MAX_CHANNELS + 1, **NOTHING)


def test_scratch_follows_from_the_shape():
    device = native.DeviceState(channels=768, **EVERYTHING)
    assert 0 < device.scratch_bytes((50432, 1, 1, 768)) < 64 << 20
    assert 0 < device.scratch_bytes((256, 1, 197, 768)) < 64 << 20
    with pytest.raises(ValueError, match="channels"):
        device.scratch_bytes((4, 1, 1, 5))
    with pytest.raises(ValueError, match="sizes"):
        device.scratch_bytes((0, 1, 1, 768))


@pytest.mark.parametrize(
    ("read", "data", "dtype", "shape", "strides"),
    [
        (True, 16, 0, (5, 1, 3, 8), (24, 24, 8, 1)),
        (True, 16, 1, (5, 1, 3, 8), (48, 0, 16, 1)),  # gaps of whole vectors
        (True, 16, 2, (1, 1, 1, 8), (3, 3, 3, 1)),  # strides of a single row
        (True, 2, 1, (5, 1, 3, 7), (21, 21, 7, 1)),  # rows that are no vectors may lie anywhere
        (True, 4, 0, (5, 1, 1, 1), (9, 9, 9, 5)),
        (False, 8, 1, (5, 1, 3, 8), (24, 24, 8, 1)),
        (False, 16, 1, (5, 1, 3, 8), (36, 0, 12, 1)),
        (False, 16, 1, (5, 1, 3, 8), (36, 0, 8, 1)),
        (False, 16, 0, (5, 1, 3, 8), (24, 24, 1, 3)),  # channels second
        (False, 16, 0, (5, 3, 3, 8), (144, 48, 8, 1)),  # cropped
    ],
)
def test_what_kernels_read_as_it_lies(read, data, dtype, shape, strides):
    device = native.DeviceState(channels=shape[3], **NOTHING)
    assert device.reads(data, dtype, shape, strides) == read
