"""A fault of the disk at any call: what is kept is whole, and the same command gives the same.

`TUIPROBE_FAULTS=all` tries every call, kind and side; a number, so many of them.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.measure.conftest import job, write_pictures
from tests.prepared import Prepared
from tuiprobe.run.arrays import read_arrays
from tuiprobe.run.directory import RunDir
from tuiprobe.run.verify import verify

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800 if "TUIPROBE_FAULTS" in os.environ else 300),
    pytest.mark.skipif(sys.platform != "linux", reason="finds open files below /proc"),
]

ROOT = Path(__file__).resolve().parents[2]
SEED = 11
HOW_MANY = os.environ.get("TUIPROBE_FAULTS", "5")
Go = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def go(prepared: Prepared) -> Go:
    """Returns a function that runs the command line with a fault."""

    def one(
        arguments: list[str],
        *,
        at: int = -1,
        kind: str = "kill",
        after: bool = False,
        log: Path | None = None,
    ) -> tuple[int, str]:
        given = (at, kind, after, str(log) if log else "")
        done = prepared.run(*arguments, cwd=ROOT, before=[("tests.hooks:fault", given)])
        return done.returncode, done.stdout + done.stderr

    return one


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("few")
    write_pictures(root, 12)
    return root


def arguments(checkpoint: Path, data: Path, output: Path) -> list[str]:
    return [str(one) for one in job(checkpoint, data, output, "--offline")]


def figures(run: RunDir) -> tuple[object, ...]:
    """Everything that a run measured and found, to the last bit, but for times."""
    found = json.loads(run.results_file.read_text())
    del found["timings"], found["sha256"]
    statistics, _ = read_arrays(run.statistics_file)
    return found, {name: array.tobytes() for name, array in statistics.items()}


@pytest.fixture(scope="module")
def undisturbed(
    go: Go, small_checkpoint: Path, few: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[tuple[object, ...], list[str]]:
    """Returns the figures of a run without faults, and the calls that it makes."""
    place = tmp_path_factory.mktemp("undisturbed")
    log = place / "calls"
    code, said = go(arguments(small_checkpoint, few, place / "run"), log=log)
    assert code == 0, said
    return figures(RunDir(place / "run")), log.read_text().split()


def chosen(kind: str, calls: list[str]) -> list[tuple[int, bool]]:
    """Returns numbers of calls and sides: all, or a seeded few of every name of a call."""
    all_ = [(at, after) for at in range(len(calls)) for after in (False, True)]
    if HOW_MANY == "all":
        return all_
    return sorted(random.Random(f"{SEED} {kind}").sample(all_, min(int(HOW_MANY), len(all_))))


@pytest.mark.parametrize("kind", ["kill", "power", "ENOSPC", "EIO"])
def test_a_run_survives_a_fault_at_any_call(
    kind: str,
    go: Go,
    undisturbed: tuple[tuple[object, ...], list[str]],
    small_checkpoint: Path,
    few: Path,
    tmp_path: Path,
) -> None:
    expected, calls = undisturbed
    for at, after in chosen(kind, calls):
        case = f"{kind} {'after' if after else 'before'} call {at}, {calls[at]}"
        run = RunDir(tmp_path / f"{at}-{after}")
        command = arguments(small_checkpoint, few, run.path)
        code, said = go(command, at=at, kind=kind, after=after)
        if kind in ("kill", "power"):
            assert code in (-9, 0), f"{case}: {said}"  # 0 where fewer live files were written
        else:
            assert code in (0, 5), f"{case}: {said}"  # 0 where the file is for looking only
            assert "Traceback" not in said, f"{case}: {said}"
            assert code == 0 or f"cannot write {run.path}" in said, f"{case}: {said}"
            if code and not (after and calls[at] == "open"):  # else there is no name to delete yet
                assert not list(run.path.rglob("*.tmp")), case
        assert [one for one in verify(run) if one.state == "damaged"] == [], case
        code, said = go(command)
        assert code == 0, f"{case}: {said}"
        assert figures(run) == expected, case
        assert [one for one in verify(run) if one.state != "whole"] == [], case
        assert not list(run.path.rglob("*.tmp")), case


def test_many_kills_leave_nothing_behind(
    go: Go,
    undisturbed: tuple[tuple[object, ...], list[str]],
    small_checkpoint: Path,
    few: Path,
    tmp_path: Path,
) -> None:
    run = RunDir(tmp_path / "run")
    command = arguments(small_checkpoint, few, run.path)
    left = set()
    for kill in range(18):
        code, said = go(command, at=3 + kill, kind="kill", after=True)
        assert code == -9, said
        left |= {path.name for path in run.path.rglob("*.tmp")}
    assert left
    code, said = go(command)
    assert code == 0, said
    assert figures(run) == undisturbed[0]
    assert not list(run.path.rglob("*.tmp"))
