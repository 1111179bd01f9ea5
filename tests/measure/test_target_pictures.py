"""Small pictures of target sets: those that the report shows."""

from __future__ import annotations

from pathlib import Path

from tuiprobe import probe
from tuiprobe.results.report import Report
from tuiprobe.run.directory import RunDir


def test_the_pictures_that_the_report_shows_are_written(tmp_path: Path) -> None:
    probe("mini_clip", "miniature", output=str(tmp_path), sample=40, concepts="none")
    shown = Report.read(RunDir(tmp_path).results_file).pictured("street")
    assert 9 <= len(shown) <= 12  # eight of least confidence, four common answers
    there = {int(file.stem) for file in (tmp_path / "thumbs/street").glob("*.jpg")}
    assert there >= shown
