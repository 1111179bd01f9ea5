"""Bad input, full disks and missing rights: a clear message, the right exit code, nothing lost."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.measure.conftest import SMALL, Run, command, job, without_override

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="POSIX rights and signals"),
]


def as_ordinary_user(place: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs the program with the rights of an ordinary user."""
    return subprocess.run(
        command(*arguments),
        cwd=place,
        capture_output=True,
        text=True,
        preexec_fn=without_override,
    )


def no_traceback(done: subprocess.CompletedProcess[str]) -> bool:
    return "Traceback" not in done.stderr


def test_an_empty_folder(small_checkpoint: Path, tmp_path: Path, tuiprobe: Run) -> None:
    (tmp_path / "empty").mkdir()
    done = tuiprobe(*job(small_checkpoint, tmp_path / "empty", tmp_path / "run"))
    assert done.returncode == 4
    assert "no image below" in done.stderr
    assert no_traceback(done)


def damage_some(root: Path, count: int) -> None:
    kinds = [b"", b"only text, whatever its name says", Image.new("RGB", (9, 9)).tobytes()]
    for number in range(count):
        (root / "class0" / f"bad{number}.png").write_bytes(kinds[number % 3])


def copy_of(pictures: Path, place: Path) -> Path:
    subprocess.run(["cp", "-r", pictures, place], check=True)
    return place


def test_a_few_unreadable_images_are_skipped_counted_and_listed(
    small_checkpoint: Path, pictures: Path, tmp_path: Path, tuiprobe: Run
) -> None:
    data = copy_of(pictures, tmp_path / "data")
    damage_some(data, 4)
    done = tuiprobe(*job(small_checkpoint, data, tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    (found,) = json.loads((tmp_path / "run" / "results.json").read_text())["data"]
    assert (found["images"], found["measured"], len(found["skipped"])) == (100, 96, 4)
    assert {s["path"] for s in found["skipped"]} == {f"class0/bad{i}.png" for i in range(4)}
    assert "bad0.png" in (tmp_path / "run" / "report.md").read_text()
    assert done.stderr.count("skipped class0/bad") == 4


def test_too_many_unreadable_images_stop_the_run(
    small_checkpoint: Path, pictures: Path, tmp_path: Path, tuiprobe: Run
) -> None:
    data = copy_of(pictures, tmp_path / "data")
    damage_some(data, 10)
    stopped = tuiprobe(*job(small_checkpoint, data, tmp_path / "run"))
    assert stopped.returncode == 4
    assert "more than the 5% allowed by --max-unreadable" in stopped.stderr
    assert no_traceback(stopped)
    allowed = tuiprobe(*job(small_checkpoint, data, tmp_path / "run", "--max-unreadable", "0.2"))
    assert allowed.returncode == 0, allowed.stderr


def test_an_unreadable_file_is_skipped(
    small_checkpoint: Path, pictures: Path, tmp_path: Path, tuiprobe: Run
) -> None:
    data = copy_of(pictures, tmp_path / "data")
    (data / "class0" / "00000.png").chmod(0)
    done = as_ordinary_user(tmp_path, *job(small_checkpoint, data, tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    assert "skipped class0/00000.png: permission denied" in done.stderr


def test_an_output_that_cannot_be_written(
    small_checkpoint: Path, pictures: Path, tmp_path: Path, tuiprobe: Run
) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    done = as_ordinary_user(tmp_path, *job(small_checkpoint, pictures, locked / "run"))
    assert done.returncode == 5
    assert "cannot write" in done.stderr
    assert "Permission denied" in done.stderr
    assert no_traceback(done)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yields a file system of eight megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a tmpfs is not allowed here")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_full_disk_keeps_what_was_published(
    small_checkpoint: Path, pictures: Path, small_disk: Path, tuiprobe: Run
) -> None:
    (small_disk / "filler").write_bytes(bytes(7_300_000))
    arguments = job(small_checkpoint, pictures, small_disk / "run")
    full = tuiprobe(*arguments)
    assert full.returncode == 5
    assert "No space left on device" in full.stderr
    assert "run the same command again to resume" in full.stderr
    assert no_traceback(full)
    kept = {p: p.read_bytes() for p in (small_disk / "run" / "shards").glob("*.safetensors")}
    assert kept
    assert not list((small_disk / "run").rglob("*.tmp"))
    (small_disk / "filler").unlink()
    resumed = tuiprobe(*arguments)
    assert resumed.returncode == 0, resumed.stderr
    assert "resuming" in resumed.stderr
    assert all(path.read_bytes() == content for path, content in kept.items())


def test_a_directory_that_is_no_run_is_left_alone(
    small_checkpoint: Path, pictures: Path, tmp_path: Path, tuiprobe: Run
) -> None:
    place = tmp_path / "thesis"
    place.mkdir()
    (place / "chapter1.tex").write_text("words")
    for more in ([], ["--fresh"]):
        done = tuiprobe(*job(small_checkpoint, pictures, place, *more))
        assert done.returncode == 4
        assert no_traceback(done)
    assert [p.name for p in place.iterdir()] == ["chapter1.tex"]


class Bomb:
    """Pickles to a call that leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.path}",)


def test_a_pickle_that_would_run_code(pictures: Path, tmp_path: Path, tuiprobe: Run) -> None:
    checkpoint = tmp_path / "weights.pt"
    checkpoint.write_bytes(pickle.dumps({"state_dict": Bomb(tmp_path / "executed")}))
    done = tuiprobe(*job(checkpoint, pictures, tmp_path / "run"))
    assert done.returncode == 3
    assert not (tmp_path / "executed").exists()
    assert no_traceback(done)


def test_a_checkpoint_of_another_architecture(
    small_checkpoint: Path, pictures: Path, tmp_path: Path, tuiprobe: Run
) -> None:
    arguments = job(small_checkpoint, pictures, tmp_path / "run")
    arguments[arguments.index(SMALL)] = "timm:test_vit.r160_in1k"
    done = tuiprobe(*arguments)
    assert done.returncode == 3
    assert "does not fit timm:test_vit" in done.stderr
    assert no_traceback(done)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--sample", "-1"], "--sample: Input should be greater than or equal to 1"),
        (["--dtype", "int8"], "--dtype"),
        (["--device", "cuda:7"], "--device cuda:7 cannot be used here"),
        (["--layers", "nothing*"], "matches no layer"),
        (["--batch-size", "many"], "'--batch-size'"),
        (["--no-such-option"], "--no-such-option"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_usage_errors(
    arguments: list[str], said: str, small_checkpoint: Path, pictures: Path, tmp_path: Path,
    tuiprobe: Run,
) -> None:  # fmt: skip
    done = tuiprobe(*job(small_checkpoint, pictures, tmp_path / "run", *arguments))
    assert done.returncode == 2
    assert said in done.stderr
    assert no_traceback(done)


def test_names_from_outside_are_shown_inert(
    small_checkpoint: Path, pictures: Path, tmp_path: Path, tuiprobe: Run
) -> None:
    data = copy_of(pictures, tmp_path / "data")
    (data / "class0" / "\x1b[31m[bold]\u202eevil.png").write_bytes(b"")
    done = tuiprobe(*job(small_checkpoint, data, tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    assert "\\x1b[31m[bold]\\u202eevil.png" in done.stderr
    for text in (done.stdout, done.stderr, (tmp_path / "run" / "report.md").read_text()):
        assert "\x1b" not in text
        assert "\u202e" not in text
