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


def test_a_rising_line_rises() -> None:
    rows = as_text(plot(line(series("s", (0.0, 1.0), (0.0, 1.0))), 24, 8)).split("\n")
    area = [row.partition("│")[2] or row.partition("┤")[2] for row in rows[:6]]
    first = [min(i for i, c in enumerate(row) if c != " ") for row in area if row.strip()]
    assert first == sorted(first, reverse=True)
    assert first[0] > first[-1]


def test_several_lines_carry_letters_and_a_control_its_band() -> None:
    x = (0.0, 1.0, 2.0, 3.0)
    own = series("own", x, (3.0, 3.0, 3.0, 2.0))
    control = series("ctl", x, (2.0, 1.0, 1.0, 0.0), (1.5, 0.5, 0.5, 0.0), (2.5, 1.5, 1.5, 0.5),
                     role="control")  # fmt: skip
    lines = plot(line(control, own), 40, 14)
    text = as_text(lines)
    assert "░" in text
    assert text.split("\n")[-1].strip() == "a own  b░ ctl"
    body = "\n".join(text.split("\n")[:-2])
    assert "a" in body
    assert "b" in body
    kinds = {kind for one in lines for _, kind in one}
    assert {"main", "control", "axis"} <= kinds


def test_a_single_point_has_its_name_beside_it_and_an_interval() -> None:
    cloud = series("cloud", (0.0, 1.0), (0.0, 1.0), mark="points", role="context")
    own = series("m\x1b[0m", (0.9,), (0.5,), (0.2,), (0.8,), mark="points")
    text = as_text(plot(line(cloud, own), 40, 14))
    assert r"m\x1b[0m ◆" in text
    assert "\x1b" not in text
    assert text.count("│") > 12  # axis and interval


def test_no_interval_hides_another_point() -> None:
    points = [
        series(name, (1.0,), (y,), (0.0,), (1.0,), mark="points")
        for name, y in (("p", 0.2), ("q", 0.5), ("r", 0.8))
    ]
    text = as_text(
        plot(line(series("l", (0.0, 1.0), (0.0, 1.0), role="reference"), *points), 40, 16)
    )
    assert text.count("◆") == 3


def test_more_bars_than_columns_show_the_tallest_of_each() -> None:
    values = tuple(1.0 if i == 501 else 0.01 for i in range(1000))
    text = as_text(
        plot(line(series("s", tuple(map(float, range(1000))), values, mark="bars")), 60, 8)
    )
    top = text.split("\n")[0]
    assert top.count("█") == 1
    assert 25 < top.index("█") < 40


@pytest.mark.parametrize("size", [(16, 5), (30, 7), (60, 12), (140, 40)])
def test_every_chart_fills_exactly_its_place(size: tuple[int, int]) -> None:
    width, height = size
    for chart in charts(full_report()):
        lines = plot(chart, width, height)
        assert 5 <= len(lines) <= height
        assert all(len("".join(text for text, _ in one)) <= width + 2 for one in lines), chart.id
        assert to_ascii(as_text(lines)).isascii()


def test_too_small_a_place_stays_empty() -> None:
    assert plot(charts(full_report())[0], 15, 10) == []
    assert plot(charts(full_report())[0], 40, 4) == []
    assert plot(line(), 40, 10) == []


def test_a_flat_line_is_drawn() -> None:
    assert as_text(plot(line(series("s", (0.0, 1.0), (2.0, 2.0))), 20, 8)).strip()
