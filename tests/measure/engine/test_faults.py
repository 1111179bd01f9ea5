"""A fault of the disk at any call: what is kept is whole, and the same command gives the same.

`TUIPROBE_FAULTS=all` tries every call, kind and side; a number, so many of them.
"""

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults import LASTING
from tests.measure.engine.conftest import results, shard_files, small_job, write_pictures
from tests.prepared import Prepared
from tuiprobe.measure.run.arrays import read_arrays
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.verify import verify
from tuiprobe.show.cli.app import run_cli

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600 if "TUIPROBE_FAULTS" in os.environ else 300),
    pytest.mark.skipif(sys.platform != "linux", reason="finds open files below /proc"),
]

ROOT = Path(__file__).resolve().parents[3]
SEED = 11
KILLS = 20 if os.environ.get("TUIPROBE_FAULTS") == "all" else 4
PASSING = ("lock", "status/", "results.json", "summary.json", "manifest.json", "report", "thumbs/")
HOW_MANY = os.environ.get("TUIPROBE_FAULTS", "1")
OF_THE_NIGHT = () if "TUIPROBE_FAULTS" in os.environ else (pytest.mark.nightly,)
"""By day one kind of each two: an error of one call, and one that lasts."""
Go = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def go(prepared: Prepared) -> Go:
    """Returns a function that runs the command line with a fault."""

    def with_fault(
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

    return with_fault


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("few")
    write_pictures(root, 12)
    return root


def figures(run: RunDir) -> tuple[object, ...]:
    """Everything that a run measured and found, to the last bit, but for times."""
    statistics, _ = read_arrays(run.statistics_file)
    return results(run.path), {name: array.tobytes() for name, array in statistics.items()}


@pytest.fixture(scope="module")
def undisturbed(go, few, tmp_path_factory) -> tuple[tuple[object, ...], list[str]]:
    """Returns the figures of a run without faults, and the calls that it makes."""
    place = tmp_path_factory.mktemp("undisturbed")
    log = place / "calls"
    code, message = go(small_job(few, place / "run"), log=log)
    assert code == 0, message
    return figures(RunDir(place / "run")), log.read_text().split()


def chosen(kind: str, calls: list[str]) -> list[tuple[int, bool]]:
    """Returns numbers of calls and sides: all, or a seeded few of every name of a call."""
    # What lasts from after a call on lasts from before the next one.
    sides = (False,) if kind in LASTING else (False, True)
    all_ = [(at, after) for at in range(len(calls)) for after in sides]
    if HOW_MANY == "all":
        return all_
    return sorted(random.Random(f"{SEED} {kind}").sample(all_, min(int(HOW_MANY), len(all_))))


@pytest.mark.parametrize(
    "kind",
    [
        *("kill", "EIO", "full"),
        *(pytest.param(kind, marks=OF_THE_NIGHT) for kind in ("ENOSPC", "read-only")),
    ],
)
def test_a_run_survives_a_fault_at_any_call(kind, go, undisturbed, few, tmp_path):
    expected, calls = undisturbed
    for at, after in chosen(kind, calls):
        case = f"{kind} {'after' if after else 'before'} call {at}, {calls[at]}"
        run = RunDir(tmp_path / f"{at}-{after}")
        command = small_job(few, run.path)
        code, message = go(command, at=at, kind=kind, after=after)
        if kind == "kill":
            assert code in (-9, 0), f"{case}: {message}"  # 0 where fewer live files were written
        else:
            assert code in (0, 5), f"{case}: {message}"  # 0 where the file is for looking only
            assert "Traceback" not in message, f"{case}: {message}"
            assert code == 0 or f"write {run.path}" in message, f"{case}: {message}"
            # After `open` there is no name to delete yet; a read-only disk deletes nothing.
            if code and kind != "read-only" and not (after and calls[at] == "open"):
                assert not list(run.path.rglob("*.tmp")), case
        assert [finding for finding in verify(run) if finding.state == "damaged"] == [], case
        code, message = go(command)
        assert code == 0, f"{case}: {message}"
        assert figures(run) == expected, case
        assert [finding for finding in verify(run) if finding.state != "whole"] == [], case
        assert not list(run.path.rglob("*.tmp")), case


@pytest.mark.parametrize(
    ("name", "after"),
    [
        pytest.param("results.json", True, marks=OF_THE_NIGHT),
        ("manifest.json", False),
        ("manifest.json", True),
    ],
)
def test_a_kill_around_the_manifest_leaves_a_run_that_holds_or_says_what_to_do(
    name, after, prepared, undisturbed, few, tmp_path, capsys
):
    """The first time and when the finished run is measured again."""
    run = RunDir(tmp_path / "run")
    command = small_job(few, run.path)
    for _ in range(2):
        hook = ("tests.hooks:killed_at", (name, after))
        assert prepared.run(*command, cwd=ROOT, before=[hook]).returncode == -signal.SIGKILL
        states = {finding.file: finding.state for finding in verify(run)}
        code = run_cli(["report", str(run.path), "--format", "md", "--to", "-"])
        err = capsys.readouterr().err
        if name == "manifest.json" and after:
            assert code == 0
            assert set(states.values()) == {"whole"}
        else:
            assert code == 4
            assert "run the same command or loop again" in err
            assert states["manifest.json"] == "missing"
            assert "damaged" not in states.values()
        assert prepared.run(*command, cwd=ROOT).returncode == 0
        assert figures(run) == undisturbed[0]
        assert {finding.state for finding in verify(run)} == {"whole"}


def content_of(run: RunDir) -> dict[str, object]:
    """Everything that a run leaves, to the last bit, but for times, messages and live pictures."""
    result: dict[str, object] = {}
    for path in sorted(run.path.rglob("*")):
        name = path.relative_to(run.path).as_posix()
        if path.is_dir() or name.startswith(PASSING):
            continue
        if path.suffix == ".safetensors":
            arrays, _ = read_arrays(run.at(name))  # a shard says how many seconds it took
            result[name] = {
                array: (str(a.dtype), a.shape, a.tobytes()) for array, a in arrays.items()
            }
        else:
            result[name] = path.read_bytes()
    return result


def test_kills_at_random_moments_change_no_bit(prepared, pictures, tmp_path):
    """The moments are spread over start, measuring, merging and answering."""
    whole, run = RunDir(tmp_path / "whole"), RunDir(tmp_path / "killed")
    options: dict[str, Any] = {"cwd": ROOT, "env": {"FAULT": "encode:nap"}}

    def command(directory: RunDir) -> list[str]:
        return small_job(pictures, directory.path, model="faulty")

    def there() -> int:
        return len(shard_files(run.path))

    draws, kills, at = random.Random(SEED), 0, []
    while kills < KILLS:
        process = prepared.start(*command(run), **options)
        shards = there()
        longest = 0.1
        if draws.random() < 0.75:  # while it measures: some calls would never get that far
            longest = 0.02  # a shard or two
            while process.poll() is None and there() == shards < 24:
                time.sleep(0.002)
        time.sleep(draws.uniform(0, longest))
        if process.poll() is None:
            process.kill()
        kills += process.wait() == -signal.SIGKILL
        at.append(there())
        assert [finding for finding in verify(run) if finding.state == "damaged"] == [], at
    assert len(set(at)) > KILLS // 2, at
    for directory in (run, whole):
        done = prepared.run(*command(directory), **options)
        assert done.returncode == 0, done.stderr
    assert figures(run) == figures(whole)
    assert content_of(run) == content_of(whole)
    assert not list(run.path.rglob("*.tmp"))
