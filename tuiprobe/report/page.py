"""The page around a report: one file that loads nothing and runs one script of its own.

It is built as a tree of elements, so that an outside string can only be text. A content security
policy allows the page's own style and script by their hashes, pictures inside the page, and nothing
else.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from xml.etree.ElementTree import Element, tostring

from tuiprobe.report.elements import element, inside
from tuiprobe.report.svg import COLOURS


class Page:
    """A page while it is written.

    Args:
        title: Of the document, and its first heading.
        style: What is added to the style of every page.
        script: File of its script.

    Attributes:
        header: Holds the title; warnings follow it.
        main: Holds everything that is said.
    """

    def __init__(self, title: str, style: str = COLOURS, script: str = "page.js") -> None:
        style, script = page_file("page.css") + style, page_file(script)
        self._html = element("html", lang="en")
        head = inside(self._html, "head")
        inside(head, "meta", charset="utf-8")
        inside(head, "meta", http_equiv="Content-Security-Policy", content=_policy(style, script))
        inside(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
        inside(head, "title", title)
        inside(head, "style").text = style
        body = inside(self._html, "body")
        inside(body, "a", "Skip to the answer", class_="skip", href="#main")
        self.header = inside(body, "header")
        inside(self.header, "h1", title)
        self.main = inside(body, "main", id="main")
        inside(body, "script").text = script

    def written(self) -> str:
        """Returns the page as HTML."""
        return "<!DOCTYPE html>\n" + tostring(self._html, encoding="unicode", method="html")


class Contents:
    """The list of a page's sections.

    Args:
        place: Where the list stands.
    """

    def __init__(self, place: Element) -> None:
        self._list = inside(inside(place, "nav", aria_label="Sections"), "ul")
        self._count = 0

    def section(self, place: Element, title: str) -> Element:
        """Adds a section with its heading, and its place in the list."""
        self._count += 1
        name = f"s{self._count}"
        made = inside(place, "section", id=name, class_="long")
        inside(made, "h2", title)
        inside(inside(self._list, "li"), "a", title, href=f"#{name}")
        return made


@cache
def page_file(name: str) -> str:
    """Returns a file of this folder that pages are made of."""
    return Path(__file__).with_name(name).read_text("utf-8")


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; "
        f"script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return f"'sha256-{digest}'"
