"""What is drawn: the data of charts, against the results they come from."""

import pytest
from tuiprobe.report.charts import charts

from tests.report.samples import estimate, outliers, report
from tests.report.samples_head import head_report
from tuiprobe.report.axis import round_ticks
from tuiprobe.results import NotRun, given
from tuiprobe.results.section import Chart, Series


@pytest.fixture(scope="module")
def full():
    return head_report()


@pytest.fixture(scope="module")
def drawn(full):
    return {chart.name: chart for chart in charts(full)}


def test_every_part_is_drawn(drawn):
    kinds = {name.partition("_")[0] for name in drawn}
    assert kinds == {"shares", "importance", "pruning", "concepts", "robustness"}


def test_a_pruning_curve_holds_every_point_with_its_interval(full, drawn):
    basis = full.directions.bases[0]
    curve = next(one for one in basis.curves if one.order == "random directions")
    series = next(one for one in drawn["pruning_plain_0"].series if one.name == curve.order)
    assert series.role == "control"
    assert series.x == tuple(point.fraction for point in curve.points)
    assert series.y == tuple(point.accuracy.value for point in curve.points)
    assert series.high == tuple(point.accuracy.high for point in curve.points)


def test_all_importances_are_drawn(full, drawn):
    for basis, name in zip(full.directions.bases, ("plain", "centred"), strict=True):
        assert drawn[f"importance_{name}"].series[0].y == basis.importances


def test_a_figure_that_was_not_run_is_left_out():
    nothing = NotRun(reason="too few images")
    first, second = report().outliers[0].shares[0], report().outliers[0].shares[0]
    one = outliers(shares=(first.model_copy(update={"share": nothing}), second))
    chart = charts(report(outliers=(one,)))[0]
    assert chart.series[0].y == (0.6,)
    assert chart.ticks == ("133",)


def test_layers_stand_in_order_with_the_final_one_last():
    inner = outliers(tap="blocks.3", final=False, kurtosis=estimate(9, 1))
    layers = charts(report(outliers=(outliers(), inner)))[1]
    assert layers.ticks == ("blocks.3", "final")
    kurtosis = next(one for one in layers.series if one.name == "kurtosis")
    assert kurtosis.y == (9, 23.5)


def test_published_models_stand_behind_a_published_baseline(full, drawn):
    chart = drawn["robustness_0"]
    own = next(one for one in chart.series if one.role == "main")
    er = full.robustness.effective[0]
    line = next(one for one in chart.series if one.role == "reference")
    assert own.x == (full.robustness.accuracies[0].top1.value,)
    assert own.y[0] == pytest.approx(full.robustness.mean_shift.value)
    assert own.high[0] - own.y[0] == pytest.approx(er.value.high - er.value.value)
    assert len(line.x) == len(line.y) == 40
    behind = {one.name: len(one.x) for one in chart.series if one.role in ("context", "third")}
    assert behind["open_clip, zero-shot"] > 50
    assert behind["timm and testbed models"] > 1000


def test_a_run_that_lacks_the_target_is_not_drawn_and_says_so(full, drawn):
    assert not given(full.robustness.effective[1].value)
    chart = drawn["robustness_1"]
    assert "objectnet not measured" in chart.note
    assert not [one for one in chart.series if one.role == "main"]


def test_without_a_baseline_no_published_model_is_shown(full):
    bare = full.robustness.model_copy(update={"effective": NotRun(reason="no baseline")})
    chart = charts(full.model_copy(update={"robustness": bare}))[-1]
    assert {one.role for one in chart.series} == {"main", "reference"}
    assert "No baseline" in chart.note


def test_a_series_with_parts_of_unlike_length_is_refused():
    with pytest.raises(ValueError, match="lengths"):
        Series("s", (0.0, 1.0), (1.0,))


def test_what_matters_most_is_drawn_last():
    series = (Series("a", (0.0,), (0.0,)), Series("b", (0.0,), (0.0,), role="context"))
    assert [one.name for one in Chart("c", "", "", "", series).back_to_front()] == ["b", "a"]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 7.9), (1e-9, 4e-9), (99.9, 100.1)])
def test_ticks_are_round_and_within(low, high):
    ticks = round_ticks(low, high)
    assert 2 <= len(ticks) <= 11
    assert all(low - 1e-9 * abs(high) <= one <= high + 1e-9 * abs(high) for one in ticks)
