"""Which parts the results of a run have: a tab for each question that has an answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tuiprobe.report import read_report
from tuiprobe.results.report import Part
from tuiprobe.results.section import Section, Table
from tuiprobe.run.directory import RunDir
from tuiprobe.tui.keys import MAX_TABS
from tuiprobe.tui.tabs.overview import OverviewTab
from tuiprobe.tui.tabs.section import SectionTab
from tuiprobe.tui.tabs.tab import ResultTab, RunResults

ResultTabs = dict[str, Callable[[], ResultTab]]
"""What lays out each part, by its name."""

TABS_OF_BLOCK = {
    "your images": ("yours",),
    "shifts": ("shifts",),
    "inside": ("channels", "inside"),
    "deploy": ("checks",),
    "how sure": ("checks",),
}
"""The parts that may hold the evidence behind a block of the card, the first choice first."""


def read_tabs(run: RunDir) -> tuple[RunResults, ResultTabs]:
    """Reads a run, and returns its parts, without what no tab shows.

    Raises:
        DamagedFileError: If the report cannot be read.
    """
    results = RunResults(run, read_report(run, results=()))
    return results, tabs_of(results)


def tabs_of(results: RunResults) -> ResultTabs:
    """Returns the parts with content, in order: what to expect, why, and how sure.

    A section inside whose rows can be opened has a part of its own while there is room.
    """
    visible = [part for part in results.report.parts if part.section is not None]
    opened = [part for part in visible if part.block == "inside" and _opens(part)]
    channels = [part for part in visible if part.probe == "outliers"]
    opened = [part for part in opened if part not in channels][: MAX_TABS - 6]
    separate = (*channels, *opened)
    inside = [part for part in visible if part.block == "inside" and part not in separate]
    checks = [part for part in visible if part.block in ("deploy", "how sure", None)]
    sections = {
        "yours": [part for part in visible if part.block == "your images"],
        "shifts": [part for part in visible if part.block == "shifts"],
        "channels": channels,
        "inside": inside,
        **{part.probe.replace("_", "-"): [part] for part in opened},
        "checks": checks,
    }
    parts: ResultTabs = {"overview": partial(OverviewTab, results)}
    for name, members in sections.items():
        if members:
            parts[name] = partial(SectionTab, results, _sections(members))
    return parts


def _sections(parts: list[Part]) -> list[Section]:
    return [part.section for part in parts if part.section is not None]


def _opens(part: Part) -> bool:
    """Returns whether a row of a part is about a channel or direction."""
    content = part.section.content if part.section is not None else ()
    return any(isinstance(piece, Table) and piece.subjects for piece in content)
