"""The documentation as a site: `python -m sphinx -W docs build/site`.

Every page is Markdown that GitHub shows too. README.md is the start page of the site, followed by
the lists of `index.md`, which are also the sidebar: the order of the pages stands in one place.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import tuiprobe

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "tuiprobe"
copyright = "the tuiprobe developers"
release = version = tuiprobe.__version__
html_title = f"tuiprobe {release}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_show_sphinx = False
html_copy_source = False

myst_heading_anchors = 3
myst_enable_extensions = ["attrs_inline"]
smartquotes = False  # two dashes begin an option

# Docstrings are Google style, with single backticks for code.
default_role = "code"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_inherit_docstrings = False

DOCS = Path(__file__).resolve().parent
README = DOCS.parent / "README.md"
SECTION = re.compile(r"^## (?P<title>.+)\n(?P<body>(?:(?!## ).*\n?)*)", re.MULTILINE)
LISTED = re.compile(r"^- \[(?P<title>[^\]]+)\]\((?P<page>[^)#:]+)\.(?:md|rst)\)", re.MULTILINE)
UPWARDS = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<path>(?:\.\./)+[^)#]+)(?P<anchor>#[^)]*)?\)")


def as_page_of_the_site(app: Sphinx, page: str, source: list[str]) -> None:
    """Makes the start page, and turns links that leave this folder into names of files."""
    text = source[0]
    if page == "index":
        app.env.note_dependency(str(README))
        lists = text[text.index("\n## ") :]
        readme = re.sub(r"\]\((?!docs/|#|\w+:)([^)]+)\)", r"](../\1)", README.read_text("utf-8"))
        text = readme.replace("](docs/", "](") + lists + _sidebar(lists)
    text = re.sub(r'<a id="([^"]+)"></a>', r"[]{#\1}", text)  # MyST takes no anchors from HTML
    source[0] = UPWARDS.sub(partial(_link_of_the_site, (DOCS / page).parent), text)


def _link_of_the_site(folder: Path, link: re.Match[str]) -> str:
    target = (folder / link["path"]).resolve()
    if target == README:
        return f"[{link['text']}](/index.md{link['anchor'] or ''})"
    if target.is_relative_to(DOCS):
        return link[0]
    return f"{link['text']} (`{target.relative_to(DOCS.parent)}` in the repository)"


def _sidebar(lists: str) -> str:
    trees = []
    for section in SECTION.finditer(lists):
        entries = [f"{one['title']} <{one['page']}>" for one in LISTED.finditer(section["body"])]
        options = f":hidden:\n:caption: {section['title']}"
        trees.append("\n".join(["", "```{toctree}", options, "", *entries, "```", ""]))
    return "\n".join(trees)


def setup(app: Sphinx) -> None:
    """Registers the hook that reads pages."""
    app.connect("source-read", as_page_of_the_site)
