"""Bad input, full disks and missing rights: a clear message, the right exit code, nothing lost."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Program
from tests.measure.engine.conftest import shard_files, small_job
from tests.prepared import Prepared

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="POSIX rights and signals"),
]


def failing(code: int, message: str, command: list[str], program: Program) -> None:
    err = program(*command, code=code).err
    assert message in err
    assert "Traceback" not in err


def test_rights_of_an_ordinary_user(pictures: Path, tmp_path: Path, prepared: Prepared) -> None:
    """A file that may not be read is skipped; an output that may not be written ends the run."""
    data = shutil.copytree(pictures, tmp_path / "data")
    (data / "class0" / "00000.png").chmod(0)
    (tmp_path / "locked").mkdir(mode=0o555)
    user = {"cwd": tmp_path, "before": [("tests.hooks:without_override", [])]}
    done = prepared.run(*small_job(data, tmp_path / "run"), **user)
    assert done.returncode == 0, done.stderr
    assert "skipped class0/00000.png: permission denied" in done.stderr
    done = prepared.run(*small_job(pictures, tmp_path / "locked" / "run"), **user)
    assert done.returncode == 5
    assert "cannot write" in done.stderr
    assert "Permission denied" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yields a file system of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a tmpfs is not allowed here")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_full_disk_keeps_what_was_published(pictures, small_disk, capsys, program):
    (small_disk / "filler").write_bytes(bytes(880 * 1024))
    run = small_disk / "run"
    failing(5, "No space left on device", small_job(pictures, run), program)
    kept = {path: path.read_bytes() for path in shard_files(run)}
    assert kept
    assert not list(run.rglob("*.tmp"))
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    assert "resuming" in program(*small_job(pictures, run)).err
    assert all(path.read_bytes() == content for path, content in kept.items())


def test_a_device_and_layers_that_are_not_there_are_usage_errors(pictures, tmp_path, program):
    for arguments, message in (
        (["--device", "cuda:7"], "--device cuda:7 cannot be used here"),
        (["--layers", "nothing*"], "matches none of"),
    ):
        failing(2, message, small_job(pictures, tmp_path / "run", *arguments), program)
