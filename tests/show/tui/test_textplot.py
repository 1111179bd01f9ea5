"""Charts as characters: plain strings, no app."""

from typing import Any

import pytest

from tests.show.report.samples import charts
from tests.show.tui.finished import full_report
from tuiprobe.results.section import Chart, Series
from tuiprobe.show.tui.widgets.textplot import MIN_SIZE, PlotLine, plot, points, signs


def as_text(lines: list[PlotLine]) -> str:
    """Returns a drawing without its kinds."""
    return "\n".join("".join(text for text, _ in line) for line in lines)


Ends = tuple[float, ...]


def series(name: str, x: Ends, y: Ends, low: Ends = (), high: Ends = (), **more: Any) -> Series:
    return Series(name=name, x=x, y=y, low=low, high=high, **more)


def line(*drawn: Series, ticks: tuple[str, ...] = ()) -> Chart:
    return Chart(id="c", title="title", x_label="x", y_label="y", series=drawn, ticks=ticks)


def test_a_single_point_has_its_name_beside_it_and_an_interval() -> None:
    cloud = series("cloud", (0.0, 1.0), (0.0, 1.0), mark="points", role="context")
    own = series("m\x1b[0m", (0.9,), (0.5,), (0.2,), (0.8,), mark="points")
    text = as_text(plot(line(cloud, own), 40, 16))
    assert r"m\x1b[0m ◆" in text
    assert "\x1b" not in text
    assert text.count("│") > 12  # axis and interval
    several = [
        series(name, (1.0,), (y,), (0.0,), (1.0,), mark="points")
        for name, y in (("p", 0.2), ("q", 0.5), ("r", 0.8))
    ]
    text = as_text(plot(line(*several), 40, 18))
    assert all(sign in text for sign in signs(line(*several)))  # no interval hides a point


def test_each_series_has_a_sign_of_its_own_in_the_chart_and_in_the_legend() -> None:
    for chart in charts(full_report()):
        if len(chart.series) < 2:
            continue
        series_signs = signs(chart)
        assert len(set(series_signs)) == len(series_signs), chart.id
        lines = as_text(plot(chart, 100, 40)).splitlines()
        legend = "\n".join(lines[-10:])
        for sign, one in zip(series_signs, chart.series, strict=True):
            assert one.labelled or f"{sign}" in legend, (chart.id, one.name)
        assert lines[0].startswith(chart.y_label[:20])
        assert sum(text.strip() == chart.x_label for text in lines) == 1  # once


def test_the_name_of_a_point_is_shown() -> None:
    chart = line(
        series("s", (0.0, 1.0, 2.0), (0.0, 0.5, 1.0), (0.0, 0.4, 0.9), (0.1, 0.6, 1.0),
               mark="points", names=("one", "two", "thr\x1bee")),
    )  # fmt: skip
    assert as_text(plot(chart, 40, 12)).count("◆") == 3
    assert [point.words for point in points(chart)][1] == "◆ two: 0.50 (0.40 to 0.60)"
    named = as_text(plot(chart, 40, 12, cursor=2))
    assert r"◆ thr\x1bee: 1" in named


@pytest.mark.parametrize("size", [MIN_SIZE, (30, 9), (60, 14), (140, 40)])
def test_every_chart_fills_exactly_its_place(size: tuple[int, int]) -> None:
    assert plot(charts(full_report())[0], 15, 10) == plot(line(), 40, 10) == []  # too small, empty
    width, height = size
    for chart in charts(full_report()):
        lines = plot(chart, width, height)
        assert 5 <= len(lines) <= height
        assert all(len("".join(text for text, _ in one)) <= width + 2 for one in lines), chart.id
