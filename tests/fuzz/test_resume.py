"""Damaged directories of a run that is resumed: measured again, an answer, or one sentence."""

from __future__ import annotations

import io
import random
import shutil
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from tests.engine.conftest import job, write_checkpoint, write_pictures
from tests.fuzz.budget import seconds, seeds
from tests.fuzz.damage import damage
from tuiprobe.cli.app import run_cli

SECONDS = seconds("resume")
SLOWEST = 60.0
WITHOUT = ("results.json", "measured.json", "statistics.safetensors", "head.safetensors")


def command(checkpoint: Path, data: Path, run: Path) -> list[str]:
    return [str(word) for word in job(checkpoint, data, run, "--sample", "12", "--offline")]


def one_case(seed: int, finished: Path, place: Path, again: list[str]) -> None:
    """Damages one file, takes away what is newer, and resumes."""
    draw = random.Random(seed)
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(finished, place)
    shards = [f"shards/{path.name}" for path in (place / "shards").iterdir()]
    others = [path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()]
    name = draw.choice(sorted(shards if draw.random() < 0.6 else others))
    damage(draw, place, name)
    for item in WITHOUT[: draw.choice((1, 2, 3, 4))]:
        if item != name:
            (place / item).unlink(missing_ok=True)
    begun, stream = time.process_time(), io.StringIO()
    with redirect_stderr(stream), redirect_stdout(io.StringIO()):
        code = run_cli(again)
    case = f"seed {seed}: a damaged {name}: {stream.getvalue()}"
    assert code in (0, 2, 4, 5), case
    assert case.count("\nerror:") == (code != 0), case
    assert "this is a bug" not in case, case
    assert "the run failed with" not in case, case
    assert time.process_time() - begun < SLOWEST, case


@pytest.mark.slow
@pytest.mark.timeout(3 * SECONDS + 120)
def test_a_damaged_run_is_resumed_or_refused_in_one_sentence(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "weights.safetensors")
    write_pictures(tmp_path / "data", 12)
    finished, place = tmp_path / "finished", tmp_path / "run"
    with redirect_stdout(io.StringIO()):
        assert run_cli(command(checkpoint, tmp_path / "data", finished)) == 0
    again = command(checkpoint, tmp_path / "data", place)
    for seed in seeds(SECONDS):
        one_case(seed, finished, place, again)
