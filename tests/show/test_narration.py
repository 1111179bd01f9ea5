import io
import sys
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tuiprobe
from tuiprobe.measure.engine.shards import Rank
from tuiprobe.measure.run.status import Event
from tuiprobe.plaintext import plain
from tuiprobe.show.narration import _Lines, _NotebookCell, is_interactive, narrated

STATE = {"set": "val", "done": 50, "total": 200, "rate": 12.5, "eta": 12.0}


@given(st.text())
def test_plain_text_holds_nothing_a_terminal_obeys(text: str) -> None:
    displayed = plain(text)
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in displayed)
    assert not set(displayed) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b")


def test_lines_elsewhere_than_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with narrated() as listen:
        assert isinstance(listen, _Lines)
        listen(Event("stage", "measuring 5 images"))
        for number in range(30):
            listen(Event("skipped", f"{number}.png: damaged"))
        listen(Event("warning", "[bold]no markup[/bold]"))
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert lines[0] == "measuring 5 images"
    assert sum(line.startswith("skipped") for line in lines) == 10
    assert lines[-1] == "warning: [bold]no markup[/bold]"


def test_progress_that_was_shown_ends(capsys, monkeypatch):
    seconds = iter((0, 1, 2, 9, 9, 10, 11, 11, 12))
    monkeypatch.setattr(time, "monotonic", lambda: next(seconds))
    with narrated() as listen:
        for done in 100, 200, 50, 100, 200, 200:
            listen(Event("progress", "", {**STATE, "done": done, "eta": None}))
    assert capsys.readouterr().err.splitlines() == [
        f"measured: {done} of 200 images, 12.5 images/s" for done in (50, 200)
    ]


def test_one_output_of_a_notebook_is_renewed() -> None:
    displayed: list[str] = []
    cell = _NotebookCell(lambda data, raw: displayed.append(data["text/plain"]))
    cell(Event("stage", "loading mini_clip"))
    assert displayed[-1] == "loading mini_clip"
    cell(Event("progress", "", STATE))
    assert displayed[-1] == "measured: 50 of 200 images, 12.5 images/s, 0:12 left"
    cell(Event("progress", "", {**STATE, "done": 51}))  # within a fifth of a second
    assert len(displayed) == 2
    cell(Event("warning", "<b>as it is</b>"))
    cell(Event("stage", "merging"))
    assert displayed[2:] == ["warning: <b>as it is</b>", "warning: <b>as it is</b>\nmerging"]
    cell.end()
    assert displayed[-1] == "warning: <b>as it is</b>"


@pytest.mark.slow
def test_python_shows_progress_on_request_and_to_no_log(tmp_path, capsys, caplog):
    events: list[Event] = []
    caplog.set_level("DEBUG", "tuiprobe")

    def probe(progress: Any = None) -> str:
        tuiprobe.probe(
            "mini_clip", "miniature:val", sample=8, workers=0, threads=1,
            output=str(tmp_path / "run"), progress=progress,
        )  # fmt: skip
        lines = capsys.readouterr()
        assert lines.out == ""
        return lines.err

    assert "loading mini_clip" in probe(True)
    assert probe(events.append) == ""
    assert {"stage", "done"} <= {event.kind for event in events}
    caplog.clear()
    assert probe() == ""
    logged = [row for row in caplog.records if row.name == "tuiprobe"]
    assert ("INFO", "results are written") in {(row.levelname, row.message) for row in logged}
    assert not is_interactive()


def test_of_several_ranks_of_a_host_one_narrates_and_the_others_say_what_goes_wrong(capsys):
    with narrated(Rank(0, 4, 0, 2)) as listen:
        assert isinstance(listen, _Lines)
    with narrated(Rank(3, 4, 1, 2)) as listen:
        listen(Event("warning", "the same on every rank"))
        listen(Event("stage", "measuring 5 images", {"stage": "extract"}))
        listen(Event("progress", "", {}))
        for number in range(30):
            listen(Event("skipped", f"{number}.png: damaged"))
        listen(Event("failed", "disk full"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "rank 3: skipped 0.png: damaged"
    assert lines[-1] == "rank 3: error: disk full"
    assert len(lines) == 11


def test_a_bar_has_count_rate_time_left_and_answer_and_leaves_stdout_alone(monkeypatch):
    class Tty(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal, data = Tty(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, "stdout", data)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with narrated() as listen:
        listen(Event("stage", "loading net"))
        listen(Event("progress", "", {**STATE, "answer": "56 % right on street (37 to 75)"}))
        time.sleep(0.3)  # the bar is drawn ten times a second
        listen(Event("done", "results are written"))
        print("the card")
    shown = terminal.getvalue()
    for part in ("50 of 200 images", "12.5 images/s", "0:12 left", "56 % right on street"):
        assert part in shown
    assert "results are written" not in shown
    assert data.getvalue() == "the card\n"


def test_quiet_shows_only_what_goes_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    with narrated(detail="quiet") as listen:
        listen(Event("stage", "loading net"))
        listen(Event("progress", "", STATE))
        listen(Event("warning", "odd"))
        listen(Event("done", "results are written"))
    assert capsys.readouterr().err == "warning: odd\n"
