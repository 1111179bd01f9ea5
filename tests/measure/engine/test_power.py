"""Power that goes at any moment: what was published is whole, and the same command resumes.

`TUIPROBE_FAULTS=all` resumes after a loss of power at every change of the disk.
"""

import json
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.measure.engine.conftest import small_job, write_pictures
from tests.measure.engine.test_faults import figures
from tests.power import Change, Tree, disk_after, files_of, read_tree, recording, write_tree
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.verify import verify
from tuiprobe.show.cli.app import run_cli

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600 if "TUIPROBE_FAULTS" in os.environ else 300),
]

SEED = 17
RESUMED = None if os.environ.get("TUIPROBE_FAULTS") == "all" else 2
VOLATILE = ("lock", "status/", "log.txt", "thumbs/")


@dataclass(frozen=True)
class Recorded:
    """A run, and the same with `--fresh` over it.

    Attributes:
        changes: Everything that both changed on the disk.
        first: How many of the changes are of the first run.
        data: The images.
        figures: What it measured and found.
    """

    changes: Sequence[Change]
    first: int
    data: Path
    figures: tuple[object, ...]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    place, data = tmp_path_factory.mktemp("recorded"), tmp_path_factory.mktemp("few")
    write_pictures(data, 12)
    run = place / "results" / "runs" / "run"
    with recording(place) as recorder:
        assert run_cli(small_job(data, run)) == 0
        first = len(recorder.changes)
        assert run_cli(small_job(data, run, "--fresh")) == 0
    # Nothing was written past the recorder.
    assert disk_after(recorder.changes, lambda change: True) == read_tree(place)
    return Recorded(recorder.changes, first, data, figures(RunDir(run)))


def of_chance(seed: str) -> list[bool]:
    """Returns which changes reach the disk unflushed: about half, another half for each seed."""
    draws = random.Random(seed)
    return [draws.random() < 0.5 for _ in range(100_000)]


def run_files(tree: Tree) -> dict[str, bytes]:
    """Returns the files of the run that are published, by their paths below it."""
    below = {
        path.removeprefix("results/runs/run/"): content for path, content in files_of(tree).items()
    }
    return {
        path: content
        for path, content in below.items()
        if not path.startswith(VOLATILE) and not path.endswith(".tmp")
    }


def promised(content: bytes) -> int:
    """Returns how many shards are published, as a status of the rank has it."""
    if not content.startswith(b'{"sequence"'):
        return 0
    status = json.loads(content)
    merging = status["phase"] in ("merge", "head", "probe", "done")
    return 3 if merging else status["shard"] or 0


def test_what_is_published_is_whole_whenever_the_power_goes(recorded: Recorded) -> None:
    contents: dict[int, bytes] = {}
    whole, announced = set(), 0
    chances = [of_chance(f"{SEED} {number}") for number in range(2)]
    states = (lambda i: False, lambda i: True, *(chance.__getitem__ for chance in chances))
    for count, change in enumerate(recorded.changes[: recorded.first], start=1):
        if change.kind == "write":
            content = contents.get(change.node, b"")
            contents[change.node] = content[: change.at] + change.data
        elif change.kind == "name" and change.old is not None:
            whole.add(contents[change.node])
            announced = max(announced, promised(contents[change.node]))
        for kept in states:
            result = run_files(disk_after(recorded.changes[:count], kept))
            assert set(result.values()) <= whole, f"after change {count}: {result.keys()}"
            shards = sum(path.startswith("shards/") for path in result)
            assert shards >= announced, f"after change {count}"
    assert announced == 3


def resumed(recorded: Recorded, tree: Tree, place: Path, *more: str) -> None:
    """Resumes what a disk holds, and compares."""
    write_tree(tree, place)
    run = RunDir(place / "results" / "runs" / "run")
    if run.key_file.exists():
        assert [finding for finding in verify(run) if finding.state == "damaged"] == []
    assert run_cli(small_job(recorded.data, run.path, *more)) == 0
    assert figures(run) == recorded.figures
    assert [finding for finding in verify(run) if finding.state != "whole"] == []
    assert not list(run.path.rglob("*.tmp"))


def chosen(recorded: Recorded, first: int, last: int, seed: str) -> list[int]:
    """Returns the numbers of changes after which the power goes: all, or a seeded few."""
    every = list(range(first, last))
    if RESUMED is None:
        return every
    return sorted(random.Random(f"{SEED} {seed}").sample(every, RESUMED))


def test_a_run_resumes_after_a_loss_of_power(recorded: Recorded, tmp_path: Path) -> None:
    for count in chosen(recorded, 1, recorded.first + 1, "run"):
        kept = of_chance(f"{SEED} {count}")
        tree = disk_after(recorded.changes[:count], kept.__getitem__)
        resumed(recorded, tree, tmp_path / str(count))


def test_a_fresh_start_resumes_after_a_loss_of_power(recorded: Recorded, tmp_path: Path) -> None:
    """Deleting is not flushed call by call: any of the old files may be there again."""
    for count in chosen(recorded, recorded.first, len(recorded.changes) + 1, "fresh"):
        kept = of_chance(f"{SEED} {count}")
        tree = disk_after(recorded.changes[:count], kept.__getitem__)
        for more in ([], ["--fresh"]):
            resumed(recorded, tree, tmp_path / f"{count}{''.join(more)}", *more)
