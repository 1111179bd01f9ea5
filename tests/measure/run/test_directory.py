import errno
import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from tuiprobe.errors import DataError, RunError
from tuiprobe.files import DamagedFileError, Entry
from tuiprobe.measure.run.arrays import read_arrays, write_arrays
from tuiprobe.measure.run.deletion import clear, delete_run, is_run, left_files_line
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.listing import list_runs
from tuiprobe.measure.run.status import StatusWriter, read_status
from tuiprobe.show.tui.child import Engine

SPEC = {"model": "mini_clip", "data": "miniature"}


def begun(path: Path, key: str = "a" * 64) -> RunDir:
    """Returns a run that holds a key and a spec."""
    run = RunDir(path)
    run.create(key)
    run.spec_file.write_json(SPEC)
    return run


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_no_damage_goes_unnoticed(tmp_path_factory: pytest.TempPathFactory, data) -> None:
    file = Entry(tmp_path_factory.mktemp("damage"), "a.safetensors")
    write_arrays(file, {"x": np.arange(20.0), "y": np.zeros((2, 3))}, {"key": "k"})
    content = bytearray(file.path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[place:]
    else:
        content[place] ^= data.draw(st.integers(1, 255))
    file.path.write_bytes(content)
    with pytest.raises(DamagedFileError):
        read_arrays(file)


def test_equal_arrays_give_equal_files(tmp_path: Path) -> None:
    texts = {f"key {number}": "ü\n" for number in range(20)}
    arrays = {name: np.arange(3) for name in "cab"}
    entry, two = (Entry(tmp_path, name) for name in ("one", "two"))
    checksum = write_arrays(entry, arrays, texts)
    assert checksum == write_arrays(
        two, dict(reversed(arrays.items())), dict(reversed(texts.items()))
    )
    assert entry.path.read_bytes() == two.path.read_bytes()
    assert safetensors.numpy.load_file(entry.path).keys() == arrays.keys()


def test_a_checksum_in_other_texts_is_not_taken_for_the_own_one(tmp_path: Path) -> None:
    file, text = Entry(tmp_path, "a.safetensors"), f'"sha256":"{"0" * 64}"'
    checksum = write_arrays(file, {text: np.arange(3)}, {"a": text, "z": text})
    assert read_arrays(file)[1] == {"a": text, "z": text}
    content = file.path.read_bytes()
    assert hashlib.sha256(content.replace(checksum.encode(), b"")).hexdigest() == checksum


def test_a_directory_belongs_to_one_key(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    run.create("b" * 64)
    run.status_file(0).replace(b"{}")
    clear(run)  # also before it has a spec
    assert run.create("a" * 64)
    assert not run.create("a" * 64)
    with pytest.raises(DataError, match="holds another run"):
        run.create("b" * 64)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file is no directory; choose another --output"):
        RunDir(tmp_path / "file").refuse_foreign("a" * 64)


def test_a_rank_that_starts_beside_another_does_not_take_its_files_for_foreign(
    tmp_path, monkeypatch
):
    run = RunDir(tmp_path / "run")
    run.path.mkdir()
    (run.path / ".key.123.tmp").touch()  # the other rank is about to publish the key
    listing = Path.iterdir

    def while_the_other_creates(path: Path) -> list[Path]:
        RunDir(tmp_path / "run").path.joinpath("key").write_text("a" * 64 + "\n")
        (run.path / "plan.json").touch()
        return list(listing(path))

    run.refuse_foreign("a" * 64)
    monkeypatch.setattr(Path, "iterdir", while_the_other_creates)
    assert not run.create("a" * 64)
    with pytest.raises(DataError, match="holds another run"):
        run.create("b" * 64)


NO_RUNS = {
    "nothing": {},
    "a key of a house": {"key": "my house key"},
    "a short key": {"key": "a" * 63, "spec.json": '{"model": "m", "data": "d"}'},
    "a loud key": {"key": "A" * 64, "spec.json": '{"model": "m", "data": "d"}'},
    "no spec": {"key": "a" * 64},
    "half a spec": {"key": "a" * 64, "spec.json": '{"model": "m"}'},
    "a list": {"key": "a" * 64, "spec.json": '["model", "data"]'},
    "no JSON": {"key": "a" * 64, "spec.json": "{"},
}


def test_only_runs_are_deleted(tmp_path: Path) -> None:
    for kind, files in NO_RUNS.items():
        place = tmp_path / kind
        place.mkdir()
        for name, content in (files | {"chapter.tex": "precious"}).items():
            (place / name).write_text(content)
        with pytest.raises(DataError, match="is no run directory"):
            delete_run(RunDir(place))
        with pytest.raises(DataError, match="no run"):  # noqa: PT012  (--fresh does both)
            clear(RunDir(place))
            RunDir(place).refuse_foreign("b" * 64)
        assert (place / "chapter.tex").read_text() == "precious"


def test_a_run_is_deleted_whole_and_a_link_to_it_is_not_followed(tmp_path: Path) -> None:
    run = begun(tmp_path / "run")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("precious")
    (run.path / "features").symlink_to(tmp_path / "outside")
    (tmp_path / "link").symlink_to(run.path)
    with pytest.raises(DataError, match="is no run directory"):
        delete_run(RunDir(tmp_path / "link"))
    delete_run(run)
    assert not run.path.exists()
    assert (tmp_path / "outside" / "file").read_text() == "precious"
    delete_run(run)  # what is not there needs no deleting


USERS = (
    "notes.txt", "labels-street.csv", "photos/cat.jpg",
    "shards/read me", "features/val/mine.npy", "report.html.bak",
)  # fmt: skip


@pytest.mark.parametrize("fresh", [True, False], ids=["--fresh", "--delete"])
def test_files_of_the_user_inside_a_run_are_kept_and_named(tmp_path: Path, fresh: bool) -> None:
    run = begun(tmp_path / "run")
    ours = ["plan.json", "shards/val-00000.safetensors", "tables/sets.csv",
            "features/val/images.safetensors", "thumbs/val/3.jpg",
            "status/0.json", "status/0.safetensors", "report.html",
            "shards/.val-00001.safetensors.0123abcd-77.tmp"]  # fmt: skip
    for name in (*ours, *USERS):
        run.at(name).write_bytes(b"x")
    with run.locked() if fresh else nullcontext():
        kept = clear(run) if fresh else delete_run(run)
    there = {
        path.relative_to(run.path).as_posix() for path in run.path.rglob("*") if path.is_file()
    } - {"lock"}
    assert there == set(USERS)
    assert kept == [
        "features/val/mine.npy", "labels-street.csv", "notes.txt", "photos", "report.html.bak",
        "shards/read me",
    ]  # fmt: skip
    assert not is_run(run)
    assert left_files_line(run.path, kept).endswith("notes.txt, photos, report.html.bak and 1 more")
    if fresh:  # the run begins again beside them; another run does not
        with pytest.raises(DataError, match="is no run directory"):
            RunDir(run.path).create("b" * 64)
        assert run.create("b" * 64)


def test_a_run_that_is_being_written_is_neither_deleted_nor_cleared(tmp_path: Path) -> None:
    run = begun(tmp_path / "run")
    run.at("shards/val-00000.safetensors").write_bytes(b"measured")
    for lock in ("lock", "lock-1", "lock-merge"):
        with other_process_holding(run, lock):
            with pytest.raises(RunError, match="is being written by process"):
                delete_run(run)
            with pytest.raises(RunError, match="is being written by process"), run.locked():
                clear(run)
    assert run.at("shards/val-00000.safetensors").read_bytes() == b"measured"
    with run.locked():
        clear(run)
    assert sorted(path.name for path in run.path.iterdir()) == ["lock", "lock-1", "lock-merge"]


class other_process_holding:  # noqa: N801  (reads as a statement)
    """Another process that holds a lock of a run."""

    def __init__(self, run: RunDir, name: str, then: str = "time.sleep(60)") -> None:
        code = f"""
            import os, sys, time
            from tuiprobe.measure.run.directory import RunDir
            with RunDir({str(run.path)!r}).locked({name!r}):
                print("held", flush=True)
                {then}
        """
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> subprocess.Popen[str]:
        assert self.process.stdout.readline() == "held\n"
        return self.process

    def __exit__(self, *unused: object) -> None:
        self.process.kill()
        self.process.communicate(timeout=60)


def test_a_lock_ends_with_its_process_though_forked_children_live_on(tmp_path: Path) -> None:
    run = begun(tmp_path / "run")
    # The child says its number: by then it has let go of the lock.
    fork = "os.fork() or print(os.getpid(), flush=True); time.sleep(300)"
    with other_process_holding(run, "lock", fork) as process:
        child = int(process.stdout.readline())
        try:
            process.send_signal(signal.SIGKILL)
            process.wait(60)
            with run.locked():
                os.kill(child, 0)  # it is still there
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_lock_of_a_deleted_run_is_worth_nothing(tmp_path: Path) -> None:
    run = begun(tmp_path / "run")
    descriptor = run.at("lock").descriptor(os.O_RDWR | os.O_CREAT)
    os.close(descriptor)
    with run.locked():
        (run.path / "lock").unlink()
        with other_process_holding(run, "lock"):  # another file by now
            assert (run.path / "lock").is_file()


def test_a_file_system_without_locks_is_refused_in_one_sentence(tmp_path, monkeypatch):
    run, number = begun(tmp_path / "run"), errno.ENOLCK
    before = sorted(path.name for path in run.path.iterdir())

    def no_locks(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    message = re.escape(f"{run.path} is on a file system without locks ({os.strerror(number)})")
    with pytest.raises(RunError, match=f"{message}.* choose an --output on another"), run.locked():
        pass
    with pytest.raises(RunError, match=message):
        delete_run(run)
    with pytest.raises(RunError, match=message):
        Engine(["--headless"], run.path)
    kept = sorted(path.name for path in run.path.iterdir() if not path.name.startswith("lock"))
    assert kept == before
    (row,) = list_runs(tmp_path)  # readers take no lock
    assert row.state == "unfinished"


def test_locks_and_statuses_are_never_written_through_a_link(tmp_path: Path) -> None:
    precious = tmp_path / "bashrc"
    precious.write_text("alias ls='ls --color'\n")
    run = begun(tmp_path / "run")
    (run.path / "status").mkdir()
    for name in ("lock", "lock-merge", "status/0.json"):
        (run.path / name).unlink(missing_ok=True)
        (run.path / name).symlink_to(precious)
    for name in ("lock", "lock-merge"):
        with pytest.raises(RunError, match="link"), run.locked(name):
            pass
    StatusWriter(run).write()
    assert precious.read_text() == "alias ls='ls --color'\n"
    assert read_status(run, 0) is not None
    shutil.rmtree(run.path / "status")
    (run.path / "status").symlink_to(tmp_path)
    with pytest.raises(RunError, match=r"status"):
        StatusWriter(run).write()
    assert not (tmp_path / "0.json").exists()
