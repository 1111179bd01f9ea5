"""Small pictures of target sets: those that the report shows, and no others."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tuiprobe import miniature, probe
from tuiprobe.measure.target_pictures import write_target_pictures
from tuiprobe.results.report import Report
from tuiprobe.run.directory import RunDir


def test_the_pictures_that_the_report_shows_are_written(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    probe("mini_clip", "miniature", output=str(run.path), sample=40, concepts="none")
    report = Report.read(run.path / "results.json")
    shown = report.pictured("street")
    assert 9 <= len(shown) <= 12  # eight of least confidence, four common answers
    sets = {"street": miniature.dataset("street")}
    plan: Any = SimpleNamespace(suite=SimpleNamespace(sets=sets))
    write_target_pictures(plan, run, report)
    there = {int(file.stem) for file in (run.path / "thumbs/street").glob("*.jpg")}
    assert there >= shown
