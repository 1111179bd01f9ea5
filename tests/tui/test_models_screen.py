"""The list of models: every key, with the keyboard and the mouse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from textual.widgets import Input, Static

from tests.tui.conftest import until
from tuiprobe.tui.app import TuiprobeApp
from tuiprobe.tui.child import Answer
from tuiprobe.tui.modellist import ModelRow
from tuiprobe.tui.screens import models, setup
from tuiprobe.tui.screens.models import ModelsScreen, ModelTable
from tuiprobe.tui.screens.setup import SetupScreen

pytestmark = pytest.mark.asyncio
CHECKS = [
    {"name": "weights", "status": "pass", "detail": "as published", "fix": ""},
    {"name": "activation", "status": "fail", "detail": "[b]gelu[/]\x1b[31m", "fix": "use another"},
]


def table(app: TuiprobeApp) -> ModelTable:
    return app.screen.query_one(ModelTable)


def text(app: TuiprobeApp, selector: str) -> str:
    return str(app.screen.query_one(selector, Static).content)


def names(app: TuiprobeApp) -> list[str]:
    return [row.name for row in table(app).rows]


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> TuiprobeApp:
    """Returns an app whose questions are answered without a process."""

    async def answer(words: list[str]) -> Answer:
        asked.append(list(words))
        return Answer(5, json.dumps(CHECKS) if words[0] == "doctor" else "", "")

    asked: list[list[str]] = []
    monkeypatch.setattr(models, "ask", answer)
    monkeypatch.setattr(setup, "ask", answer)
    monkeypatch.setattr(setup, "ask_python", answer)
    app = TuiprobeApp(runs=tmp_path)
    app.asked = asked  # type: ignore[attr-defined]
    return app


async def test_presets_are_there_at_once_and_all_models_soon(app: TuiprobeApp) -> None:
    async with app.run_test(size=(120, 30)) as pilot:
        assert isinstance(app.screen, ModelsScreen)
        assert table(app).current is not None
        assert table(app).current.name == "mini_clip"
        assert table(app).has_focus
        await until(pilot, lambda: len(table(app).rows) > 2000)
        assert table(app).current.name == "mini_clip"
        assert "2,0" in text(app, "#count")


async def test_typing_filters_and_escape_clears(app: TuiprobeApp) -> None:
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: len(table(app).rows) > 2000)
        everything = len(table(app).rows)
        await pilot.press("slash", *"rn101", "space", *"cc12m")
        await until(pilot, lambda: "rn101_cc12m" in names(app) and len(names(app)) < 10)
        await pilot.press("down")
        assert table(app).has_focus
        await pilot.press("slash", *" nonesuch")
        await until(pilot, lambda: not table(app).rows)
        assert "No model matches" in table(app).render_line(1).text
        await pilot.press("enter")  # nothing to go on with, nothing breaks
        await pilot.press("escape")
        await until(pilot, lambda: len(table(app).rows) == everything)
        assert app.screen.query_one("#filter", Input).value == ""


async def test_several_can_be_marked_and_go_to_the_setup(app: TuiprobeApp) -> None:
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.press("space", "down", "space")
        assert "2 marked" in text(app, "#count")
        assert "☑ mini_clip " in table(app).render_line(1).text
        await pilot.press("up", "space")
        await pilot.press("up", "up", "enter")
        await until(pilot, lambda: isinstance(app.screen, SetupScreen))
        assert app.screen._models == ("mini_clip",) or len(app.screen._models) == 1


async def test_sorting_by_key_and_by_click(app: TuiprobeApp) -> None:
    async with app.run_test(size=(160, 30)) as pilot:
        await until(pilot, lambda: len(table(app).rows) > 2000)
        await pilot.press("s")
        assert names(app) == sorted(names(app), key=str.lower)
        heading = table(app).render_line(0).text
        await pilot.click(ModelTable, offset=(heading.index("IN"), 0))
        rows: list[ModelRow] = list(table(app).rows)
        first = [row.imagenet for row in rows[:50]]
        assert None not in first
        assert first == sorted(first, reverse=True)  # type: ignore[type-var]
        assert "IN▼" in table(app).render_line(0).text
        await pilot.click(ModelTable, offset=(heading.index("IN"), 0))
        assert "IN▲" in table(app).render_line(0).text
        assert table(app).rows[0].imagenet < first[0]  # type: ignore[operator]


async def test_a_click_moves_the_cursor_and_shows_details(app: TuiprobeApp) -> None:
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.click(ModelTable, offset=(5, 3))
        await pilot.pause()
        assert table(app).cursor == 2
        chosen = table(app).current
        assert chosen is not None
        assert chosen.spec in text(app, "#about")


async def test_the_check_is_a_question_to_a_child_and_shown_inert(app: TuiprobeApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("d")
        await until(pilot, lambda: "preflight 1 of 2 !" in text(app, "#preflight"))
        shown = text(app, "#preflight")
        assert "✗ activation: [b]gelu[/]\\x1b[31m" in shown
        assert shown.index("✗ activation") < shown.index("✓ weights")
        assert "→ use another" in shown
        assert ["doctor", "--model", "mini_clip", "--json"] in app.asked  # type: ignore[attr-defined]


async def test_marking_what_is_here_checks_it(app: TuiprobeApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: len(table(app).rows) > 2000)
        await pilot.press("space")
        await until(pilot, lambda: app.asked)  # type: ignore[attr-defined]
        await pilot.press("up")
        await until(pilot, lambda: "preflight" in text(app, "#preflight"))


async def test_fetching_reports_why_it_failed(
    app: TuiprobeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(words: list[str]) -> Answer:
        return Answer(3, "", "loading\nerror: no network\n")

    monkeypatch.setattr(models, "ask", refuse)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f")
        await until(pilot, lambda: "✗ no network" in text(app, "#preflight"))


async def test_the_command_is_copied(app: TuiprobeApp) -> None:
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.press("y")
        assert app.clipboard == "tuiprobe --headless --model mini_clip"


async def test_other_library_versions_refresh_the_list(
    app: TuiprobeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tuiprobe.catalog import names as catalog

    calls = []

    async def refreshed(words: list[str]) -> Answer:
        calls.append(list(words))
        monkeypatch.setattr(catalog, "is_stale", lambda: False)
        return Answer(0, "", "")

    monkeypatch.setattr(catalog, "is_stale", lambda: True)
    monkeypatch.setattr(models, "ask_python", refreshed)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: calls)
        await until(pilot, lambda: len(table(app).rows) > 2000)
    assert calls == [["-P", "-m", "tuiprobe.models.names", "--cache"]]


async def test_models_of_other_packages_are_asked_for_in_a_process(
    app: TuiprobeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {
        "name": "toy:8", "spec": "toy:8", "preset": None, "cached": "", "parameters": None,
        "imagenet": None, "robustness": None, "extrapolated": False,
    }  # fmt: skip
    calls = []

    async def listed(words: list[str]) -> Answer:
        calls.append(list(words))
        return Answer(0, json.dumps([{**row, "name": "mini_clip", "preset": {}}, row]), "")

    monkeypatch.setattr(models, "is_extended", lambda group: group == "tuiprobe.models")
    monkeypatch.setattr(models, "ask", listed)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "toy:8" in [one.name for one in table(app).rows])
        names = [one.name for one in table(app).rows]
        assert names.count("mini_clip") == names.count("toy:8") == 1
    assert calls == [["models", "--json"]]
