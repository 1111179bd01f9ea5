"""The forest plot as data: rows, and their common scales."""

import pytest

from tests.report.samples import estimate, outlier_channel, outliers, report
from tuiprobe.comparing.differences import Comparison, Difference, compare
from tuiprobe.comparing.forest import ForestRow, bar_pair, forest_rows
from tuiprobe.probes.outliers.result import Heights
from tuiprobe.results import Estimate, NotRun
from tuiprobe.results.figures import Fig
from tuiprobe.results.headlines import KURTOSIS, MEAN_SHIFT, TOP1


def moved(fig: Fig, value: float, half: float = 0.01) -> Difference:
    """A headline figure that moved by `value`."""
    unit = "points" if fig.is_accuracy else "none"
    figure = Estimate(value=value, low=value - half, high=value + half, unit=unit, n=9, method="")
    return Difference(
        probe="p", data="val", place="", id=fig.id, name=fig.name, first=figure,
        second=figure, difference=figure, paired=True, headline=fig.headline,
    )  # fmt: skip


def heights(highest: float) -> Heights:
    """The heights of a layer whose highest channel is so high."""
    channel = outlier_channel(height=estimate(highest, 0.2))
    return Heights(
        n=500, without=0, skewed=False, highest=channel.height, leading=(channel,), curve=()
    )  # fmt: skip


def rows(*differences: Difference) -> tuple[ForestRow, ...]:
    return forest_rows(
        Comparison(
            models=("", ""), facts=(), differences=differences, overlaps=(),
            notes=(), unmatched=(),
        )
    )  # fmt: skip


def test_rows_of_one_unit_share_a_scale_and_others_have_their_own():
    first, second, third = rows(
        moved(TOP1, -0.04), moved(MEAN_SHIFT, 0.19), moved(KURTOSIS, 5.0, 0.5)
    )
    assert first.reach == second.reach == pytest.approx(0.2)
    assert first.ends == pytest.approx((-0.25, -0.2, -0.15))
    assert third.ends == pytest.approx((4.5 / 5.5, 5 / 5.5, 1.0))
    assert [row.name for row in (first, second, third)] == [
        "top-1 on val", "mean of shifts", "kurtosis",
    ]  # fmt: skip


def test_what_has_no_interval_has_nothing_to_draw():
    row = moved(TOP1, 0.1)
    missing = row.model_copy(update={"difference": NotRun(reason="second: no")})
    without = Estimate(value=0.1, low=None, high=None, n=9, method="")
    bare = row.model_copy(update={"difference": without})
    assert [row.ends for row in rows(missing, bare)] == [None, None]
    same = moved(KURTOSIS, 0.0, 0.0)
    assert [row.ends for row in rows(same)] == [(0, 0, 0)]


def test_the_other_way_round_is_the_mirror_image():
    weak = report(outliers=(outliers(kurtosis=estimate(4.0, 0.2)),))
    there, back = compare(report(), weak), compare(weak, report())
    for row, other in zip(forest_rows(there), forest_rows(back), strict=True):
        assert row.ends is not None
        assert other.ends == pytest.approx(tuple(-end for end in reversed(row.ends)))


def test_bars_by_channel_come_from_the_charts_of_both_reports():
    low = report(outliers=(outliers(heights=heights(7.0)),))
    pair = bar_pair(report(), low)
    assert pair is not None
    chart, *series = pair
    assert [bars.y for bars in series] == [(14.0,), (7.0,)]
    assert "on val" in chart.title
    assert bar_pair(report(), report(outliers=NotRun(reason="no"))) is None
