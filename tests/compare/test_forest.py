"""The forest plot as data: rows, their common scales, and what the sentence says."""

import pytest

from tests.report.samples import estimate, outlier_channel, outliers, report
from tuiprobe.compare.differences import Comparison, Difference, compare
from tuiprobe.compare.forest import ForestRow, bar_pair, forest_rows, verdict
from tuiprobe.probes.outliers.result import Heights
from tuiprobe.results import Estimate, NotRun
from tuiprobe.results.headlines import EFFECTIVE, HEADLINES, KURTOSIS, MEAN_SHIFT, TARGET, TOP1


def moved(
    rank: int, value: float, half: float = 0.01, paired: bool = True, differs: bool | None = None
) -> Difference:
    """A headline figure that moved by `value`; it differs if its interval excludes zero."""
    headline = next(headline for headline in HEADLINES if headline.rank == rank)
    unit = "points" if headline.place else "none"
    figure = Estimate(value=value, low=value - half, high=value + half, unit=unit, n=9, method="")
    return Difference(
        probe="p", data="val", place="", id=headline.id, name=headline.name, first=figure,
        second=figure, difference=figure, paired=paired, headline=rank,
        differs=abs(value) > half if differs is None else differs,
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
            titles=("", ""), models=("", ""), facts=(), differences=differences, overlaps=(),
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
    missing = row.model_copy(update={"difference": NotRun(reason="second: no"), "differs": None})
    without = Estimate(value=0.1, low=None, high=None, n=9, method="")
    bare = row.model_copy(update={"difference": without, "differs": None})
    assert [row.ends for row in rows(missing, bare)] == [None, None]
    same = moved(KURTOSIS, 0.0, 0.0)
    assert [row.ends for row in rows(same)] == [(0, 0, 0)]


def test_the_sentence_says_what_the_paired_figures_say_and_no_more():
    moves = rows(
        moved(TOP1, -0.035), moved(MEAN_SHIFT, 0.091), moved(EFFECTIVE, 0.005),
        moved(TARGET, 0.5, paired=False), moved(KURTOSIS, 5.27, 0.1),
    )  # fmt: skip
    assert verdict(moves, "A", "B") == (
        "On the same images, B loses 3.5 points on val and gains 9.1 points on the mean of the "
        "shifts; its kurtosis is 5.27 higher; not told apart by effective robustness."
    )
    gains = rows(moved(MEAN_SHIFT, 0.091), moved(EFFECTIVE, 0.18))
    assert verdict(gains, "A", "B") == (
        "On the same images, B gains 9.1 points on the mean of the shifts and 18.0 points of "
        "effective robustness."
    )
    assert verdict(moves[3:4], "A", "B").startswith("No headline figure of A and B was compared")
    assert verdict(moves[2:3], "A", "B") == (
        "On the same images, B and A are not told apart by effective robustness."
    )
    assert verdict(moves[4:], "A", "B") == "On the same images, of B the kurtosis is 5.27 higher."


def test_a_difference_that_the_correction_rejects_is_no_gain():
    (row,) = rows(moved(TOP1, 0.03, 0.01, differs=False))
    assert "not told apart by top-1 on val" in verdict([row], "A", "B")
    assert verdict([], "A", "B") == "No headline figure is in both runs."


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
