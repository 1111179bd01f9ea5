"""The pictures of the documentation: each is drawn by the script, and shown on a page."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.tui import screenshots

ROOT = Path(__file__).resolve().parents[2]


def test_every_picture_is_drawn_by_the_script_and_shown_on_a_page() -> None:
    files = {file.stem for file in screenshots.IMAGES.glob("*.svg")}
    pages = "".join(page.read_text() for page in (ROOT / "README.md", *ROOT.glob("docs/**/*.md")))
    shown = set(re.findall(r"images/(\w+)\.svg", pages))
    assert files == set(screenshots.NAMES) == shown


@pytest.mark.slow
@pytest.mark.asyncio
async def test_the_script_draws_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screenshots, "IMAGES", tmp_path)
    monkeypatch.chdir(tmp_path)
    await screenshots.models()
    (file,) = tmp_path.iterdir()
    assert file.name == "models.svg"
    drawn = "".join(ET.parse(file).getroot().itertext())
    assert "mini_clip" not in drawn  # the list is filtered
    assert "vitb16" in drawn
