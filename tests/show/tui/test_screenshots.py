"""The pictures of the documentation: each is drawn by the script, and shown on a page."""

import re
from pathlib import Path

from tests.show.tui import screenshots

ROOT = Path(__file__).resolve().parents[3]


def test_every_picture_is_drawn_by_the_script_and_shown_on_a_page() -> None:
    files = {file.stem for file in screenshots.IMAGES.glob("*.svg")}
    pages = "".join(page.read_text() for page in (ROOT / "README.md", *ROOT.glob("docs/**/*.md")))
    shown = set(re.findall(r"images/(\w+)\.svg", pages))
    assert files == set(screenshots.NAMES) == shown
