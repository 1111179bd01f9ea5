"""The setup of a run: fields, preview, picker, and the start of an engine."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input, Select, Static

from tests.tui.conftest import until
from tests.tui.test_pieces import FOUND, TRIAL
from tuiprobe.tui import child
from tuiprobe.tui.app import TuiprobeApp
from tuiprobe.tui.child import Answer
from tuiprobe.tui.screens import setup
from tuiprobe.tui.screens.live import LiveScreen
from tuiprobe.tui.screens.picker import Folders, PickerScreen
from tuiprobe.tui.screens.setup import SetupScreen

pytestmark = pytest.mark.asyncio


class Asked:
    """Answers in place of child processes, and what was asked."""

    def __init__(self) -> None:
        self.models: list[list[str]] = []
        self.data: list[str] = []
        self.trial = Answer(0, json.dumps(TRIAL), "")
        self.found = Answer(0, json.dumps(FOUND), "")

    async def ask(self, words: list[str]) -> Answer:
        self.models.append(list(words))
        return self.trial

    async def ask_python(self, words: list[str]) -> Answer:
        self.data.append(words[-1])
        return self.found


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    answers = Asked()
    monkeypatch.setattr(setup, "ask", answers.ask)
    monkeypatch.setattr(setup, "ask_python", answers.ask_python)
    return answers


def opened(tmp_path: Path, models: list[str] | None = None) -> TuiprobeApp:
    class App(TuiprobeApp):
        def on_ready(self) -> None:
            self.push_screen(SetupScreen(models or ["mini_clip"]))

    return App(runs=tmp_path / "runs")


def understood(app: TuiprobeApp) -> str:
    return str(app.screen.query_one("#understood", Static).content)


def command(app: TuiprobeApp) -> str:
    return str(app.screen.query_one("#command", Static).content)


def fill(app: TuiprobeApp, **fields: str) -> None:
    for name, value in fields.items():
        app.screen.query_one(f"#{name}", Input).value = value


async def test_it_says_what_the_defaults_mean(asked: Asked, tmp_path: Path) -> None:
    app = opened(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "images, about" in understood(app))
        shown = understood(app)
        for part in (
            "✓ val: 1,000 images, 40 classes", "! a note", "none of 2", "1,200 images, about 0:18",
            "✓ directions", "✓ robustness",
        ):  # fmt: skip
            assert part in shown
        assert "--model mini_clip --data miniature --output" in command(app)
        assert asked.models == [["inspect", "mini_clip", "--json", "--offline"]]
        assert asked.data == ["miniature"]


async def test_fields_change_the_command_the_layers_and_the_cost(
    asked: Asked, tmp_path: Path
) -> None:
    app = opened(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "images, about" in understood(app))
        fill(app, sample="100", layers="layer*")
        app.screen.query_one("#dtype", Select).value = "bfloat16"
        app.screen.query_one("#offline", Select).value = "yes"
        await until(pilot, lambda: "\n200 images, about" in understood(app))
        await until(pilot, lambda: "✓ layer*: 1 of 2" in understood(app))
        for part in ("--sample 100", "--layers 'layer*'", "--dtype bfloat16", "--offline"):
            assert part in command(app)
        fill(app, sample="many")
        await until(pilot, lambda: "✗ sample" in understood(app))


async def test_a_source_that_cannot_be_read_says_why(asked: Asked, tmp_path: Path) -> None:
    app = opened(tmp_path)
    asked.found = Answer(4, "", "error: imagefolder: [red]none[/] does not exist\n")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "✗ imagefolder: [red]none[/]" in understood(app))
        asked.found = Answer(0, json.dumps(FOUND), "")
        app.screen.query_one("#data", Input).focus()
        fill(app, data="imagefolder:there")
        await pilot.press("tab")
        await until(pilot, lambda: "✓ val" in understood(app))
        assert asked.data[-1] == "imagefolder:there"


async def test_a_trial_that_fails_can_be_repeated_with_downloads(
    asked: Asked, tmp_path: Path
) -> None:
    asked.trial = Answer(3, "", "error: weights are not cached")
    app = opened(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "weights are not cached; t tries" in understood(app))
        asked.trial = Answer(0, json.dumps(TRIAL), "")
        app.screen.query_one("#dtype", Select).value = "float16"
        await pilot.press("t")
        await until(pilot, lambda: "images, about" in understood(app))
        assert asked.models[-1] == ["inspect", "mini_clip", "--json", "--dtype", "float16"]


async def test_the_picker_walks_folders_and_takes_one(asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip  # noqa: E501
    (tmp_path / "photos" / "[red]cats\x1b[2J").mkdir(parents=True)
    (tmp_path / "photos" / ".hidden").mkdir()
    (tmp_path / "photos" / "sets.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    app = opened(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("o")
        await until(pilot, lambda: isinstance(app.screen, PickerScreen))
        tree = app.screen.query_one(Folders)
        await until(pilot, lambda: len(tree.root.children) == 1)
        await pilot.press("down", "enter")
        await until(pilot, lambda: len(tree.root.children[0].children) == 2)
        labels = [str(node.label) for node in tree.root.children[0].children]
        assert "[red]cats\\x1b[2J" in labels
        assert "sets.toml" in labels
        await pilot.press("space")
        await until(pilot, lambda: isinstance(app.screen, SetupScreen))
        assert app.screen.query_one("#data", Input).value == f"imagefolder:{tmp_path}/photos"
        await until(pilot, lambda: asked.data[-1] == f"imagefolder:{tmp_path}/photos")
        await pilot.press("o")
        await until(pilot, lambda: isinstance(app.screen, PickerScreen))
        app.screen.query_one("#path", Input).focus()
        app.screen.query_one("#path", Input).value = str(tmp_path / "photos" / "sets.toml")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, SetupScreen))
        assert app.screen.query_one("#data", Input).value.startswith("suite:")
        await pilot.press("o")
        await until(pilot, lambda: isinstance(app.screen, PickerScreen))
        await pilot.press("backspace")
        await until(pilot, lambda: Path(app.screen.query_one(Folders).path) == tmp_path.parent)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, SetupScreen))


async def test_the_command_is_copied(asked: Asked, tmp_path: Path) -> None:
    app = opened(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, SetupScreen))
        await pilot.press("c")
        assert app.clipboard.startswith("tuiprobe --headless --model mini_clip --data miniature")


async def test_enter_starts_the_engine_and_goes_live(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []

    def fake(words: Any) -> list[str]:
        started.append(tuple(words))
        return [sys.executable, "-c", "print('loading')"]

    monkeypatch.setattr(child, "command", fake)
    app = opened(tmp_path, ["mini_clip", "mini_supervised"])
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, SetupScreen))
        fill(app, sample="64")
        await until(pilot, lambda: "--sample 64" in command(app))
        shown = command(app)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, LiveScreen))
        assert child.shown_command(started[0]) == shown.removeprefix("$ ")
        run = app.screen.root
        assert run.parent == tmp_path / "runs"
        await until(pilot, lambda: (run / "log.txt").read_text() == "loading\n")
        assert [engine.arguments for engine in app.engines] == started


async def test_a_wrong_option_or_a_full_disk_keeps_the_form(asked: Asked, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where the runs should go")
    app = opened(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, SetupScreen))
        fill(app, device="tpu")
        await pilot.pause()
        await pilot.press("r")
        assert isinstance(app.screen, SetupScreen)
        fill(app, device="cpu")
        await pilot.pause()
        await pilot.press("r")
        await pilot.pause()
        assert isinstance(app.screen, SetupScreen)
        notes = [note.message for note in app._notifications]
        assert any("device" in note for note in notes)
        assert any("cannot start the run" in note for note in notes)


async def test_tab_and_arrows_walk_the_fields_and_escape_goes_back(
    asked: Asked, tmp_path: Path
) -> None:
    app = opened(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.focused is not None and app.focused.id == "run")
        visited = []
        for _ in range(6):
            await pilot.press("up")
            visited.append(app.focused.id if app.focused is not None else None)
        assert visited == ["device", "head", "layers", "sample", "target", "data"]
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, SetupScreen))
