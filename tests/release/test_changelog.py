"""The changelog has the form that people and tools expect, and the newest version is this one."""

from __future__ import annotations

import re
from pathlib import Path

import tuiprobe

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_versions_stand_from_newest_to_oldest_with_their_dates() -> None:
    headings = re.findall(r"^## (.+)$", TEXT, re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    result = [
        re.fullmatch(r"\[(\d+)\.(\d+)\.(\d+)\] - (\d{4}-\d\d-\d\d)", heading)
        for heading in headings[1:]
    ]
    assert all(result), headings
    ordered = [(*map(int, item.groups()[:3]), item[4]) for item in result if item]
    assert ordered == sorted(ordered, reverse=True)
    newest = [".".join(map(str, item[:3])) for item in ordered[:1]]
    assert newest in ([], [tuiprobe.__version__])  # none before the first release
