"""The list of models: every key, with the keyboard and the mouse."""

import json
from pathlib import Path

import pytest
from textual.widgets import Input, Static

from tests.show.tui.conftest import press_to, until
from tuiprobe.catalog import published_models as catalog
from tuiprobe.catalog.published_models import ListedModel
from tuiprobe.show.tui.app import TuiprobeApp
from tuiprobe.show.tui.child import ProcessOutput
from tuiprobe.show.tui.screens import models, setup
from tuiprobe.show.tui.screens.models import ModelsScreen, ModelTable
from tuiprobe.show.tui.screens.setup import SetupScreen

pytestmark = [pytest.mark.asyncio, pytest.mark.slow]


def table(app: TuiprobeApp) -> ModelTable:
    return app.screen.query_one(ModelTable)


def text(app: TuiprobeApp, selector: str) -> str:
    return str(app.screen.query_one(selector, Static).content)


def listed_models(app: TuiprobeApp) -> list[ListedModel]:
    return [row for row in table(app).rows if isinstance(row, ListedModel)]


def names(app: TuiprobeApp) -> list[str]:
    return [row.name for row in listed_models(app)]


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> TuiprobeApp:
    """Returns an app whose questions are answered without a process."""

    async def answer(words: list[str]) -> ProcessOutput:
        return ProcessOutput(5, "", "")

    monkeypatch.setattr(models, "ask", answer)
    monkeypatch.setattr(setup, "ask", answer)
    return TuiprobeApp(runs=tmp_path)


async def test_the_list_is_walked_filtered_sorted_and_explained(app: TuiprobeApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        assert isinstance(app.screen, ModelsScreen)
        assert table(app).model is not None
        assert table(app).model.name == "mini_clip"  # the presets are there at once
        assert table(app).has_focus
        purpose = app.screen.query_one("#purpose", Static).render_line(0)
        assert "hold up on your images" in "".join(segment.text for segment in purpose)
        await until(pilot, lambda: len(listed_models(app)) > 2000)
        everything = len(listed_models(app))
        assert table(app).model.name == "mini_clip"
        assert "models of open_clip" in text(app, "#count")
        assert "list of 20" in text(app, "#count")
        assert table(app).explained()[0] == "demonstration"
        await pilot.press("y")
        assert app.clipboard == "tuiprobe --headless --model mini_clip"
        await pilot.press("slash", *"tset", "underscore", *"resnet")
        await until(pilot, lambda: not listed_models(app))
        assert "test_resnet" in table(app).empty
        await pilot.press("escape")
        await until(pilot, lambda: len(listed_models(app)) == everything)

        assert "DEMONSTRATION" in table(app).render_line(1).text
        walked = [table(app).model]
        for _ in range(5):  # over headings
            await pilot.press("down")
            walked.append(table(app).model)
        assert [row.name for row in walked if row] == [row.name for row in listed_models(app)[:6]]
        await pilot.press("end")
        assert table(app).model == listed_models(app)[-1]
        await pilot.press("home")
        await pilot.pause()
        assert "DEMONSTRATION" in table(app).render_line(1).text
        await pilot.click(ModelTable, offset=(5, 1))  # a heading is no model
        assert table(app).model == listed_models(app)[0]
        await pilot.click(ModelTable, offset=(5, 4))
        await pilot.pause()
        assert table(app).cursor == 3
        assert table(app).model.spec in text(app, "#about")

        await pilot.press("slash", *"rn101", "space", *"cc12m")
        await until(pilot, lambda: names(app) == ["rn101_cc12m"])
        await pilot.press("down")
        assert table(app).has_focus
        assert table(app).explained()[:2] == ("training", "untrained")
        await pilot.press("slash", *" nonesuch")
        await until(pilot, lambda: not listed_models(app))
        assert "No model matches" in table(app).render_line(1).text
        await pilot.press("enter", "down", "down", "enter")  # nothing to go on with
        await pilot.press("escape")
        await until(pilot, lambda: len(listed_models(app)) == everything)
        assert app.screen.query_one("#filter", Input).value == ""

        await pilot.press("s")
        assert listed_models(app) == table(app).rows  # sorted: no groups
        assert names(app) == sorted(names(app), key=str.lower)
        await pilot.resize_terminal(160, 30)
        await until(pilot, lambda: table(app).size.width > 80)
        place = (table(app).render_line(0).text.index("ImageNet"), 0)
        await pilot.click(ModelTable, offset=place)
        best = [row.imagenet for row in listed_models(app)[:50]]
        assert None not in best
        assert best == sorted(best, reverse=True)  # type: ignore[type-var]
        assert "↓ImageNet %" in table(app).render_line(0).text
        await pilot.click(ModelTable, offset=place)
        assert "↑ImageNet %" in table(app).render_line(0).text
        assert listed_models(app)[0].imagenet < best[0]  # type: ignore[operator]


async def test_models_are_marked_and_go_to_the_setup(app: TuiprobeApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: listed_models(app)[0].cached == "yes")
        await pilot.press("space", "down", "space")
        assert "2 marked" in text(app, "#count")
        assert "☑ mini_clip " in table(app).render_line(2).text
        await press_to(pilot, SetupScreen, "space", "enter")
        assert len(app.screen.setup.models) == 1


async def test_other_libraries_and_packages_are_listed_in_processes(app, monkeypatch):
    row = {
        "name": "toy:8", "spec": "toy:8", "preset": None, "cached": "", "parameters": None,
        "imagenet": None, "robustness": None, "extrapolated": False,
    }  # fmt: skip
    calls: list[list[str]] = []

    async def answered(words: list[str], module: str = "") -> ProcessOutput:
        calls.append([module, *words])
        if module:
            monkeypatch.setattr(catalog, "is_stale", lambda: False)
            return ProcessOutput(0, "", "")
        return ProcessOutput(0, json.dumps([{**row, "name": "mini_clip", "preset": {}}, row]), "")

    monkeypatch.setattr(catalog, "is_stale", lambda: True)
    monkeypatch.setattr(models, "is_extended", lambda group: group == "tuiprobe.models")
    monkeypatch.setattr(models, "ask", answered)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: len(calls) == 2 and "toy:8" in names(app))
        await until(pilot, lambda: len(listed_models(app)) > 2000)
        assert names(app).count("mini_clip") == names(app).count("toy:8") == 1
    refresh = ["tuiprobe.models.generate_lists", "--cache"]
    assert sorted(calls) == sorted([refresh, ["", "models", "--json"]])
