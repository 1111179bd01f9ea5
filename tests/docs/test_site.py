"""The built site: every link within it leads to a page, a file and an id that exist."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.docs.blocks import ROOT

pytest.importorskip("furo", reason="comes with the extra docs")
pytestmark = [pytest.mark.slow, pytest.mark.nightly]  # `.ci/docs` runs it


class Page(HTMLParser):
    """What a page of the site links to, and the ids that links may name."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str | None] = {"", "top"}
        self.feed(file.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids.add(values.get("id"))
        self.links += [link for name in ("href", "src") if (link := values.get(name))]


def dead_links(site: Path) -> list[str]:
    """Returns the links that lead to no file of the site, or to no id of a page."""
    pages = {file: Page(file) for file in site.rglob("*.html")}
    dead = []
    for file, page in pages.items():
        for link in page.links:
            url = urlsplit(link)
            target = (file.parent / unquote(url.path)).resolve() if url.path else file
            if url.scheme or url.netloc:
                continue
            ids = pages[target].ids if target in pages else {unquote(url.fragment)}
            if not target.is_file() or unquote(url.fragment) not in ids:
                dead.append(f"{file.relative_to(site)}: {link}")
    return dead


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site").resolve()
    words = ["-q", "-E", "-W", "--keep-going", "-d", f"{folder}/trees"]
    words += [str(ROOT / "docs"), str(folder)]
    subprocess.run([sys.executable, "-m", "sphinx", *words], check=True)
    return folder


def test_every_link_leads_somewhere(site: Path) -> None:
    assert len([*site.rglob("*.html")]) > 25
    assert dead_links(site) == []
    texts = [re.sub("<[^>]+>", "", file.read_text("utf-8")) for file in site.rglob("*.html")]
    named = {path for text in texts for path in re.findall(r"\((\S+) in the repository\)", text)}
    assert [path for path in named if path.startswith("docs/") or not (ROOT / path).exists()] == []
