"""Figures as a person reads them on a screen: the value, and dimmed its interval and n."""

from __future__ import annotations

from collections.abc import Iterable

from textual.content import Content

from tuiprobe.plaintext import plain
from tuiprobe.report.numbers import few, interval
from tuiprobe.results import Figure, given

DIM = "$foreground 60%"

Entry = tuple[str, Figure | str]
"""A name, and a figure or a remark."""


def told(figure: Figure) -> Content:
    """Returns the value and, dimmed, interval and n; or why there is none.

    >>> from tuiprobe.results import Estimate
    >>> told(Estimate(value=3.896, low=3.829, high=3.964, n=96, method="m")).plain
    '3.90 (3.83 to 3.96)  n 96'
    """
    rest = plain(interval(figure))
    if not given(figure):
        return Content.styled(rest, DIM)
    return Content.assemble((few(figure.value), "bold"), (f" {rest}" if rest else "", DIM))


def listed(entries: Iterable[Entry], width: int = 18) -> Content:
    """Returns one line per entry: the name, then the figure, then a dimmed remark."""
    lines = []
    for name, value in entries:
        shown = Content.styled(plain(value), DIM) if isinstance(value, str) else told(value)
        lines.append(Content.assemble(Content(plain(name).ljust(width) + " "), shown))
    return Content("\n").join(lines)
