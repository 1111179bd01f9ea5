"""Damaged run directories: commands that read them answer or refuse in one sentence, and resume."""

import io
import json
import math
import random
import re
import shutil
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np

from tests.fuzz.damage import damage
from tests.measure.engine.fake_run import FakeSet, vouch, write_run
from tests.show.tui.live_run import HOST, live_run
from tuiprobe.choose.robustness.baselines import read_baseline_csv
from tuiprobe.errors import TuiprobeError
from tuiprobe.measure.run.arrays import write_arrays
from tuiprobe.measure.run.counting import images_done
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.status import StatusWriter, read_status
from tuiprobe.measure.run.view import RunView, read_ranks
from tuiprobe.show.cli.app import run_cli
from tuiprobe.show.report import read_report
from tuiprobe.show.report.pictures import pictures
from tuiprobe.show.tui.progress import ranks_line

READERS = {
    "results.json": ["runs", "several", "report", "compare", "screens", "verify"],
    "summary.json": ["runs", "verify"],
    "spec.json": ["reprobe", "runs", "verify"],
    "plan.json": ["ranks", "reprobe", "ablate", "verify"],
    "measured.json": ["reprobe", "ablate", "verify"],
    "preflight.json": ["reprobe", "verify"],
    "samples.jsonl": ["reprobe", "ablate", "verify"],
    "key": ["runs", "reprobe", "verify"],
    "statistics.safetensors": ["reprobe", "verify"],
    "features/val/images.safetensors": ["reprobe", "ablate", "verify"],
    "head.safetensors": ["reprobe", "ablate", "verify"],
    "concepts.safetensors": ["reprobe", "verify"],
    "per_image.safetensors": ["compare", "verify"],
    "baseline.csv": ["reprobe", "csv", "verify"],
    "status/0.json": ["runs", "ranks", "screens"],
    "status/0.safetensors": ["screens"],
    "log.txt": ["screens"],
    "thumbs/val/5.jpg": ["screens"],
}
COMMANDS = {
    "runs": "runs --root {root} --json",
    "several": "compare {run} {other} {other} {other} {other}",
    "report": "report {run} --format html --format md --format json --format csv "
    "--format svg --to {to}",
    "compare": "compare {run} {other}",
    "reprobe": "reprobe {run}",
    "verify": "verify {run}",
    "ablate": "reprobe {run} --ablate channel:1 --json",
}


def make_template(root: Path) -> Path:
    """Writes a finished run with a head, a shift, concepts and statuses, twice."""
    rng = np.random.default_rng(0)
    place = root / "run"
    h = {name: rng.normal(size=(48, 6)).astype(np.float32) for name in ("val", "r", "concepts")}
    sets = {
        "val": FakeSet(h["val"], np.arange(48) % 3, source="miniature:val"),
        "r": FakeSet(h["r"], np.arange(48) % 3, source="miniature:renditions"),
        "concepts": FakeSet(h["concepts"], None),
    }
    run = write_run(place, sets, rng.normal(size=(3, 6)))
    plan = run.plan_file.read_json()
    run.plan_file.write_json({**plan, "concept_set": "concepts"})
    presence = rng.random((48, 3)) < 0.5
    rows = [np.flatnonzero(row) for row in presence]
    write_arrays(
        run.concepts_file,
        {
            "ids": np.arange(48),
            "indptr": np.cumsum([0, *map(len, rows)]).astype(np.int64),
            "indices": np.concatenate(rows).astype(np.int64),
            "shares": np.full(int(presence.sum()), 0.5, np.float32),
            "annotated": np.ones((48, 2), np.uint8),
            "train": (np.arange(48) % 2).astype(np.uint8),
            "category_of": np.array([0, 1, 1]),
        },
        {
            "names": json.dumps(["red", "dog", "cat"]),
            "categories": json.dumps(["color", "object"]),
            "digest": "d" * 64,
        },
    )
    live_run(place)
    write_ranks(run)
    run.key_file.write_text("0123456789abcdef" * 4)
    check = {"name": "n", "status": "warn", "detail": "d", "fix": "", "data": None}
    run.preflight_file.write_json({"checks": [check]})
    names = ["model,val,renditions"] + [f"m{i},0.{i + 2},0.{i + 1}" for i in range(8)]
    run.baseline_file.write_text("\n".join(names) + "\n")
    vouch(run)
    assert run_cli(["reprobe", str(place)]) == 0
    shutil.copytree(place, root / "other")
    return root


def write_ranks(run: RunDir) -> None:
    """Writes what two ranks of another host say while they measure."""
    for rank in range(2):
        writer = StatusWriter(run, rank)
        status = read_status(run, rank) or writer.status
        writer.status = status.model_copy(update={"host": HOST, "world": 2, "phase": "extract"})
        writer.update(set="val", shard=rank, images=5, rate=8.0, eta=5.0)
        writer.write()


def ask_about_ranks(run: RunDir) -> None:
    """Asks what lists, the live screen and another rank ask of the statuses."""
    ranks, _ = read_ranks(run)
    count = images_done(run, [rank.status for rank in ranks if rank.runs])
    assert 0 <= count.done <= count.total
    view = RunView.read(run, live=True)
    assert len(view.words) < 10_000
    assert view.progress[3] is None or math.isfinite(view.progress[3])
    ranks_line(view.ranks, 80)


def ask(reader: str, root: Path, name: str) -> None:
    """Asks one reader; anything but an answer or a sentence of ours is an error of the test."""
    run = root / "run"
    if reader == "screens":
        RunView.read(RunDir(run), RunView.read(RunDir(run), live=True), live=True)
        try:
            pictures(read_report(RunDir(run)), RunDir(run))
        except TuiprobeError:
            return
    elif reader == "ranks":
        ask_about_ranks(RunDir(run))
    elif reader == "csv":
        try:
            text = (run / name).read_bytes().decode("utf-8", "replace")
            read_baseline_csv(text, "x.csv", "val", ("renditions",))
        except TuiprobeError:
            return
    else:
        words = COMMANDS[reader].split()
        where = {"root": root, "run": run, "other": root / "other", "to": root / "to"}
        stream = io.StringIO()
        with redirect_stderr(stream):
            code = run_cli([word.format(**where) for word in words])
        reported = stream.getvalue()
        assert code in (0, 2, 4, 5), code
        if reader != "verify":  # tells damage as data, with an exit code
            assert reported.count("error:") == (code != 0), reported
        assert not re.search("this is a bug|report this bug", reported), reported


def read_damaged(draw: random.Random, template: Path, place: Path) -> None:
    """Damages one file of a finished run and asks all who read it."""
    root = place / "runs"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(template, root)
    name = draw.choice(sorted(READERS))
    damage(draw, root / "run", name)
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore", RuntimeWarning)  # of NumPy, on figures out of range
        for reader in READERS[name]:
            try:
                ask(reader, root, name)
            except Exception as error:
                error.add_note(f"{reader} of a damaged {name}")
                raise


WITHOUT = ("results.json", "measured.json", "statistics.safetensors", "head.safetensors")


def resume_damaged(draw: random.Random, finished: Path, place: Path, again: list[str]) -> None:
    """Damages one file of a run, takes away what is newer, and resumes."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(finished, place)
    shards = [f"shards/{path.name}" for path in (place / "shards").iterdir()]
    others = [path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()]
    name = draw.choice(sorted(shards if draw.random() < 0.6 else others))
    damage(draw, place, name)
    for item in WITHOUT[: draw.choice((1, 2, 3, 4))]:
        if item != name:
            (place / item).unlink(missing_ok=True)
    stream = io.StringIO()
    with redirect_stderr(stream), redirect_stdout(io.StringIO()):
        code = run_cli(again)
    case = f"a damaged {name}: {stream.getvalue()}"
    assert code in (0, 2, 4, 5), case
    assert case.count("\nerror:") == (code != 0), case
    assert not re.search("this is a bug|the run failed with", case), case
