"""How figures and foreign strings are put into a report."""

import re

from tuiprobe.plaintext import plain
from tuiprobe.report.numbers import number as number  # until the renderers import it from there
from tuiprobe.results import Figure, given

_MARKDOWN = re.compile(r"([\\`*_\[\]<>|#~&!$])")
_LINK = re.compile(r"(?i):(?=//)|(?<=www)\.")
_FORMULA = ("=", "+", "-", "@")


def figure(one: Figure) -> str:
    """Value and interval in brackets, or why there is none; safe to put into Markdown.

    >>> from tuiprobe.results import Estimate, NotRun
    >>> figure(Estimate(value=23.5, low=23.1, high=23.9, n=500, method="bootstrap"))
    '23.5 [23.1, 23.9]'
    >>> figure(NotRun(reason="one channel"))
    'not run: one channel'
    """
    if not given(one):
        return f"not run: {escaped(one.reason)}"
    if one.low is None or one.high is None:
        return number(one.value)
    return f"{number(one.value)} [{number(one.low)}, {number(one.high)}]"


def escaped(text: str) -> str:
    r"""Foreign text as Markdown text: nothing in it formats, links or breaks a table.

    >>> print(escaped("*a*|<b> www.x"))
    \*a\*\|\<b\> www\.x
    """
    return _LINK.sub(r"\\\g<0>", _MARKDOWN.sub(r"\\\1", plain(text)))


def code(text: str) -> str:
    r"""Foreign text as a Markdown code span, also within a table.

    >>> print(code("a`b|c"))
    ``a`b\|c``
    """
    inner = plain(text).replace("|", "\\|")
    longest = max((len(run) for run in re.findall("`+", inner)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if inner[:1] in ("`", "") or inner[-1:] == "`" else ""
    return f"{fence}{pad}{inner}{pad}{fence}"


def cell(text: str) -> str:
    """Foreign text as a CSV cell that no spreadsheet takes for a formula.

    >>> cell("=1+1"), cell("cat.jpg")
    ("'=1+1", 'cat.jpg')
    """
    clean = plain(text)
    return "'" + clean if clean.lstrip().startswith(_FORMULA) else clean


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a Markdown table; cells are already safe."""
    return [
        "| " + " | ".join(header) + " |",
        "|" + "---|" * len(header),
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
    ]
