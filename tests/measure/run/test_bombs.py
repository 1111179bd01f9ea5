"""A run directory that asks for gigabytes is refused in a sentence, in time and memory."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.measure.run.bombs import BOMBS
from tuiprobe.files import DamagedFileError
from tuiprobe.measure.run.arrays import read_arrays, read_unsealed, write_arrays
from tuiprobe.measure.run.directory import RunDir

SECONDS = 10


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, float]]:
    """Returns the answer to each bomb, read by one process with little memory."""
    if not sys.platform.startswith("linux"):
        pytest.skip("the memory of a process is bounded on Linux alone")
    words = [sys.executable, "-m", "tests.measure.run.bombs", str(tmp_path_factory.mktemp("bombs"))]
    done = subprocess.run(words, capture_output=True, text=True, timeout=850)
    assert done.returncode == 0, done.stderr
    result: dict[str, tuple[str, float]] = json.loads(done.stdout)
    return result


@pytest.mark.timeout(900)  # of one process that reads all
@pytest.mark.slow
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_ends_in_time_and_memory(bomb: str, answers: dict[str, tuple[str, float]]) -> None:
    message, seconds = answers[bomb]
    assert BOMBS[bomb][2] in message.replace("Unable to allocate", "memory")
    assert "\n" not in message
    assert seconds < SECONDS


ONE = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
OTHER = {"dtype": "F32", "shape": [4], "data_offsets": [16, 32]}
HEADERS: dict[str, object] = {
    "overlap": {"a": ONE, "b": ONE},
    "half overlap": {"a": ONE, "b": {**OTHER, "data_offsets": [8, 32], "shape": [6]}},
    "gap": {"a": {**ONE, "data_offsets": [16, 32]}},
    "rest": {"a": ONE},
    "beyond": {"a": {**ONE, "shape": [2**40], "data_offsets": [0, 2**42]}},
    "negative": {"a": {**ONE, "shape": [-4]}, "b": OTHER},
    "backwards": {"a": {**ONE, "data_offsets": [32, 0]}},
    "infinite": {"a": {**ONE, "shape": [float("1e308") * 10]}, "b": OTHER},
    "fraction": {"a": {**ONE, "shape": [4.0]}, "b": OTHER},
    "no bytes": {"a": {**ONE, "shape": [2**62, 0], "data_offsets": [0, 0]}, "b": OTHER},
    "unknown type": {"a": {**ONE, "dtype": "F99"}, "b": OTHER},
    "many dimensions": {"a": {**ONE, "shape": [1] * 40 + [4]}, "b": OTHER},
    "list": [ONE],
    "text": {"a": "x", "b": OTHER},
}


@pytest.mark.parametrize("kind", HEADERS)
def test_a_header_that_lies_is_refused(kind: str, tmp_path: Path) -> None:
    entry = RunDir(tmp_path).at("x.safetensors")
    header = json.dumps(HEADERS[kind]).replace("Infinity", "1e999").encode()
    entry.path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(32))
    for read in (read_arrays, lambda entry: read_unsealed(entry, 2**20)):
        with pytest.raises(DamagedFileError, match=r"x\.safetensors (is damaged|cannot be read)"):
            read(entry)


def test_a_header_without_end_is_refused(tmp_path: Path) -> None:
    entry = RunDir(tmp_path).at("x.safetensors")
    for length in (0, 7, 8, 2**40, 2**64 - 1):
        entry.path.write_bytes(length.to_bytes(8, "little")[:length] + b"{}")
        with pytest.raises(DamagedFileError, match=r"x\.safetensors is damaged"):
            read_arrays(entry)


def test_arrays_of_every_type_and_shape_come_back(tmp_path: Path) -> None:
    entry = RunDir(tmp_path).at("x.safetensors")
    arrays = {
        **{kind: np.arange(6).reshape(2, 3).astype(kind) for kind in
           ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?")},
        "single": np.array(3.5), "empty": np.empty((0, 3), "f4"), "none": np.empty((3, 0)),
    }  # fmt: skip
    write_arrays(entry, arrays, {"key": "k"})
    result, metadata = read_arrays(entry)
    assert metadata == {"key": "k"}
    assert result.keys() == arrays.keys()
    for name, array in arrays.items():
        assert result[name].dtype == array.dtype
        assert np.array_equal(result[name], array)
