from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from tuiprobe import rundir
from tuiprobe.errors import DataError, RunError
from tuiprobe.rundir import (
    DamagedFileError,
    RunDir,
    delete_run,
    read_arrays,
    read_json,
    write_arrays,
    write_bytes,
    write_text,
)

dtypes = st.sampled_from([np.float32, np.float64, np.int64, np.int32, np.uint8])
named_arrays = st.dictionaries(
    st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__"),
    dtypes.flatmap(
        lambda dtype: arrays_of.arrays(dtype, arrays_of.array_shapes(min_dims=0, min_side=0))
    ),
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(named_arrays)
def test_arrays_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, found) -> None:
    path = tmp_path_factory.mktemp("arrays") / "a.safetensors"
    write_arrays(path, found, {"note": "x"})
    read, metadata = read_arrays(path)
    assert metadata == {"note": "x"}
    assert read.keys() == found.keys()
    for name, array in found.items():
        assert read[name].dtype == array.dtype
        assert read[name].shape == array.shape
        assert read[name].tobytes() == array.tobytes()


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_damage_goes_unnoticed(tmp_path_factory: pytest.TempPathFactory, data) -> None:
    path = tmp_path_factory.mktemp("damage") / "a.safetensors"
    write_arrays(path, {"x": np.arange(20.0), "y": np.zeros((2, 3))}, {"key": "k"})
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[place:]
    else:
        content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        read, metadata = read_arrays(path)
    except DamagedFileError:
        return
    # Nothing but the order or spacing of the header can have changed.
    assert metadata == {"key": "k"}
    assert read.keys() == {"x", "y"}
    assert (read["x"] == np.arange(20.0)).all()
    assert (read["y"] == np.zeros((2, 3))).all()


def test_links_and_large_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('{"a": 1}')
    (tmp_path / "link.json").symlink_to(secret)
    with pytest.raises(DamagedFileError, match="symbolic links"):
        read_json(tmp_path / "link.json")
    monkeypatch.setattr(rundir, "MAX_JSON_BYTES", 4)
    with pytest.raises(DamagedFileError, match="above the limit"):
        read_json(secret)


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="No space left"):
        write_bytes(path, b"new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_only_runs_are_deleted(tmp_path: Path) -> None:
    place = tmp_path / "thesis"
    place.mkdir()
    with pytest.raises(DataError, match="is no run directory"):
        delete_run(RunDir(place))
    run = RunDir(tmp_path / "run")
    run.create("k" * 64)
    (tmp_path / "link").symlink_to(run.path)
    with pytest.raises(DataError, match="is no run directory"):
        delete_run(RunDir(tmp_path / "link"))
    delete_run(run)
    assert not run.path.exists()


def test_a_directory_belongs_to_one_key(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    assert run.create("a" * 64)
    assert not run.create("a" * 64)
    with pytest.raises(DataError, match="holds a run with other content"):
        run.create("b" * 64)


def test_a_rank_that_starts_beside_another_does_not_take_its_files_for_foreign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunDir(tmp_path / "run")
    run.path.mkdir()
    (run.path / ".key.123.tmp").touch()  # the other rank is about to publish the key
    listing = os.listdir

    def while_the_other_creates(path: Path) -> list[str]:
        RunDir(tmp_path / "run").path.joinpath("key").write_text("a" * 64 + "\n")
        (run.path / "plan.json").touch()
        return listing(path)

    run.refuse_foreign("a" * 64)
    monkeypatch.setattr(os, "listdir", while_the_other_creates)
    assert not run.create("a" * 64)
    with pytest.raises(DataError, match="holds a run with other content"):
        run.create("b" * 64)
