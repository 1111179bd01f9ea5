"""The card of a report as HTML for the cell of a notebook: no script, no address, nothing to load.

It takes fonts and colours from the notebook around it, so it fits light and dark ones.
"""

from __future__ import annotations

from xml.etree.ElementTree import tostring

from tuiprobe.report.elements import element, inside
from tuiprobe.report.pieces import PageOptions, Pieces, shortened
from tuiprobe.report.terms import Terms
from tuiprobe.results.card import card
from tuiprobe.results.report import Report

_BOX = "max-width:60em;overflow-wrap:anywhere"
_WARNING = "border-left:4px solid #b35c00;margin:.3em 0;padding-left:.6em"


def card_html(report: Report) -> str:
    """Returns title, warnings and blocks of the card, the lines that every other format has."""
    pieces = Pieces(PageOptions({}), Terms())
    box = element("div", style=_BOX)
    inside(inside(box, "p"), "strong", shortened(report.title))
    for warning in report.warnings:
        inside(box, "p", shortened(f"Warning: {warning}"), style=_WARNING)
    for block in card(report):
        inside(inside(box, "p", style="margin:.6em 0 0"), "strong", block.title)
        lines = inside(box, "ul", style="margin:.2em 0")
        for line in block.lines:
            pieces.text(inside(lines, "li"), line)
    return tostring(box, encoding="unicode", method="html")
