"""Charts as characters: plain strings, no app."""

from __future__ import annotations

from typing import Any

import pytest

from tests.report.samples import charts
from tests.tui.finished import full_report
from tuiprobe.results.section import Chart, Series
from tuiprobe.tui.ascii import to_ascii
from tuiprobe.tui.widgets.textplot import Line, plot


def as_text(lines: list[Line]) -> str:
    """Returns a drawing without its kinds."""
    return "\n".join("".join(text for text, _ in line) for line in lines)


Ends = tuple[float, ...]


def series(name: str, x: Ends, y: Ends, low: Ends = (), high: Ends = (), **more: Any) -> Series:
    return Series(name=name, x=x, y=y, low=low, high=high, **more)


def line(*drawn: Series, ticks: tuple[str, ...] = ()) -> Chart:
    return Chart(id="c", title="title", x_label="x", y_label="y", series=drawn, ticks=ticks)


def test_bars_stand_on_the_axis_and_keep_their_proportions() -> None:
    chart = line(series("s", (0.0, 1.0), (1.0, 0.5), mark="bars"), ticks=("a", "b"))
    assert as_text(plot(chart, 20, 8)).split("\n") == [
        "  1┤███████         ",
        "   │███████         ",
        "0.5┤███████         ",
        "   │███████ ███████ ",
        "   │███████ ███████ ",
        "  0┤███████ ███████ ",
        "   └────────────────",
        "       a       b  x ",
    ]


def test_a_single_point_has_its_name_beside_it_and_an_interval() -> None:
    cloud = series("cloud", (0.0, 1.0), (0.0, 1.0), mark="points", role="context")
    own = series("m\x1b[0m", (0.9,), (0.5,), (0.2,), (0.8,), mark="points")
    text = as_text(plot(line(cloud, own), 40, 14))
    assert r"m\x1b[0m ◆" in text
    assert "\x1b" not in text
    assert text.count("│") > 12  # axis and interval
    points = [
        series(name, (1.0,), (y,), (0.0,), (1.0,), mark="points")
        for name, y in (("p", 0.2), ("q", 0.5), ("r", 0.8))
    ]
    assert as_text(plot(line(*points), 40, 16)).count("◆") == 3  # no interval hides a point


@pytest.mark.parametrize("size", [(16, 5), (30, 7), (60, 12), (140, 40)])
def test_every_chart_fills_exactly_its_place(size: tuple[int, int]) -> None:
    assert plot(charts(full_report())[0], 15, 10) == plot(line(), 40, 10) == []  # too small, empty
    width, height = size
    for chart in charts(full_report()):
        lines = plot(chart, width, height)
        assert 5 <= len(lines) <= height
        assert all(len("".join(text for text, _ in one)) <= width + 2 for one in lines), chart.id
        assert to_ascii(as_text(lines)).isascii()
