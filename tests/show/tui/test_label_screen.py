"""Label: answers, other classes, undo, names, decisions, and what cannot be labelled."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from textual.widgets import Input, OptionList

from tests.show.tui.conftest import drawn, press_to, screens, unexplained, until
from tuiprobe.choose.labelling import session
from tuiprobe.choose.labelling.label_log import NONE_OF_THESE, UNSURE, LabelFiles
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.results import summary
from tuiprobe.miniature import world
from tuiprobe.show.cli.app import run_cli
from tuiprobe.show.report import read_report
from tuiprobe.show.tui import start
from tuiprobe.show.tui.app import TuiprobeApp
from tuiprobe.show.tui.commands import working_keys
from tuiprobe.show.tui.screens.compare import CompareScreen, CompareTable
from tuiprobe.show.tui.screens.dialogs import ChoiceScreen
from tuiprobe.show.tui.screens.label import LabelScreen
from tuiprobe.show.tui.screens.models import ModelsScreen
from tuiprobe.show.tui.screens.results import ResultsScreen
from tuiprobe.show.tui.text import FigureText
from tuiprobe.show.tui.widgets.forest import Forest
from tuiprobe.show.tui.widgets.thumbnail import PictureView
from tuiprobe.show.tui.worker import Worker

pytestmark = [pytest.mark.asyncio, pytest.mark.slow]


async def opened(pilot, runs: list[Path], target: str | None = "street", **options) -> LabelScreen:
    screen = LabelScreen(runs, target, **options)
    pilot.app.push_screen(screen)
    await until(pilot, lambda: screen.view is not None and not screen._changing)
    return screen


async def pressed(pilot, screen: LabelScreen, *keys: str) -> None:
    """Presses keys that change labels, each once the change before it is on the screen."""
    for key in keys:
        await pilot.press(key)
        await until(pilot, lambda: not screen._changing)


def labels(runs: list[Path], target: str = "street") -> list[str]:
    """Returns the labels on disk."""
    return [line.label for line in LabelFiles(runs[0].parent, target).lines()]


def text_of(screen: LabelScreen, selector: str) -> str:
    return screen.query_one(selector, FigureText).unwrapped.plain.replace("\xa0", " ")


def so_far(screen: LabelScreen) -> str:
    """Returns all that stands in the panel of what the labels say so far."""
    names = [name for row in screen.query_one(Forest).rows for name in row.names]
    parts = (text_of(screen, f"#{id}") for id in ("verdict", "differences", "remarks"))
    return "\n".join([*names, *parts])


def errors(app: TuiprobeApp) -> str:
    """Returns the errors that are shown."""
    return " ".join(notice.message for notice in app._notifications)


def truth(screen: LabelScreen) -> str:
    """Returns the key of the right answer, or of none of these."""
    picture = screen.picture
    name = world.CLASS_NAMES[world.label("street", int(picture.name.partition(".")[0]))]
    return str(picture.choices.index(name) + 1) if name in picture.choices else "n"


async def test_each_answer_is_on_disk_and_leaving_loses_none(label_runs: list[Path]) -> None:
    async with screens((80, 24)) as (pilot, app):
        screen = await opened(pilot, label_runs)
        first = screen.picture
        assert "▀" in screen.query_one(PictureView).render_line(0).text
        assert first.choices[0] in text_of(screen, "#choices").splitlines()[0]
        await pressed(pilot, screen, "1")
        assert labels(label_runs) == [first.choices[0]]
        assert screen.picture.index != first.index
        await pressed(pilot, screen, "n", "s", "9")  # no candidate has a ninth answer
        skipped = screen.picture
        await pressed(pilot, screen, "k")
        assert labels(label_runs) == [first.choices[0], NONE_OF_THESE, UNSURE, ""]
        assert "last picture: skipped" in so_far(screen)
        assert screen.picture != skipped
        await pressed(pilot, screen, "u")
        assert screen.picture == skipped
        assert labels(label_runs) == [first.choices[0], NONE_OF_THESE, UNSURE]
        assert "label street · 3 labels" in drawn(app)
        fourth = screen.picture
        await press_to(pilot, ModelsScreen, "escape")

        screen = await opened(pilot, label_runs)
        assert screen.picture == fourth
        screen.action_choose(0)
        app.pop_screen()  # at once
        await until(pilot, lambda: isinstance(app.screen, ModelsScreen))
        await until(pilot, lambda: len(labels(label_runs)) == 4)
        screen = await opened(pilot, label_runs)
        assert screen.view.state.labelled == 4
        await pressed(pilot, screen, "u")
        assert screen.picture == fourth
        await pressed(pilot, screen, "u", "u")
        assert labels(label_runs) == [first.choices[0]]
        await pressed(pilot, screen, "u", "u")  # there is none left to take back
        assert labels(label_runs) == []
        assert screen.picture == first


async def test_a_picture_that_comes_back_says_that_skipping_it_again_is_unsure(label_runs):
    async with screens((80, 24)) as (pilot, _):
        screen = await opened(pilot, label_runs)
        first = screen.picture.index
        assert "k skip again: unsure" not in text_of(screen, "#choices")
        await pressed(pilot, screen, "k", *"nnnnn")
        assert screen.picture.index == first
        assert "k skip again: unsure" in text_of(screen, "#choices")
        await pressed(pilot, screen, "k")
        assert labels(label_runs) == ["", *[NONE_OF_THESE] * 5, UNSURE]


async def test_leaving_renews_the_reports_once_a_label_has_changed(label_runs: list[Path]) -> None:
    app, pages = TuiprobeApp(), [run / "report.md" for run in label_runs]
    before = [page.read_text() for page in pages]
    async with app.run_test(size=(80, 24)) as pilot:
        for keys in ((), tuple("nnnnnnnnnn")):
            screen = await opened(pilot, label_runs)
            await pressed(pilot, screen, *keys)
            app.pop_screen()
            await until(pilot, lambda: isinstance(app.screen, ModelsScreen))
            if not keys:
                assert [page.read_text() for page in pages] == before
        await until(pilot, lambda: not {page.read_text() for page in pages} & set(before))
        titles = [read_report(RunDir(run)).title for run in label_runs]
        await until(pilot, lambda: [summary(RunDir(run)).title for run in label_runs] == titles)


async def test_another_class_is_searched_among_all(label_runs: list[Path]) -> None:
    async with screens((80, 24)) as (pilot, app):
        screen = await opened(pilot, label_runs)
        await press_to(pilot, ChoiceScreen, "slash")
        names = app.screen.query_one(OptionList)
        assert names.option_count == len(world.CLASS_NAMES)
        await pilot.press(*"ba")
        await until(pilot, lambda: names.option_count < len(world.CLASS_NAMES))
        matches = [name for name in sorted(world.CLASS_NAMES) if "ba" in name]
        assert names.option_count == len(matches)
        await pilot.press("down", "enter")
        await until(pilot, lambda: app.screen is screen and screen.view.last is not None)
        assert labels(label_runs) == [matches[1 % len(matches)]]
        await until(pilot, lambda: not screen._changing)
        await press_to(pilot, ChoiceScreen, "slash")
        app.screen.query_one(Input).value = "no such class"
        await until(pilot, lambda: app.screen.query_one(OptionList).option_count == 0)
        await pilot.press("enter", "f1")
        await until(pilot, lambda: not isinstance(app.screen, (ChoiceScreen, LabelScreen)))
        await pilot.press("escape", "escape")
        await until(pilot, lambda: app.screen is screen)
        assert len(labels(label_runs)) == 1


async def test_no_name_and_no_vote_is_shown_before_the_answer(label_runs: list[Path]) -> None:
    async with screens((120, 40)) as (pilot, app):
        screen = await opened(pilot, label_runs[::-1])
        models = [of["model"] for of in screen.view.models]
        await pilot.press("v")  # does nothing yet
        picture = screen.picture
        assert text_of(screen, "#choices").splitlines()[:-1] == [
            f"{number} {choice}" for number, choice in enumerate(picture.choices, 1)
        ]
        assert not any(name in drawn(app) for name in models)
        assert "last picture" not in so_far(screen)
        await pressed(pilot, screen, "1")
        assert f"last picture: {picture.choices[0]} (A " in so_far(screen)
        assert [row.names[0] for row in screen.query_one(Forest).rows] == ["A", "B"]
        assert not any(name in drawn(app) for name in models)
        assert "names: v" in drawn(app)
        await pilot.press("v")
        await until(pilot, lambda: all(name in drawn(app) for name in models))
        matched = session.open_labelling(label_runs[::-1], "street").matched
        answers = {
            name: matched.classes[row[picture.index]]
            for name, row in zip(models, matched.answers, strict=True)
        }
        assert all(f"{name} {answer}" in so_far(screen) for name, answer in answers.items())
        await pilot.press("v")
        await until(pilot, lambda: not any(name in drawn(app) for name in models))
        assert unexplained(screen) == []


async def test_the_decision_takes_the_place_of_the_picture_until_more_is_wanted(label_runs):
    async with screens((80, 24)) as (pilot, app):
        screen = await opened(pilot, label_runs)
        for _ in range(40):
            if screen.picture is None:
                break
            await pressed(pilot, screen, truth(screen))
        state = screen.view.state
        assert state.verdict in ("best", "equal")
        text = text_of(screen, "#picture-words")
        assert text.startswith(state.sentence())
        assert state.sentence()[:30] in drawn(app).splitlines()[2]
        assert f"after {state.labelled} labels" in text
        actions = {binding.action for binding, _ in working_keys(screen)}
        assert not actions & {"choose(0)", "another", "answer('none')", "open"}
        assert ("more" in actions) == (state.labelled < state.pictures)
        await pressed(pilot, screen, "1")  # no picture waits for it
        assert len(labels(label_runs)) == state.labelled
        if "more" in actions:
            await pressed(pilot, screen, "d")
            assert screen.picture is not None
            assert " minus " in so_far(screen)
        await pressed(pilot, screen, "u")
        assert len(labels(label_runs)) == state.labelled - 1
        assert screen.picture is not None


async def test_a_run_alone_is_known_by_its_name_and_opened_from_its_results(label_runs):
    async with screens((80, 24), open_run=label_runs[0]) as (pilot, app):
        await until(pilot, lambda: getattr(app.screen, "tab", None))
        await press_to(pilot, ChoiceScreen, "B")  # it has two targets
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, LabelScreen) and app.screen.view)
        assert app.screen.view.state.unattended.tolerated == 0.05
        await press_to(pilot, ResultsScreen, "escape")
        await press_to(pilot, ChoiceScreen, "b")
        names = app.screen.query_one(OptionList)
        assert [str(option.prompt) for option in names.options] == ["street", "photos"]
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, LabelScreen) and app.screen.picture)
        screen = app.screen
        assert isinstance(screen, LabelScreen)
        await pressed(pilot, screen, "1")
        assert labels(label_runs, "photos") == [screen.view.last.label]
        assert "mini_clip_soft" in so_far(screen)
        assert "names" not in {binding.action for binding, _ in working_keys(screen)}
        assert "not yet known to ±5 points" in so_far(screen)


async def test_the_picture_needs_no_colour_and_fits_the_smallest_window(label_runs, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    async with screens((120, 40)) as (pilot, app):
        screen = await opened(pilot, label_runs)
        picture = screen.query_one(PictureView)
        wide = len(picture.render_line(0).text.strip())
        assert wide > 60
        await pressed(pilot, screen, "1")
        for size in ((60, 15), (80, 24)):
            await pilot.resize_terminal(*size)
            await until(pilot, lambda: app.screen.size.width == size[0])  # noqa: B023
            assert "▀" not in drawn(app)
            forest = screen.query_one(Forest)
            await until(pilot, lambda: forest.size.width >= 28)  # noqa: B023
            lines = [forest.render_line(y).text for y in range(forest.size.height)]
            assert not any("◆" in line or "┤" in line for line in lines)  # nothing is stated


async def test_what_cannot_be_labelled_says_why(label_runs, runs_on_targets, monkeypatch):
    async with screens((80, 24)) as (pilot, app):
        read = session.read_candidate

        def other(directory, target=None):
            candidate = read(directory, target)
            if directory.path == label_runs[1]:
                digests = {i: "0" * 63 + str(i % 10) for i in candidate.digests}
                return replace(candidate, digests=digests)
            return candidate

        monkeypatch.setattr(session, "read_candidate", other)
        called = Worker.call
        monkeypatch.setattr(Worker, "call", lambda self, function, *of: function(*of))
        refused = LabelScreen(label_runs, "street")
        app.push_screen(refused)
        await until(pilot, lambda: "different pictures" in text_of(refused, "#picture-words"))
        assert text_of(refused, "#picture-words").endswith("\n\nesc goes back")
        assert "esc goes back" in drawn(app)
        await pilot.press("1", "u", "slash", "v", "d", "o")
        assert labels(label_runs) == []
        await pilot.press("escape")
        monkeypatch.setattr(Worker, "call", called)

        screen = await opened(pilot, label_runs)
        other_process = LabelFiles(label_runs[0].parent, "street")
        other_process.held()
        await pressed(pilot, screen, "1")
        assert "another process writes" in errors(app)
        await until(pilot, lambda: screen.picture)
        assert screen.view.state.labelled == 0
        other_process.close()
        await pressed(pilot, screen, "1", "1")  # what is on disk was read again
        assert len(labels(label_runs)) == 2
        await pilot.press("escape")

        photos, away = runs_on_targets / "photos", runs_on_targets / "away"
        photos.rename(away)
        try:
            screen = await opened(pilot, label_runs, "photos")
            assert "photos" in text_of(screen, "#picture-words")
            await pilot.press("o")
            assert "no file of its own" in errors(app)
            await pressed(pilot, screen, "s")  # it may be left behind
            assert labels(label_runs, "photos") == [UNSURE]
        finally:
            away.rename(photos)


async def test_compare_opens_it_for_all_runs_and_results_without_a_target_do_not(label_runs, run):
    async with screens((80, 24), open_run=run) as (pilot, app):
        await until(pilot, lambda: getattr(app.screen, "tab", None))
        results = app.screen
        assert "label" not in {binding.action for binding, _ in working_keys(results)}
        app.push_screen(CompareScreen(label_runs))
        await until(pilot, lambda: app.screen.query(CompareTable))
        await press_to(pilot, ChoiceScreen, "b")
        await pilot.press("escape")  # no target, nothing to label
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        await press_to(pilot, ChoiceScreen, "b")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, LabelScreen) and app.screen.picture)
        screen = app.screen
        assert isinstance(screen, LabelScreen)
        assert screen.runs == label_runs
        await pressed(pilot, screen, "1")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen.compared.decision.labels == 1)


async def test_the_command_opens_it_in_a_terminal_unless_something_else_is_asked_for(
    label_runs: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[LabelScreen] = []
    monkeypatch.setattr(start, "obstacle", str)
    monkeypatch.setattr(start, "start", lambda first: opened.append(first()) or 0)
    words = ["label", *map(str, label_runs), "--target", "street"]
    assert run_cli([*words, "--difference"]) == 0
    (screen,) = opened
    assert (screen.runs, screen._target, screen._narrow) == (label_runs, "street", True)
    assert run_cli([*words, "--require-decision"]) == 1
    assert run_cli([*words, "--json"]) == 0
    assert run_cli(["label", str(label_runs[0].parent / "none")]) != 0
    assert "is no directory" in capsys.readouterr().err
    assert len(opened) == 1


async def test_the_file_of_a_picture_is_opened(label_runs, tmp_path, monkeypatch):
    place = tmp_path / "programs"
    place.mkdir()
    for name in ("open", "xdg-open"):
        (place / name).write_text(f'#!/bin/sh\nprintf "%s" "$1" > {tmp_path}/given\n')
        (place / name).chmod(0o755)
    async with screens((80, 24)) as (pilot, app):
        screen = await opened(pilot, label_runs, "photos")
        monkeypatch.setenv("PATH", f"{place}{os.pathsep}{os.environ['PATH']}")
        await pilot.press("o")
        given = tmp_path / "given"
        await until(pilot, lambda: given.exists() and given.read_text())
        assert Path(given.read_text()).name == screen.picture.name
        shutil.rmtree(place)
        monkeypatch.setenv("PATH", str(place))
        await pilot.press("o")
        await until(pilot, lambda: "cannot open it" in errors(app))


async def test_what_a_run_may_answer_alone_is_certified_on_the_screen(label_runs) -> None:
    async with screens((120, 40)) as (pilot, _):
        screen = await opened(pilot, label_runs[:1], tolerated=0.3)
        assert "none of 40 certified for at most 30 % errors" in so_far(screen)
        while screen.picture is not None:
            await pressed(pilot, screen, truth(screen))
        assert screen.view.state.unattended.certified > 0
        assert f"{screen.view.state.unattended.certified} of 40 certified" in so_far(screen)
        assert not screen.check_action("more", ())
        await pressed(pilot, screen, "u")
        assert screen.picture is not None
