"""How a state gets to device memory and back; `tests/csrc` runs the kernels on it."""

from typing import Any

import numpy as np
import pytest

from tuiprobe.stats._native import native

NOTHING: dict[str, Any] = {"moments": False, "largest": 0, "smallest": 0, "samples": False}
EVERYTHING: dict[str, Any] = {"moments": True, "largest": 2, "smallest": 2, "samples": True}

PROGRESS = np.dtype(
    [("images", "i8"), ("recorded", "i8"), ("negative", "i8"), ("at", "u8"), ("room", "i8")]
)
RECORD = np.dtype([("id", "i8"), ("kurtosis", "f8"), ("self_share", "f8"), ("leading", "i8")])


def accumulator(parts, channels=3):
    return native.Accumulator(channels=channels, **NOTHING | parts)


@pytest.mark.parametrize(
    "parts", [{"moments": True}, {"largest": 4}, {"samples": True}, EVERYTHING]
)
def test_a_state_survives_the_way_to_the_device_and_back(parts):
    core = accumulator(parts)
    device = native.DeviceState(channels=3, **NOTHING | parts)
    for _ in range(2):
        expected = core.state()
        state, records = device.place(expected, 1 << 40, 50)
        assert len(state) == device.bytes()
        images = len(records) // RECORD.itemsize
        header = np.frombuffer(state[: PROGRESS.itemsize], PROGRESS)[0]
        assert header.tolist() == (int(expected["images"][0]), images, 0, 1 << 40, 50)
        assert device.progress(state) == (images, 0)
        loaded = accumulator(parts)
        loaded.load(device.read(state, records))
        for name, value in expected.items():
            np.testing.assert_equal(loaded.state()[name], value)
        x = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32)
        x[2] = 1
        core.update(x.ctypes.data, 0, (7, 1, 1, 3), (3, 3, 3, 1), None, 1)


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
