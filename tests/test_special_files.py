"""Pipes, sockets, devices, folders and links in a file's place: told in one sentence, never hung.

Every file of a run directory and every file that a user names, by every kind, through every command
that reads it.
"""

import os
import shutil
import socket
import time
from collections.abc import Callable
from contextlib import chdir, suppress
from pathlib import Path

import numpy as np
import pytest

from tests.measure.engine.fake_run import FakeSet, write_run
from tests.show.tui.live_run import live_run
from tuiprobe.errors import TuiprobeError
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.view import RunView
from tuiprobe.show.cli.app import run_cli
from tuiprobe.show.report import read_report
from tuiprobe.show.report.pictures import picture_file, pictures
from tuiprobe.show.tui.livewatch import Tail, runs_of
from tuiprobe.show.tui.widgets.thumbnail import read_picture

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]

SECONDS = 10.0
SECRET = "do not read me"


def pipe(path: Path, outside: Path) -> None:
    os.mkfifo(path)


def bound_socket(path: Path, outside: Path) -> None:
    with chdir(path.parent), socket.socket(socket.AF_UNIX) as server:  # a name of few letters
        server.bind(path.name)


def folder(path: Path, outside: Path) -> None:
    path.mkdir()


def link(path: Path, outside: Path) -> None:
    path.symlink_to(outside)


def device(path: Path, outside: Path) -> None:
    path.symlink_to("/dev/zero")


def loop(path: Path, outside: Path) -> None:
    path.symlink_to(path)


KINDS = [pipe, bound_socket, folder, link, device, loop]
FILES = [
    "key", "spec.json", "plan.json", "samples.jsonl", "measured.json", "statistics.safetensors",
    "features/val/images.safetensors", "head.safetensors", "results.json", "preflight.json",
    "baseline.csv", "concepts.safetensors", "status/0.json", "status/0.safetensors",
    "log.txt", "lock", "lock-merge", "thumbs/val/5.jpg", "shards/val-00000.safetensors",
    "per_image.safetensors", "features", "status", "thumbs", "answers", "tables", "figures",
    "report.md", "summary.json",
]  # fmt: skip
EVERY_KIND = ("results.json", "status/0.json")
"""Files that meet every kind by day, too; a pipe is what hangs whoever opens it."""
COMMANDS = [
    "runs --root {root}", "runs --root {root} --json", "compare {run} {other} {other}",
    "report {run}", "report {run} --format html --to -", "compare {run} {other}",
    "compare {other} {run}", "reprobe {run}", "reprobe {run} --ablate channel:0",
]  # fmt: skip


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    h = rng.normal(size=(40, 4)).astype(np.float32)
    place = tmp_path_factory.mktemp("template") / "run"
    run = write_run(place, {"val": FakeSet(h, np.arange(40) % 3)}, rng.normal(size=(3, 4)))
    live_run(place)
    run.key_file.write_text("0123456789abcdef" * 4)
    assert run_cli(["reprobe", str(place)]) == 0
    run.preflight_file.write_text("[]")
    (place / "shards").mkdir()
    (place / "shards/val-00000.safetensors").write_bytes(b"x")
    return place


@pytest.fixture
def run(template: Path, tmp_path: Path) -> Path:
    shutil.copytree(template, tmp_path / "runs/run")
    shutil.copytree(template, tmp_path / "runs/other")
    return tmp_path / "runs/run"


def put(path: Path, kind: Callable[[Path, Path], None], outside: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    kind(path, outside)


def screens(run: Path) -> None:
    """Reads what the live screen, the results and the pictures read."""
    RunView.read(RunDir(run), RunView.read(RunDir(run), live=True), live=True)
    assert not any(SECRET in line for line in Tail(RunDir(run).log_file).lines())
    runs_of(run)
    runs_of(run.parent)
    file = picture_file(RunDir(run), "val", 5)
    assert file is not None
    read_picture(file, 4, 4)
    with suppress(TuiprobeError):
        pictures(read_report(RunDir(run)), RunDir(run))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param(
            name, kind, marks=() if kind is pipe or name in EVERY_KIND else pytest.mark.nightly
        )
        for name in FILES
        for kind in KINDS
    ],
)
def test_no_file_of_a_run_hangs_or_breaks_a_reader(name, kind, run, tmp_path, capsys):
    outside = tmp_path / "outside"
    outside.write_text(SECRET)
    put(run / name, kind, outside)
    screens(run)
    where = {"root": run.parent, "run": run, "other": run.parent / "other"}
    # Whatever its kind, a special file is refused in one place: the slow command asks for two.
    slow = kind in (pipe, link)
    for command in (text for text in COMMANDS if slow or not text.startswith("reprobe")):
        begun = time.process_time()
        code = run_cli([word.format(**where) for word in command.split()])
        assert time.process_time() - begun < SECONDS, command
        captured = capsys.readouterr()
        assert code in (0, 2, 4, 5), (command, captured.err)
        assert "Traceback" not in captured.err
        assert captured.err.count("error:") == (code != 0), (command, captured.err)
        assert SECRET not in captured.out + captured.err
    assert outside.read_text() == SECRET
    screens(run)


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        *(("reprobe {run} --baseline {file}", kind) for kind in KINDS if kind is not link),
        *((f"{words} {{file}}", pipe) for words in ("report", "runs --root", "open")),
        ("compare {file} {run}", pipe),
    ],
)  # fmt: skip
def test_no_file_that_a_user_names_hangs_a_reader(command, kind, run, tmp_path, capsys):
    file = tmp_path / "named"
    kind(file, tmp_path)
    begun = time.process_time()
    code = run_cli([word.format(file=file, run=run) for word in command.split()])
    assert time.process_time() - begun < SECONDS
    captured = capsys.readouterr()
    assert (code in (2, 4, 5), captured.err.count("error:")) == (True, 1), captured.err
