"""Help for the thing at the cursor, the palette, the line of keys, the kept theme."""

import json
from pathlib import Path
from typing import ClassVar

import pytest
from textual.app import ComposeResult
from textual.binding import Binding
from textual.command import CommandList, CommandPalette
from textual.widgets import Input, Static

from tests.show.tui.conftest import drawn, palette, press_to, screens, until
from tests.show.tui.live_run import live_run
from tuiprobe.catalog.glossary import term
from tuiprobe.show.tui.app import DARK, LIGHT, TuiprobeApp
from tuiprobe.show.tui.commands import working_keys
from tuiprobe.show.tui.control import Settings
from tuiprobe.show.tui.screens.base import ProbeScreen
from tuiprobe.show.tui.screens.dialogs import HelpScreen
from tuiprobe.show.tui.screens.label import LabelScreen
from tuiprobe.show.tui.screens.live import LiveScreen
from tuiprobe.show.tui.screens.models import ModelsScreen
from tuiprobe.show.tui.screens.results import ResultsScreen
from tuiprobe.show.tui.screens.runs import RunsScreen
from tuiprobe.show.tui.screens.setup import SetupScreen
from tuiprobe.show.tui.widgets.keyline import KeyLine

HOSTILE = "[red]x[/]\x1b[31m\n"


class Thing(Static, can_focus=True):
    """A widget with terms of its own."""

    BINDINGS: ClassVar = [Binding("g", "go", HOSTILE, tooltip=HOSTILE)]

    def explained(self) -> tuple[str, ...]:
        return ("persistence", "kurtosis")


class Plain(ProbeScreen):
    """A screen about channels."""

    BINDINGS: ClassVar = [
        Binding("x", "stop", "first", tooltip="Stop"),
        Binding("b", "other", "second", tooltip="Another"),
        *(Binding(key, f"more('{key}')", f"word-{key}", tooltip=key) for key in "acdefhijklm"),
        Binding("z", "dead", "dead", tooltip="Dead"),
    ]

    def compose_body(self) -> ComposeResult:
        yield Thing("here", id="body")
        yield Input(id="field")

    def explained(self) -> tuple[str, ...]:
        return ("kurtosis", "channel")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return None if action == "dead" else True


async def shown_help(app: TuiprobeApp) -> str:
    return "\n".join(str(one.content) for one in app.screen.query("#help Static"))


@pytest.mark.asyncio
@pytest.mark.slow
async def test_help_shows_the_keys_then_what_is_at_the_cursor_and_nothing_twice() -> None:
    async with screens((120, 40)) as (pilot, app):
        app.push_screen(Plain())
        await until(pilot, lambda: app.screen.query(Thing))
        app.screen.query_one(Thing).focus()
        await press_to(pilot, HelpScreen, "question_mark")
        help_text = await shown_help(app)
        terms = ("persistence", "kurtosis", "channel")
        places = [help_text.index(f"\n{term(id).short}") for id in terms]
        assert places == sorted(places)
        assert help_text.index("Stop") < places[0]
        assert help_text.count(term("kurtosis").short) == 1
        assert term("persistence").more in help_text
        assert "[red]x[/]\\x1b[31m\\n" in help_text
        panel = app.screen.query_one("#help")
        for size in ((60, 20), (120, 40), (60, 20)):
            await pilot.resize_terminal(*size)
            await until(pilot, lambda: panel.region.right <= size[0])  # noqa: B023
            assert panel.region.bottom <= size[1]
        assert panel.max_scroll_y > 0
        await pilot.press("end")
        await until(pilot, lambda: panel.scroll_offset.y == panel.max_scroll_y)
        await press_to(pilot, Plain, "escape")

        app.screen.query_one(Input).focus()  # from a field, where ? is a letter
        await pilot.press("question_mark")
        assert app.screen.query_one(Input).value == "?"
        assert app.screen.query_one(KeyLine).keys[-1].label == "f1"
        await press_to(pilot, HelpScreen, "f1")
        assert term("channel").short in await shown_help(app)
        await press_to(pilot, Plain, "escape")

        app.screen.query_one(Thing).focus()
        line = app.screen.query_one(KeyLine)
        for width in (200, 60, 80):  # the important keys and help stay, no dead key is shown
            await pilot.resize_terminal(width, 24)
            await until(pilot, lambda: line.size.width == width)  # noqa: B023
            words = [key.word for key in line.keys]
            text = line.render_line(0).text
            assert words[-1] == "help"
            assert "help" in text
            assert [word for word in words if word in ("first", "second")] == ["first", "second"]
            assert "dead" not in words
            assert ("word-m" in words) == (width == 200)
            assert sum(key.width for key in line.keys) <= width == len(text)
            assert line.size.height == 1
        await pilot.click(line, offset=(text.index("help"), 0))
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))


@pytest.mark.asyncio
@pytest.mark.slow
async def test_the_palette_lists_every_key_and_runs_commands_by_their_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = live_run(tmp_path)
    async with screens((120, 40), open_run=run, runs=tmp_path) as (pilot, app):
        await until(pilot, lambda: "about 57 %" in drawn(app))  # some keys work from now on
        actions = {b.binding.action for b in app.screen.active_bindings.values() if b.binding.show}
        assert actions <= {binding.action for binding, _ in working_keys(app.screen)}
        await press_to(pilot, CommandPalette, "ctrl+p")
        app.screen.query_one(Input).value = "leave this screen"
        await until(pilot, lambda: "the run goes on" in drawn(app))
        await pilot.press("escape")
        await palette(pilot, "screenshot", "screenshot: ")
        await until(pilot, lambda: list(tmp_path.glob("*.svg")))
        await palette(pilot, "dark or light", "Dark or light theme")
        await until(pilot, lambda: app.theme == LIGHT.name)
        await palette(pilot, "all runs", "runs: ")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))


@pytest.mark.asyncio
@pytest.mark.slow
async def test_the_palette_has_every_action_of_every_screen(tmp_path: Path, settings: Path) -> None:
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"keymap": {"runs.compare": "C"}}))
    async with screens((80, 24), runs=tmp_path) as (pilot, app):
        await until(pilot, lambda: isinstance(app.screen, ModelsScreen))
        await palette(pilot, "compare", "compare: ", "colon")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        assert any("C: " in one.message for one in app._notifications)
        await press_to(pilot, CommandPalette, "M", "colon")
        listed = app.screen.query_one(CommandList)
        await until(pilot, lambda: listed.option_count > 40)
        texts = [str(listed.get_option_at_index(i).prompt) for i in range(listed.option_count)]
        compare = next(text for text in texts if text.split()[:2] == ["C", "compare:"])
        assert compare.endswith("in runs")
        for screen in (RunsScreen, LiveScreen, LabelScreen, SetupScreen, ResultsScreen):
            for binding in Binding.make_bindings(screen.BINDINGS):
                word = f" {binding.description}: "
                assert not binding.tooltip or any(word in text for text in texts), word


@pytest.mark.asyncio
async def test_the_settings_change_keys(settings: Path) -> None:
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"keymap": {"app.theme": "f7", "app.no such": "x", "q": 3}}))
    app = TuiprobeApp()
    async with app.run_test() as pilot:
        await pilot.press("ctrl+t")
        assert app.theme == DARK.name
        await pilot.press("f7")
        assert app.theme == LIGHT.name


@pytest.mark.asyncio
async def test_theme_and_suspension_have_their_keys_in_fields_and_dialogs_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suspended: list[type] = []
    monkeypatch.setattr(
        TuiprobeApp, "action_suspend_process", lambda app: suspended.append(type(app.screen))
    )
    app = TuiprobeApp(runs=tmp_path)
    async with app.run_test() as pilot:
        for key in ("slash", "question_mark", "ctrl+p"):
            before, count = app.theme, len(suspended)
            await pilot.press("escape", key)
            await pilot.press("ctrl+t", "ctrl+z")
            await until(pilot, lambda: len(suspended) > count)  # noqa: B023
            assert app.theme != before, key
    assert len({*suspended}) == 3


@pytest.mark.asyncio
async def test_the_theme_is_kept_for_the_next_start_once_it_was_chosen(settings: Path) -> None:
    app = TuiprobeApp()
    async with app.run_test() as pilot:
        await pilot.pause()
        assert not settings.exists()
        await pilot.press("ctrl+t")
        await until(pilot, settings.exists)
    assert json.loads(settings.read_text()) == {"theme": LIGHT.name}
    assert TuiprobeApp().theme == LIGHT.name


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\x00",
        b"[1]",
        b'{"theme": 3}',
        b'{"theme": "no such"}',
        b"[" * 4000,
        b'{"keymap": [1]}',
        b'{"keymap": {"app.theme": ""}}',
    ],
    ids=range(9),
)
def test_unreadable_settings_count_for_nothing(content: bytes, settings: Path) -> None:
    settings.parent.mkdir(parents=True)
    settings.write_bytes(content)
    assert TuiprobeApp().theme == DARK.name
    assert Settings.read() in (Settings(), Settings("no such"))


@pytest.mark.asyncio
async def test_settings_that_cannot_be_written_are_said_so(settings: Path) -> None:
    settings.parent.parent.mkdir(parents=True)
    settings.parent.write_text("a file in the place of the folder")
    app = TuiprobeApp()
    async with app.run_test() as pilot:
        await pilot.press("ctrl+t")
        assert app.theme == LIGHT.name
        await until(pilot, lambda: any("not kept" in one.message for one in app._notifications))
