"""The page around a report: one file that loads nothing and runs one script of its own.

Templates escape every outside string. A content security policy allows the page's own style and
script by their hashes, pictures inside the page, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tuiprobe.plaintext import plain
from tuiprobe.report.pieces import FILTERS, LIMITS, TESTS
from tuiprobe.report.svg import COLOURS

TEMPLATES = Path(__file__).with_name("templates")


def render(
    template: str,
    title: str,
    style: str = COLOURS,
    script: str = "page.js",
    note: str = "",
    **values: Any,
) -> str:
    """Returns a page as HTML.

    Args:
        template: File of the template, which extends page.html.
        title: Of the document, and its first heading.
        style: What is added to the style of every page.
        script: File of its script.
        note: The line below the heading: date and version, for example.
        values: What the template shows; strings in it become text, whatever they hold.
    """
    style, script = page_file("page.css") + style, page_file(script)
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; "
        f"script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )
    page = environment().get_template(template)
    return page.render(title=title, note=note, style=style, script=script, policy=policy, **values)


@cache
def environment() -> Environment:
    """Returns the environment of all templates; a name that a template lacks is an error."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
        finalize=_inert, trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.do"],
    )  # fmt: skip
    made.filters |= FILTERS
    made.tests |= TESTS
    made.globals |= LIMITS
    made.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    return made


@cache
def page_file(name: str) -> str:
    """Returns a style or script that pages are made of."""
    return (TEMPLATES / name).read_text("utf-8")


def _inert(value: Any) -> Any:
    """Returns a value without control characters; what was escaped before stays as it is."""
    return value if isinstance(value, Markup) else plain(str(value))


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return f"'sha256-{digest}'"
