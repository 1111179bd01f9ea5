"""Every kind of screen as a picture: sizes, the light theme.

`pytest tests/show/tui/test_snapshots.py --snapshot-update` renews them after a wanted change.
"""

import hashlib
import os
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from textual.pilot import Pilot
from textual.widgets import Input, Static

from tests.show.report.samples import estimate, outliers, report
from tests.show.tui.child_answers import answered, image_set
from tests.show.tui.conftest import drawn, until
from tests.show.tui.finished import EVIL, bare_report, full_report, write_run
from tests.show.tui.live_run import live_run, write_live, write_pictures
from tuiprobe.choose.labelling import session
from tuiprobe.choose.labelling.candidates import Candidate
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.preview import Unknown, Wrong
from tuiprobe.results.report import Report
from tuiprobe.show.tui.app import TuiprobeApp
from tuiprobe.show.tui.label_session import LabelSession
from tuiprobe.show.tui.screens.compare import CompareScreen
from tuiprobe.show.tui.screens.dialogs import HelpScreen
from tuiprobe.show.tui.screens.label import LabelScreen
from tuiprobe.show.tui.screens.models import ModelsScreen
from tuiprobe.show.tui.screens.results import ResultsScreen
from tuiprobe.show.tui.screens.runs import RunsScreen, RunTable
from tuiprobe.show.tui.screens.setup import SetupScreen
from tuiprobe.show.tui.widgets.bars import ChannelBars
from tuiprobe.show.tui.worker import Worker

pytestmark = [
    pytest.mark.skipif(
        sys.version_info[:2] != (3, 11), reason="pictures are compared on one version of Python"
    ),
    pytest.mark.slow,
]

Act = Callable[[Pilot[None]], Awaitable[None]]
Make = Callable[[pytest.MonkeyPatch], tuple[TuiprobeApp, Act]]
RUN = Path("run")
"""Relative paths are the same on every machine."""
PARTS = {"2": "shifts", "3": "channels", "4": "directions", "5": "concepts"}


def arrived(app: TuiprobeApp, key: str) -> bool:
    """Returns whether the screen is where a key leads, with its pictures."""
    leaves = not isinstance(app.screen, ResultsScreen)
    if key in ("enter", "e") and not leaves:
        return False
    part = app.screen if leaves else app.screen.tab
    return key not in PARTS or part.id == f"tab-{PARTS[key]}"


def results(
    *keys: str, run_report: Report | None = None, pictures: bool = False, light: bool = False,
) -> Make:  # fmt: skip
    def make(_: pytest.MonkeyPatch) -> tuple[TuiprobeApp, Act]:
        app = TuiprobeApp(open_run=write_run(RUN, run_report, pictures))

        async def act(pilot: Pilot[None]) -> None:
            await until(pilot, lambda: isinstance(app.screen, ResultsScreen) and app.screen.tab)
            if light:
                app.action_switch_theme()
            for key in keys:
                await pilot.press(key)
                await until(pilot, partial(arrived, app, key))

        return app, act

    return make


def export(patch: pytest.MonkeyPatch) -> tuple[TuiprobeApp, Act]:
    app, open_dialog = results("e")(patch)

    async def act(pilot: Pilot[None]) -> None:
        await open_dialog(pilot)
        await until(pilot, lambda: app.screen.query("#to"))
        app.screen.query_one("#to").value = "reports"
        await pilot.press("enter")
        await until(pilot, lambda: "written" in app.screen.query_one("#written").unwrapped.plain)
        await pilot.pause()

    return app, act


def runs(patch: pytest.MonkeyPatch) -> tuple[TuiprobeApp, Act]:
    """Two finished runs, one that was killed, and one that failed before its plan."""
    patch.setenv("TZ", "UTC")
    time.tzset()
    write_run(RUN / "strong", pictures=False)
    write_run(RUN / "weak", report(outliers=(outliers(kurtosis=estimate(4.0, 0.2)),)), False)
    run = RunDir(RUN / "stopped")
    run.key_file.write_text("0" * 64 + "\n")
    run.spec_file.write_json({"model": "timm:resnet50.a1_in1k", "data": "imagefolder:/data/val"})
    run.plan_file.write_json({"sets": [{"name": "val", "planned": 500, "shards": 5}]})
    for number in range(3):
        run.shard_file("val", number).write_bytes(b"")
    RunDir(RUN / "failed").log_file.write_text("error: /data/val has no images: name another\n")
    files = ("strong/results.json", "weak/results.json", "stopped/key", "failed/log.txt")
    for number, file in enumerate(files):
        os.utime(RUN / file, (1_700_000_000 - 1000 * number,) * 2)
    app = TuiprobeApp(runs=RUN)

    async def act(pilot: Pilot[None]) -> None:
        app.push_screen(RunsScreen(RUN))
        await until(pilot, lambda: app.screen.query(RunTable))
        await until(pilot, lambda: len(app.screen.table.rows) == len(files))
        await pilot.press("space", "end")
        await pilot.pause()

    return app, act


def compared(*keys: str) -> Make:
    def make(_: pytest.MonkeyPatch) -> tuple[TuiprobeApp, Act]:
        app = TuiprobeApp(runs=RUN)
        weak = full_report(outliers=(outliers(kurtosis=estimate(4.0, 0.2)),))
        pair = [write_run(Path("strong"), None, False), write_run(Path("weak"), weak, False)]

        async def act(pilot: Pilot[None]) -> None:
            app.push_screen(CompareScreen(pair))
            await until(pilot, lambda: getattr(app.screen, "compared", None))
            await pilot.press(*keys)
            await pilot.pause()

        return app, act

    return make


def candidate(directory: RunDir, target: str | None) -> Candidate:
    """Reads what a run by the name of its skill answers on 60 pictures; target is the only one."""
    files = sorted(Path("photos").glob("*.bmp"))
    random = np.random.default_rng(len(directory.path.name))
    right = random.random(len(files)) < (0.9 if directory.path.name == "strong" else 0.4)
    answers = np.where(right, np.arange(len(files)) % 4, random.integers(0, 4, len(files)))
    return Candidate(
        directory=directory, model=f"a {directory.path.name} model", target="photos",
        source="imagefolder:photos", notes=(), classes=("balloon", "lamp", EVIL, "airplane"),
        ids=np.arange(len(files)), answers=answers, confidences=np.full(len(files), 0.5),
        ranking=np.linspace(0.99, 0.5, len(files)),
        digests={i: hashlib.sha256(file.read_bytes()).hexdigest() for i, file in enumerate(files)},
        paths={i: file.name for i, file in enumerate(files)},
    )  # fmt: skip


def label(*keys: str, tolerated: float | None = None) -> Make:
    def make(patch: pytest.MonkeyPatch) -> tuple[TuiprobeApp, Act]:
        patch.setattr(session, "read_candidate", candidate)
        patch.setattr(LabelSession, "current", None)
        patch.setattr(Worker, "call", lambda self, function, *of: function(*of))
        Path("photos").mkdir()
        for i in range(60):  # uncompressed, so that their digests are the same everywhere
            shape = np.add.outer(np.arange(9) * 9, np.arange(36) * 4) + 7 * i
            pixels = np.stack([shape % 256, shape // 2 % 256, np.full_like(shape, 4 * i)], axis=2)
            Image.fromarray(pixels.astype(np.uint8)).save(f"photos/{i:02}.bmp")
        runs = [RUN / "strong", RUN / "weak", RUN / "weaker"][: None if tolerated is None else 1]
        for run in runs:
            RunDir(run).create("0" * 64)
        app = TuiprobeApp(runs=RUN)

        async def act(pilot: Pilot[None]) -> None:
            app.push_screen(LabelScreen(runs, tolerated=tolerated))
            await until(pilot, lambda: app.screen.picture)
            for key in keys:
                await pilot.press(key)
                await until(pilot, lambda: not app.screen._changing)
            await pilot.pause()

        return app, act

    return make


def live(*keys: str, final: bool = False) -> Make:
    def make(_: pytest.MonkeyPatch) -> tuple[TuiprobeApp, Act]:
        run = live_run(RUN)
        if final:
            write_live(run, 2, sets=("val", "r"), layers=("embedding",))
            write_pictures(run, "r")
        app = TuiprobeApp(open_run=run)

        async def act(pilot: Pilot[None]) -> None:
            await until(pilot, lambda: app.screen.query(ChannelBars))
            await until(pilot, lambda: app.screen.query_one(ChannelBars).channel == 13)
            parts = ["about 57 %", *["▀▀"] * (app.size.height >= 36)]
            await until(pilot, lambda: all(part in drawn(app) for part in parts))
            await pilot.press(*keys)
            if "question_mark" in keys:
                await until(pilot, lambda: isinstance(app.screen, HelpScreen))

        return app, act

    return make


def models(*keys: str) -> Make:
    async def list_presets(screen: ModelsScreen) -> None:
        screen._is_listed = True
        screen._show()

    def presets_alone(screen: ModelsScreen) -> None:
        screen.run_worker(list_presets(screen))

    def make(patch: pytest.MonkeyPatch) -> tuple[TuiprobeApp, Act]:
        patch.setattr(ModelsScreen, "_list_all", presets_alone)
        versions = {"open_clip": "3.3.0", "timm": "1.0.31"}
        patch.setattr("tuiprobe.catalog.published_models.generated_with", lambda file: versions)
        patch.setattr("tuiprobe.catalog.published_models.list_date", lambda file: "2026-11-24")

        async def act(pilot: Pilot[None]) -> None:
            await pilot.press(*keys)
            await pilot.pause()

        return TuiprobeApp(), act

    return make


def setup(fields: dict[str, str] | None = None, **finds: Any) -> Make:
    def make(patch: pytest.MonkeyPatch) -> tuple[TuiprobeApp, Act]:
        is_vectors = "vectors:" in (fields or {}).get("data", "")
        given = {"model": None, **(fields or {})} if is_vectors else {}
        answered(patch).set_preview(given, **finds)
        patch.setattr(ModelsScreen, "_list_all", lambda self: None)
        app = TuiprobeApp()

        async def act(pilot: Pilot[None]) -> None:
            app.push_screen(SetupScreen(["mini_clip"]))
            await until(pilot, lambda: app.screen.query("#understood"))
            for field in app.screen.query(Input):
                field.cursor_blink = False
            words = app.screen.query_one("#understood", Static)
            ready = ("time left", "image", "✗")
            await until(
                pilot,
                lambda: (
                    any(word in str(words.content) for word in ready) and not app.screen._trial_note
                ),
            )
            for name, text in (fields or {}).items():
                app.screen.query_one(f"#{name}", Input).value = text
            await pilot.pause()
            await until(pilot, lambda: app.screen._previews)

        return app, act

    return make


GONE = "imagefolder:photos: there is no such folder; name one of images"
MISSING = Wrong(option="data", reason=GONE, exit_code=4)
ROWS = (image_set("rows", 1_000_000, "unlabelled", channels=512),)
SHOWN: dict[str, tuple[tuple[int, int], Make]] = {
    "overview": ((120, 40), results()),
    "channels": ((120, 40), results("3", pictures=True)),
    "channels_small": ((60, 20), results("3")),
    "directions": ((120, 40), results("4")),
    "concepts_wide": ((200, 50), results("5")),
    "shifts_light": ((120, 40), results("2", light=True)),
    "not_run": ((80, 24), results(run_report=bare_report())),
    "export": ((80, 24), export),
    "runs": ((80, 24), runs),
    "compare": ((110, 36), compared()),
    "compare_all": ((110, 36), compared("f")),
    "label": ((120, 40), label(*"1" * 9, "s", "v")),
    "label_unattended": ((100, 30), label(*"1" * 9, tolerated=0.2)),
    "live": ((120, 40), live()),
    "live_smallest": ((60, 15), live("down")),
    "live_final": ((110, 36), live("down", final=True)),
    "live_help": ((100, 40), live("question_mark")),
    "models": ((110, 36), models()),
    "models_smallest": ((60, 20), models("end")),
    "setup": ((110, 36), setup()),
    "setup_small": ((80, 24), setup()),
    "setup_smallest": ((60, 20), setup()),
    "setup_wrong": (
        (80, 24),
        setup(
            {"data": "imagefolder:photos", "sample": "many"},
            wrong=(MISSING,), sets=Unknown(depends_on="options"),
        ),
    ),
    "setup_vectors": (
        (110, 36),
        setup({"data": "vectors:img_emb/*.npy"}, sets=ROWS),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SHOWN)
def test_screen(name, snap_compare, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    size, make = SHOWN[name]
    app, act = make(monkeypatch)
    assert snap_compare(app, terminal_size=size, run_before=act)
