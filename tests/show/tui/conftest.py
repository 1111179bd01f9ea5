"""What the tests of the screens share: waiting, colour, no surprise from the environment."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from multiprocessing import forkserver
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from textual import events
from textual._styles_cache import StylesCache
from textual.color import Color
from textual.command import CommandList, CommandPalette
from textual.css.query import NoMatches
from textual.keys import _character_to_key
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input

from tests.prepared import ForkedWorker
from tests.settled import settled
from tests.show.tui.finished import write_run
from tuiprobe.measure.run import locks
from tuiprobe.show.tui import worker
from tuiprobe.show.tui.app import TuiprobeApp
from tuiprobe.show.tui.screens.dialogs import explained_at


@pytest.fixture(autouse=True)
def colour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws in colour whatever the caller's environment says; tests of NO_COLOR set it."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    # A run written by hand never moves, and does not count as stopped while a test is slow.
    monkeypatch.setattr(locks, "QUIET_SECONDS", 1e4)


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Returns the file of the screens' settings, which is no user's own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "tuiprobe" / "screens.json"


@pytest.fixture(scope="session", autouse=True)
def workers_start_soon() -> Iterator[None]:
    """Forks processes beside the screens: 20 ms for a second of imports."""
    forkserver.ensure_running()  # in an app, whose streams are no files, it could not start
    with pytest.MonkeyPatch.context() as patch:
        streams = {"PIPE": subprocess.PIPE, "DEVNULL": subprocess.DEVNULL}
        patch.setattr(worker, "subprocess", SimpleNamespace(Popen=ForkedWorker, **streams))
        yield


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Lets go of what was drawn: Textual keeps the lines of the last 1,024 widgets in a cache.

    A collection of garbage goes through half a million objects of screens that are gone. The
    process beside the screens is in the test's directory, where the next test is not.
    """
    yield
    worker.READER.end()
    StylesCache.get_inner_outer.cache_clear()  # type: ignore[attr-defined]


@asynccontextmanager
async def screens(
    size: tuple[int, int], **options: Any
) -> AsyncIterator[tuple[Pilot[None], TuiprobeApp]]:
    """Opens the screens in a terminal of some width and height."""
    app = TuiprobeApp(**options)
    async with app.run_test(size=size) as pilot:
        yield pilot, app


async def until(pilot: Pilot[None], condition: Callable[[], object], seconds: float = 120) -> None:
    """Waits until a condition holds and the screen shows it; a widget may not be there yet."""
    deadline = time.monotonic() + seconds
    while not _holds(condition):
        assert time.monotonic() < deadline, f"waited {seconds} s at {pilot.app.screen}"
        await asyncio.sleep(0.02)
        await settled()
    await settled()


def _holds(condition: Callable[[], object]) -> bool:
    try:
        return bool(condition())
    except NoMatches:
        return False


async def press_to(pilot: Pilot[None], kind: type[Screen[Any]], *keys: str) -> None:
    """Presses keys and waits for the kind of screen that they lead to."""
    await pilot.press(*keys)
    await until(pilot, lambda: isinstance(pilot.app.screen, kind))


def unexplained(screen: Screen[Any]) -> list[str]:
    """Returns the widgets that may have the focus and offer no term."""
    lost = []
    for widget in screen.focus_chain:
        screen.set_focus(widget)
        if not explained_at(screen):
            lost.append(str(widget))
    return lost


def contrast(first: Color, second: Color) -> float:
    """Returns the contrast of two colours as WCAG 2 defines it."""
    lights = []
    for colour in (first, second):
        parts = [part / 255 for part in colour.rgb]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def faint(app: TuiprobeApp) -> list[tuple[str, float]]:
    """Returns the words on the screen whose contrast is below 4.5, with it; but no pictures."""
    low = []
    for strip in app.screen._compositor.render_strips():
        for segment in strip:
            style = segment.style
            if style is None or style.color is None or style.bgcolor is None:
                continue
            front, back = (Color.from_rich_color(of) for of in (style.color, style.bgcolor))
            value = contrast(front.blend(back, 0.5) if style.dim else front, back)
            if value < 4.5 and any(map(str.isalnum, segment.text)):
                low.append((segment.text.strip(), round(value, 1)))
    return low


def accented(app: TuiprobeApp) -> list[str]:
    """Returns the words on the screen in the colour of keys."""
    accent = Color.parse(app.theme_variables["accent"]).rgb
    return [
        segment.text.strip()
        for strip in app.screen._compositor.render_strips()
        for segment in strip
        if segment.style is not None
        and segment.style.color is not None
        and Color.from_rich_color(segment.style.color).rgb == accent
        and segment.text.strip()
    ]


def drawn(app: TuiprobeApp) -> str:
    """Returns the text of the whole screen as it goes to the terminal."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


def type_ahead(app: TuiprobeApp, *keys: str) -> None:
    """Presses keys at once, as a terminal hands over what was typed while the program was busy."""
    for key in keys:
        character = {"space": " "}.get(key, key if len(key) == 1 else None)
        named = key if key.isalnum() or len(key) > 1 else _character_to_key(key)
        app.post_message(events.Key(named, character))


async def palette(pilot: Pilot[None], words: str, command: str, key: str = "ctrl+p") -> None:
    """Searches in the palette and runs a command once it is the first that is offered."""
    await press_to(pilot, CommandPalette, key)
    pilot.app.screen.query_one(Input).value = words
    listed = pilot.app.screen.query_one(CommandList)
    await until(pilot, lambda: listed.highlighted == 0 and command in _first(listed))
    await pilot.press("enter")


def _first(listed: CommandList) -> str:
    return str(listed.get_option_at_index(0).prompt) if listed.option_count else ""


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a finished run that is only read."""
    return write_run(tmp_path_factory.mktemp("finished") / "run")


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """Returns a finished run of the test's own."""
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collects the texts that the app puts on the clipboard."""
    texts: list[str] = []
    monkeypatch.setattr(TuiprobeApp, "copy_to_clipboard", lambda self, text: texts.append(text))
    return texts
