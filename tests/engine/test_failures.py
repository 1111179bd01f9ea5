"""Bad input, full disks and missing rights: a clear message, the right exit code, nothing lost."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.conftest import SMALL, shard_files, small_job
from tests.prepared import Prepared
from tuiprobe.cli.app import run_cli
from tuiprobe.probes.outliers.describe import OutlierFeatures
from tuiprobe.run.directory import RunDir
from tuiprobe.run.results import read_results
from tuiprobe.run.view import RunView

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="POSIX rights and signals"),
]

Capture = pytest.CaptureFixture[str]


def failing(code: int, message: str, command: list[str], capsys: Capture) -> None:
    assert run_cli(command) == code
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err


def test_an_empty_folder(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "empty").mkdir()
    failing(4, "no image below", small_job(tmp_path / "empty", tmp_path / "run"), capsys)


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


def test_a_full_disk_keeps_what_was_published(pictures, small_disk, capsys):
    (small_disk / "filler").write_bytes(bytes(880 * 1024))
    run = small_disk / "run"
    failing(5, "No space left on device", small_job(pictures, run), capsys)
    kept = {path: path.read_bytes() for path in shard_files(run)}
    assert kept
    assert not list(run.rglob("*.tmp"))
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    assert run_cli(small_job(pictures, run)) == 0
    assert "resuming" in capsys.readouterr().err
    assert all(path.read_bytes() == content for path, content in kept.items())


def test_a_probe_that_raises_costs_its_own_part_and_the_exit_code_tells(
    pictures: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise IndexError("out of range")

    monkeypatch.setattr(OutlierFeatures, "compute", fail)
    failing(
        5,
        "warning: the probe outliers failed with IndexError: out of range",
        small_job(pictures, tmp_path / "run"),
        capsys,
    )
    run = RunDir(tmp_path / "run")
    assert [part.probe for part in read_results(run).parts if part.failed] == ["outliers"]
    assert RunView.read(run).state == "done"


class Bomb:
    """Pickles to a call that leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.path}",)


def test_checkpoints_that_would_run_code_or_are_of_another_architecture(
    small_checkpoint, pictures, tmp_path, capsys
):
    bomb = tmp_path / "weights.pt"
    bomb.write_bytes(pickle.dumps({"state_dict": Bomb(tmp_path / "executed")}))
    for model, checkpoint, message in (
        (SMALL, bomb, "weights.pt"),
        ("timm:test_vit.r160_in1k", small_checkpoint, "does not fit timm:test_vit"),
    ):
        command = small_job(pictures, tmp_path / "run", "--checkpoint", str(checkpoint))
        command[command.index("--model") + 1] = model
        failing(3, message, command, capsys)
    assert not (tmp_path / "executed").exists()


def test_usage_errors(pictures: Path, tmp_path: Path, capsys: Capture) -> None:
    for arguments, message in (
        (["--sample", "-1"], "--sample: Input should be greater than or equal to 1"),
        (["--dtype", "int8"], "--dtype"),
        (["--device", "cuda:7"], "--device cuda:7 cannot be used here"),
        (["--layers", "nothing*"], "matches no layer"),
        (["--batch-size", "many"], "'--batch-size'"),
        (["--no-such-option"], "--no-such-option"),
    ):
        failing(2, message, small_job(pictures, tmp_path / "run", *arguments), capsys)


def test_names_from_outside_are_shown_inert(pictures, tmp_path, capsys):
    data = shutil.copytree(pictures, tmp_path / "data")
    (data / "class0" / "\x1b[31m[bold]\u202eevil.png").write_bytes(b"")
    assert run_cli(small_job(data, tmp_path / "run")) == 0
    captured = capsys.readouterr()
    assert "\\x1b[31m[bold]\\u202eevil.png" in captured.err
    for text in (captured.out, captured.err, (tmp_path / "run" / "report.md").read_text()):
        assert "\x1b" not in text
        assert "\u202e" not in text
