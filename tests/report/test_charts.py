"""What is drawn: the data of charts, against the results they come from."""

import pytest

from tests.report.samples import charts, estimate, outliers, report, retold
from tests.report.samples_head import head_report, quantisation, targets
from tuiprobe.catalog.baselines import bundled_models
from tuiprobe.probes.directions.result import Directions
from tuiprobe.probes.forecast.result import Forecast
from tuiprobe.probes.robustness.result import BaselineModel, BaselineModels, Robustness
from tuiprobe.report.svg import round_ticks
from tuiprobe.results import NotRun, given
from tuiprobe.results.section import Chart, Series


@pytest.fixture(scope="module")
def full():
    return head_report()


@pytest.fixture(scope="module")
def drawn(full):
    return {chart.id: chart for chart in charts(full)}


@pytest.fixture(scope="module")
def robustness(full):
    return full.part(Robustness)


def test_every_part_is_drawn(drawn):
    kinds = {name.partition("_")[0] for name in drawn}
    assert kinds == {
        "heights", "shares", "importance", "pruning", "concepts", "robustness", "forecast",
    }  # fmt: skip


def test_a_pruning_curve_holds_every_point_with_its_interval(full, drawn):
    basis = full.part(Directions).bases[0]
    curve = next(one for one in basis.curves if one.order == "random directions")
    series = next(one for one in drawn["pruning_plain_0"].series if one.name == curve.order)
    assert series.role == "control"
    assert series.x == tuple(point.fraction for point in curve.points)
    assert series.y == tuple(point.accuracy.value for point in curve.points)
    assert series.high == tuple(point.accuracy.high for point in curve.points)


def test_all_importances_are_drawn(full, drawn):
    for basis, name in zip(full.part(Directions).bases, ("plain", "centred"), strict=True):
        assert drawn[f"importance_{name}"].series[0].y == basis.importances


def test_a_figure_that_was_not_run_is_left_out():
    nothing = NotRun(reason="too few images")
    first = second = outliers().shares[0]
    one = outliers(shares=(first.model_copy(update={"share": nothing}), second))
    chart = next(one for one in charts(report(outliers=(one,))) if one.id == "shares")
    assert chart.series[0].y == (0.6,)
    assert chart.ticks == ("133",)


def test_layers_stand_in_order_with_the_final_one_last():
    inner = outliers(tap="blocks.3", final=False, kurtosis=estimate(9, 1))
    found = report(outliers=(outliers(), inner))
    layers = next(one for one in charts(found) if one.id == "layers")
    assert layers.ticks == ("blocks.3", "final")
    kurtosis = next(one for one in layers.series if one.name == "kurtosis")
    assert kurtosis.y == (9, 23.5)


def test_published_models_stand_behind_a_published_baseline(robustness, drawn):
    chart = drawn["robustness_0"]
    own = next(one for one in chart.series if one.role == "main")
    er = robustness.effective[0]
    line = next(one for one in chart.series if one.role == "reference")
    assert own.x == (robustness.accuracies[0].top1.value,)
    assert own.y[0] == pytest.approx(robustness.mean_shift.value)
    assert own.high[0] - own.y[0] == pytest.approx(er.value.high - er.value.value)
    assert len(line.x) == len(line.y) == 40
    behind = {one.name: one for one in chart.series if one.role not in ("main", "reference")}
    assert len(behind["open_clip, zero-shot"].x) > 50
    assert len(behind["timm and testbed, others"].x) > 1000
    models = behind["models of standard"]
    assert len(models.x) == er.models + er.left_out
    place = models.names.index("resnet50")
    assert models.x[place] == next(r.imagenet for r in bundled_models("standard")
                                   if r.model == "resnet50")  # fmt: skip


def test_the_models_of_a_baseline_of_ones_own_are_drawn_with_their_names(full, robustness):
    mine = BaselineModel(name="mine, seed 1", x=0.5, shifts={"imagenet_v2": 0.4})
    lacking = BaselineModel(name="lacking", x=0.6, shifts={"imagenet_r": 0.4})
    entry = robustness.effective[0].model_copy(
        update={"baseline": "own", "target": ("imagenet_v2",), "axis": "val"}
    )
    found = robustness.model_copy(
        update={
            "effective": (entry,),
            "baseline_models": (BaselineModels(baseline="own", models=(mine, lacking)),),
        }
    )
    drawn = {one.id: one for one in charts(retold(full, robustness=found))}
    models = next(one for one in drawn["robustness_0"].series if one.role == "control")
    assert (models.names, models.x, models.y) == (("mine, seed 1",), (0.5,), (0.4,))


def test_a_run_that_lacks_the_target_is_not_drawn_and_says_so(robustness, drawn):
    assert not given(robustness.effective[1].value)
    chart = drawn["robustness_1"]
    assert "objectnet not measured" in chart.note
    assert not [one for one in chart.series if one.role == "main"]


def test_estimates_stand_beside_what_labels_tell():
    found = targets()
    chart = next(one for one in charts(report(targets=found)) if one.id == "targets")
    by_role = {one.role: one for one in chart.series}
    values = [one.measured.value + one.left_out.value for one in found.checks]
    target = found.targets[0].headline
    assert by_role["main"].y == (*values, target.value)
    assert by_role["main"].low == (*values, target.low)
    assert by_role["second"].y == tuple(one.measured.value for one in found.checks)
    assert chart.ticks == ("v2", "photos")


def test_estimates_that_no_label_checks_are_not_drawn():
    unchecked = targets().model_copy(update={"checks": ()})
    assert not [one for one in charts(report(targets=unchecked)) if one.id == "targets"]


def test_the_highest_channels_stand_beside_the_cut_of_the_rule():
    chart = next(one for one in charts(report()) if one.id == "heights")
    bars, cut = chart.series
    heights = outliers().heights
    assert bars.y == tuple(one.height.value for one in heights.leading)
    assert chart.ticks == tuple(str(one.channel) for one in heights.leading)
    assert set(cut.y) == {6.0}


def test_int8_is_drawn_by_layer_or_by_scheme():
    found = quantisation()
    both = {one.id for one in charts(report(quantisation=found)) if one.id.startswith("int8")}
    assert both == {"int8_layers"}
    alone = found.model_copy(update={"taps": (found.final(),)})
    [chart] = [one for one in charts(report(quantisation=alone)) if one.id.startswith("int8")]
    final = found.final()
    signal = next(one for one in chart.series if one.mark == "bars")
    schemes = (final.tensor, final.apart, final.token, final.channel)
    assert signal.y == tuple(one.energy.value for one in schemes if given(one.energy))


def test_forecast_and_measured_stand_among_the_models_it_rests_on(drawn, full):
    chart = drawn["forecast"]
    found = full.part(Forecast)
    shown = next(one for one in found.expectations if given(one.measured))
    series = {one.name: one for one in chart.series}
    assert series["measured"].y == (shown.measured.value,)
    forecast = series["forecast, 95 %"]
    assert (forecast.y, forecast.low, forecast.high) == (
        (shown.forecast.value,), (shown.forecast.low,), (shown.forecast.high,),
    )  # fmt: skip
    peers = series[f"published {found.kind} models"]
    assert len(peers.names) == len(peers.x) == found.models


def test_without_a_baseline_no_published_model_is_shown(full, robustness):
    bare = robustness.model_copy(update={"effective": NotRun(reason="no baseline")})
    drawn = {one.id: one for one in charts(retold(full, robustness=bare))}
    chart = drawn["robustness"]
    assert {one.role for one in chart.series} == {"main", "reference"}
    assert "No baseline" in chart.note


def test_a_series_with_parts_of_unlike_length_is_refused():
    with pytest.raises(ValueError, match="lengths"):
        Series(name="s", x=(0.0, 1.0), y=(1.0,))


def test_what_matters_most_is_drawn_last():
    series = (
        Series(name="a", x=(0.0,), y=(0.0,)),
        Series(name="b", x=(0.0,), y=(0.0,), role="context"),
    )
    chart = Chart(id="c", title="", x_label="", y_label="", series=series)
    assert [one.name for one in chart.back_to_front()] == ["b", "a"]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 7.9), (1e-9, 4e-9), (99.9, 100.1)])
def test_ticks_are_round_and_within(low, high):
    ticks = round_ticks(low, high)
    assert 2 <= len(ticks) <= 11
    assert all(low - 1e-9 * abs(high) <= one <= high + 1e-9 * abs(high) for one in ticks)
