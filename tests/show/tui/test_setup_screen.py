"""The setup of a run: fields, preview, and the start of an engine."""

import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Button, Input, Static

from tests.show.tui.child_answers import TRIAL, ChildAnswers, answered, image_set, tried
from tests.show.tui.conftest import press_to, screens, until
from tuiprobe.catalog.glossary import term
from tuiprobe.measure.run.preview import Download, PlannedDirectory, Unknown, Wrong
from tuiprobe.request import shown_command
from tuiprobe.show.tui import child
from tuiprobe.show.tui.app import TuiprobeApp
from tuiprobe.show.tui.child import ProcessOutput
from tuiprobe.show.tui.runsetup import FIELDS, Setup
from tuiprobe.show.tui.screens.live import LiveScreen
from tuiprobe.show.tui.screens.setup import SetupScreen
from tuiprobe.show.tui.widgets.form import Suggestions
from tuiprobe.show.tui.widgets.keyline import KeyLine
from tuiprobe.spec import run_option, run_options

pytestmark = [pytest.mark.asyncio, pytest.mark.slow]  # two seconds each


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> ChildAnswers:
    return answered(monkeypatch)


@asynccontextmanager
async def opened(
    size: tuple[int, int], tmp_path: Path, *models: str
) -> AsyncIterator[tuple[Pilot[None], TuiprobeApp]]:
    async with screens(size, runs=tmp_path / "runs") as (pilot, app):
        app.push_screen(SetupScreen([*models] or ["mini_clip"]))
        yield pilot, app


def understood(app: TuiprobeApp) -> str:
    return str(app.screen.query_one("#understood", Static).content)


def known(app: TuiprobeApp) -> bool:
    """Returns whether the data are known, and all models were tried."""
    answered = "✓ val" in understood(app)
    return answered and not app.screen._trial_note and app.screen._last_trial != ()


def command(app: TuiprobeApp) -> str:
    return app.screen.query_one("#command", Input).value


def fill(app: TuiprobeApp, **fields: str) -> None:
    if not {*fields} <= {*FIELDS}:  # by the command line
        setup = app.screen.setup
        line = Setup(setup.models, {**setup.texts, **fields}).line
        app.screen.query_one("#command", Input).value = line
        return
    for name, value in fields.items():
        app.screen.query_one(f"#{name}", Input).value = value


def wrong(app: TuiprobeApp, name: str) -> str:
    """Returns the text under a field; empty if nothing is shown there."""
    under = app.screen.query_one(f"#{name if name in FIELDS else 'command'}-wrong", Static)
    return str(under.content).replace(f"--{name}: ", "") if under.display else ""


def pair(asked: ChildAnswers, option: str, value: str) -> bool:
    """Returns whether the last question about the run gives a value to an option."""
    return (option, value) in pairwise(asked.data[-1])


def button(app: TuiprobeApp) -> str:
    return str(app.screen.query_one("#run", Button).label)


def title(app: TuiprobeApp) -> str:
    return str(app.screen.query_one("#place", Static).content)


def is_setup(app: TuiprobeApp) -> bool:
    return isinstance(app.screen, SetupScreen)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, ...]]]:
    """Yields the words of each engine that was started; they end at once, and are waited for."""
    words: list[tuple[str, ...]] = []
    engines: list[child.Engine] = []
    begin = child.Engine.__init__

    def fake(arguments: Any, *module: str) -> list[str]:
        words.append(tuple(arguments))
        return [sys.executable, "-c", "print('loading')"]

    def noted(engine: child.Engine, arguments: Any, run: Path) -> None:
        begin(engine, arguments, run)
        engines.append(engine)

    monkeypatch.setattr(child, "command", fake)
    monkeypatch.setattr(child.Engine, "__init__", noted)
    yield words
    for engine in engines:
        while engine.exit_code() is None:
            time.sleep(0.01)


async def test_the_form_says_what_it_means_and_follows_its_fields(asked, tmp_path):
    async with opened((120, 40), tmp_path) as (pilot, app):
        await until(pilot, lambda: known(app))
        assert command(app) == "tuiprobe --headless --model mini_clip --data miniature"
        await pilot.press("ctrl+y")
        assert app.clipboard.startswith("tuiprobe --headless --model mini_clip --data miniature")
        assert asked.models == [["doctor", "--model", "mini_clip", "--json", "--offline"]]
        place = str(tmp_path / "runs")
        assert asked.data[0][:5] == ["--headless", "--model", "mini_clip", "--data", "miniature"]
        assert asked.data[0][5] == "--output"
        assert asked.data[0][6].startswith(place)
        assert asked.data[0][7:] == ["--dry-run", "--json"]

        before, text = len(asked.data), "suite:mine.toml"
        for end in range(1, len(text) + 1):  # typing asks once the form rests
            fill(app, data=text[:end])
        await until(pilot, lambda: len(asked.data) > before)
        assert pair(asked, "--data", text)
        assert len(asked.data) == before + 1

        fill(app, sample="100", layers="layer*", concepts="none", target="none", baseline="b.csv")
        await pilot.pause()
        fill(app, dtype="bfloat16")
        await until(pilot, lambda: "✓ 1: layer1" in understood(app))
        for part in (
            "--sample 100", "--layers 'layer*'", "--dtype bfloat16", "--concepts none",
            "--target none", "--baseline b.csv",
        ):  # fmt: skip
            assert part in command(app)
        await until(pilot, lambda: pair(asked, "--sample", "100"))
        assert pair(asked, "--target", "none")


async def test_keys_walk_the_fields_scroll_what_it_means_and_enter_twice_starts(
    asked: ChildAnswers, tmp_path: Path, started: list[tuple[str, ...]]
) -> None:
    async with screens((80, 24), runs=tmp_path / "runs") as (pilot, app):
        await pilot.press("enter")
        await until(pilot, lambda: app.focused is app.screen.query(".field Input").first())
        await until(pilot, lambda: known(app))
        visited, line = [], app.screen.query_one(KeyLine)
        for _ in range(7):
            await pilot.press("down")
            visited.append(app.focused.id if app.focused is not None else None)
            await until(pilot, lambda: "start" in {key.word for key in line.keys})
        assert visited == ["labels", "classes", "target", "sample", "checkpoint", "command", "run"]
        await pilot.press("up", "up", "up", "up")
        hint = app.screen.query_one("#hint", Static)
        await until(pilot, lambda: "Labels are ignored" in str(hint.content))
        assert app.screen.explained()[:2] == ("target", "estimate")
        fields = {str(field.id) for field in app.screen.query(".field Input")}
        assert fields == {*FIELDS, "command"}
        assert all(term(of.option.term) for of in run_options() if of.option.term)
        panel = app.screen.query_one("#meaning")
        await pilot.press("pagedown")
        await until(pilot, lambda: panel.scroll_offset.y > 0)
        await pilot.press("pageup")
        await until(pilot, lambda: panel.scroll_offset.y == 0)
        await pilot.press("escape")
        await until(pilot, lambda: not is_setup(app))
        await pilot.press("enter")
        await until(pilot, lambda: is_setup(app) and app.focused and app.focused.id == "data")
        await press_to(pilot, LiveScreen, "enter")
        assert started[0][:-1] == (
            "--headless", "--model", "mini_clip", "--data", "miniature", "--output",
        )  # fmt: skip


async def test_what_is_wrong_stands_under_its_field_and_starts_nothing(asked, tmp_path, started):
    async with opened((120, 40), tmp_path) as (pilot, app):
        await until(pilot, lambda: "✓ val" in understood(app))
        none = Wrong(option="data", reason="imagefolder: [red]none[/] does not exist", exit_code=4)
        empty = Wrong(option="target", reason="it is empty", exit_code=4)
        asked.set_preview(wrong=(none, empty), sets=Unknown(depends_on="options"))
        fill(app, data="imagefolder:none")
        await pilot.pause()
        assert "✓ val" not in understood(app)  # no older answer is shown
        assert "start: 1,550" not in button(app)
        await pilot.press("enter")  # before the form has rested
        await until(pilot, lambda: "[red]none[/] does not exist" in wrong(app, "data"))
        assert any("[red]none[/]" in notice.message for notice in app._notifications)
        assert wrong(app, "target") == "✗ it is empty"
        assert button(app) == "✗ data needs another value"
        asked.set_preview()
        fill(app, data="imagefolder:there")
        await pilot.pause()
        assert not wrong(app, "data")
        await until(pilot, lambda: "✓ val" in understood(app))
        fill(app, data="")
        await until(pilot, lambda: "no data set" in understood(app))
        assert "✓ val" not in understood(app)
        assert not app.screen.query_one("#data", Input).placeholder
        fill(app, data="imagefolder:there")
        await until(pilot, lambda: "✓ val" in understood(app))
        assert pair(asked, "--data", "imagefolder:there")

        plain, cuda = tried(TRIAL), "cuda cannot be used here (no driver); use cpu"
        why = json.dumps({"schema": 2, "wrong": {"option": "device", "cause": cuda}})
        refused = ProcessOutput(2, why, f"error: --device {cuda}\n")
        unfit = "w.pt does not fit RN50: 3 missing"
        for trial, field, text, cause in (
            (plain, "device", "tpu", "✗ give auto, cpu, cuda, cuda:N or mps"),
            (plain, "layers", "block*", "✗ block* matches none of 2 layers: layer1"),
            (refused, "device", "cuda", f"✗ {cuda}"),  # by the trial
            (ProcessOutput(3, "", f"error: {unfit}\n"), "checkpoint", "w.pt", f"✗ {unfit}"),
        ):
            await until(pilot, lambda: known(app))
            asked.trial = trial
            fill(app, **{field: text})
            await until(pilot, lambda: wrong(app, field).startswith(cause))  # noqa: B023
            await until(pilot, lambda: "✓ val" in understood(app))
            await pilot.press("enter")
            focused = field if field in FIELDS else "command"
            await until(pilot, lambda: app.focused and app.focused.id == focused)  # noqa: B023
            assert is_setup(app)
            assert not started
            asked.trial = plain
            fill(app, **{field: "cpu" if field == "device" else ""})
            await until(pilot, lambda: not wrong(app, field))  # noqa: B023


async def test_the_form_is_kept_on_escape_and_the_trial_with_it(asked, tmp_path):
    async with screens((120, 40), runs=tmp_path / "runs") as (pilot, app):
        await pilot.press("enter")
        await until(pilot, lambda: is_setup(app) and known(app))
        before = understood(app)
        fill(app, sample="64", embeddings="")
        await pilot.pause()
        fill(app, tokens="mean")
        await until(pilot, lambda: "--sample 64" in command(app))
        await pilot.press("escape")
        await until(pilot, lambda: not is_setup(app))
        asked.trial = tried({**TRIAL, "taps": []})
        await pilot.press("enter")
        await until(pilot, lambda: is_setup(app) and known(app))
        assert app.screen.query_one("#sample", Input).value == "64"
        assert "--tokens mean" in command(app)
        assert understood(app) == before
        assert len(asked.models) == 1
        await pilot.press("escape", "down", "enter")  # another model has a form of its own
        await until(pilot, lambda: is_setup(app) and app.screen.setup.models != ("mini_clip",))
        assert app.screen.query_one("#sample", Input).value == ""
        await pilot.press("escape")
        app.push_screen(SetupScreen(["rn101_cc12m"]))
        await until(pilot, lambda: is_setup(app) and "UNTRAINED" in title(app))
        assert "untrained" in app.screen.explained()


async def test_a_trial_that_fails_says_why_and_missing_weights_are_announced_once(
    asked: ChildAnswers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked.trial = ProcessOutput(3, "", "error: the file is damaged")
    async with opened((120, 40), tmp_path) as (pilot, app):
        await until(pilot, lambda: "the file is damaged; ctrl+l tries" in understood(app))
        asked.trial = tried(None, "RuntimeError: [b]its own[/] code")
        await pilot.press("ctrl+l")
        await until(pilot, lambda: "! RuntimeError: [b]its own[/] code" in understood(app))
        asked.trial = tried(TRIAL, "activation: built with gelu")  # another check is no obstacle
        await pilot.press("ctrl+l")
        await until(pilot, lambda: known(app))
        assert asked.models[-1] == ["doctor", "--model", "mini_clip", "--json"]
        count = len(asked.models)
        fill(app, dtype="float16")  # loads it again
        await until(pilot, lambda: known(app) and len(asked.models) == count + 1)
        assert asked.models[-1][-3:] == ["--dtype", "float16", "--offline"]

        weights = Download(kind="weights", name="vitb16_openai", least=4 * 10**8)
        asked.models.clear()
        asked.trial = tried(TRIAL)
        asked.set_preview(downloads=(weights,))
        app.push_screen(SetupScreen(["vitb16_openai"]))
        await until(pilot, lambda: is_setup(app) and "the start downloads" in understood(app))
        await until(pilot, lambda: "✓ val" in understood(app))
        assert "! the weights of vitb16_openai are not on" in understood(app)
        assert asked.models == []  # nothing to load, and no error about it
        await pilot.press("ctrl+l")
        await until(pilot, lambda: known(app))
        assert asked.models == [["doctor", "--model", "vitb16_openai", "--json"]]


async def test_the_start_does_what_the_command_says_or_says_why_not(asked, tmp_path, started):
    asked.set_preview(directory=PlannedDirectory(path="runs/x", state="resumed", done=775))
    async with opened((80, 24), tmp_path, "mini_clip", "mini_supervised") as (pilot, app):
        await until(pilot, lambda: "resumes 1,550 of " in button(app))
        refused = app.screen.query_one("#refused", Static)
        other = "runs/x holds a run of other images: choose another one"
        asked.set_preview(wrong=(Wrong(option="output", reason=other, exit_code=4),))
        fill(app, sample="9")
        await until(pilot, lambda: "✗ runs/x holds a run of other images" in understood(app))
        await pilot.press("enter")
        await until(pilot, lambda: "holds a run of other images" in str(refused.content))
        assert not started

        asked.set_preview()
        (tmp_path / "runs").write_text("a file where the runs should go")
        fill(app, sample="64")
        await until(pilot, lambda: "--sample 64" in command(app) and known(app))
        await pilot.press("enter")
        await until(pilot, lambda: "cannot start the run in " in str(refused.content))
        cause = str(refused.content)
        assert "free the cause and press Enter again" in cause
        await until(pilot, lambda: refused.size.height > 1)  # whole, on several lines
        assert [notice.message for notice in app._notifications][-1] == cause
        assert app.screen.query_one("#sample", Input).value == "64"

        (tmp_path / "runs").unlink()
        line = command(app)
        await press_to(pilot, LiveScreen, "enter")
        assert shown_command(started[0]).startswith(f"{line} --output ")
        run = app.screen.root
        assert run.parent == tmp_path / "runs"
        log = run / "log.txt"
        await until(pilot, lambda: log.read_text().endswith("loading\n"))
        assert log.read_text().startswith("$ tuiprobe ")
        await until(pilot, lambda: [engine.arguments for engine in app.engines] == started)


async def test_what_is_missing_is_named_by_the_field_of_the_form(asked, tmp_path):
    asked.trial = tried({**TRIAL, "head": None})
    asked.set_preview(sets=(image_set("val", 9, "unlabelled"),))
    async with opened((120, 40), tmp_path) as (pilot, app):
        await until(pilot, lambda: "no answers: " in understood(app))
        assert '"classes" names.txt' in understood(app)
        assert "--classes" not in understood(app)
        labels = app.screen.query_one("#labels")
        assert labels.region.y < app.screen.query_one("#run").region.y  # beside the data
        labels.focus()
        hint = app.screen.query_one("#hint", Static)
        await until(pilot, lambda: '"classes" names them' in str(hint.content))


async def test_what_is_typed_ahead_goes_to_the_next_field(tmp_path, asked):
    async with opened((80, 24), tmp_path) as (pilot, app):
        await until(pilot, lambda: isinstance(app.screen, SetupScreen))
        data, labels = (app.screen.query_one(f"#{name}", Input) for name in ("data", "labels"))
        for onwards in ("tab", "down"):
            data.value = labels.value = ""
            data.focus()
            await pilot.pause()
            for key in ("a", onwards, *"bc"):  # faster than the screen
                app.post_message(events.Key(key, key if len(key) == 1 else None))
            await until(pilot, lambda: (data.value, labels.value) == ("a", "bc"))


@pytest.mark.parametrize(
    ("field", "typed", "suggested"),
    [
        (None, "tuiprobe --dat", "tuiprobe --data"),
        (None, "tuiprobe --data web", "tuiprobe --data webdataset:"),
        (None, "tuiprobe --classes na", "tuiprobe --classes names.txt"),
        (None, "tuiprobe --dtype bf", "tuiprobe --dtype bfloat16"),
        (None, "tuiprobe --sample na", None),
        ("data", "mini", "miniature"),
        ("data", "web", "webdataset:"),
        ("data", "photos/a", "photos/animals/"),
        ("classes", "imagefolder:pho", "imagefolder:photos/"),
        ("classes", "one photos/p", "one photos/people/"),
        ("classes", "na", "names.txt"),
        ("classes", "mini", None),
        ("sample", "na", None),
        ("data", "photos/.", "photos/.hidden/"),
        ("data", "no/such/", None),
    ],
)
async def test_fields_are_completed(field, typed, suggested, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("animals", "people", ".hidden"):
        (tmp_path / "photos" / name).mkdir(parents=True)
    (tmp_path / "names.txt").touch()
    option = None if field is None else run_option(field)
    assert await Suggestions(option).get_suggestion(typed) == suggested


async def test_pasted_lines_are_refused_rather_than_lost(tmp_path, asked):
    async with opened((110, 36), tmp_path) as (pilot, app):
        await until(pilot, lambda: known(app))
        field = app.screen.query_one("#classes", Input)
        field.focus()
        await pilot.pause()
        app.post_message(events.Paste("cat\ndog\nbird\ncar\nhouse"))
        await until(pilot, lambda: any("5 lines" in one.message for one in app._notifications))
        assert field.value == ""
        app.post_message(events.Paste("names.txt"))
        await until(pilot, lambda: field.value == "names.txt")


async def test_what_is_wrong_for_one_of_several_models_stops_the_others_not(tmp_path, asked):
    asked.set_preview(names=5)
    classifier = {"text": None, "head": {"classes": 40, "source": "classifier"}}
    asked.trials["mini_supervised"] = tried({**TRIAL, **classifier})
    async with opened((110, 36), tmp_path, "mini_clip", "mini_supervised") as (pilot, app):
        await until(pilot, lambda: "✗ mini_supervised" in understood(app))
        assert "✓ mini_clip answers" in understood(app)
        assert wrong(app, "classes") == ""
    async with opened((110, 36), tmp_path, "mini_supervised") as (pilot, app):
        await until(pilot, lambda: "5 names for the 40 classes" in wrong(app, "classes"))


async def test_the_command_line_and_the_fields_are_one(tmp_path: Path, asked: ChildAnswers) -> None:
    async with opened((110, 36), tmp_path) as (pilot, app):
        await until(pilot, lambda: known(app))
        line = app.screen.query_one("#command", Input)
        fill(app, data="my photos")
        await until(pilot, lambda: line.value.endswith("--data 'my photos'"))
        line.value = "tuiprobe --model mini_supervised --data x --seed 7 --target a --target b"
        await until(pilot, lambda: pair(asked, "--seed", "7"))
        assert pair(asked, "--model", "mini_supervised")
        assert app.screen.query_one("#data", Input).value == "x"
        assert app.screen.query_one("#target", Input).value == "a b"
        for text, reason in (
            ("--model m --data x --sed 7", "✗ --sed is no option of a run; did you mean --seed?"),
            ("--model m --data x --seed", "✗ --seed needs a value"),
            ("--model m --data 'x", "✗ a quote is not closed"),
            ("--model m --data x --data y", "✗ --data appears twice"),
            ("--data x", "✗ name a model: --model"),
        ):
            line.value = text
            await until(pilot, lambda: wrong(app, "command") == reason)  # noqa: B023
            assert button(app) == "✗ the command line needs another value"
            await pilot.press("enter")
            assert is_setup(app)
