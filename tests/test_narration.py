from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tuiprobe.cli.narration import _Bar, _Lines, narrated, sentence
from tuiprobe.events import Event
from tuiprobe.measure.ranks import Rank
from tuiprobe.plaintext import plain


@given(st.text())
def test_plain_text_holds_nothing_a_terminal_obeys(text: str) -> None:
    shown = plain(text)
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in shown)
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b")


def test_lines_elsewhere_than_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with narrated() as listen:
        assert isinstance(listen, _Lines)
        listen(Event("stage", "measuring 5 images"))
        for number in range(30):
            listen(Event("skipped", f"{number}.png: damaged"))
        listen(Event("shard", "shard 1 of 2"))
        listen(Event("warning", "[bold]no markup[/bold]"))
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert lines[0] == "measuring 5 images"
    assert sum(line.startswith("skipped") for line in lines) == 10
    assert lines[-1] == "warning: [bold]no markup[/bold]"


def test_a_bar_on_a_terminal_shows_rate_and_share() -> None:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, color_system=None)
    columns = (
        TextColumn("{task.fields[where]}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}", markup=False),
    )
    with Progress(*columns, console=console) as progress:
        bar = _Bar(console, progress)
        state = {"set": "val", "done": 50, "skipped": 0, "total": 200, "rate": 12.5, "eta": 12.0}
        bar(Event("progress", "", state))
        bar(Event("warning", "[red]as it is[/red]"))
    shown = out.getvalue()
    assert "25%" in shown
    assert "12.5 images/s" in shown
    assert "warning: [red]as it is[/red]" in shown


def test_a_sentence_names_its_kind() -> None:
    assert sentence(Event("failed", "disk full")) == "error: disk full"


def test_of_several_ranks_of_a_host_one_narrates_and_the_others_say_what_goes_wrong(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with narrated(Rank(0, 4, 0, 2)) as listen:
        assert isinstance(listen, _Lines)
    with narrated(Rank(3, 4, 1, 2)) as listen:
        listen(Event("warning", "the same on every rank"))
        listen(Event("stage", "measuring 5 images", {"stage": "extract"}))
        listen(Event("progress", "", {}))
        for number in range(30):
            listen(Event("skipped", f"{number}.png: damaged"))
        listen(Event("failed", "disk full"))
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "rank 3: skipped 0.png: damaged"
    assert said[-1] == "rank 3: error: disk full"
    assert len(said) == 11
