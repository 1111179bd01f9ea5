"""What is drawn: the data of charts, against the results they come from."""

import pytest

from tests.show.report.samples import charts, outliers, report, retold
from tests.show.report.samples_head import head_report
from tuiprobe.catalog.effective_robustness import bundled_models
from tuiprobe.choose.robustness.compute import Robustness
from tuiprobe.inside.directions.compute import Directions
from tuiprobe.results import NotRun, is_known


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
    assert kinds == {"heights", "importance", "pruning", "concepts", "robustness"}


def test_a_pruning_curve_holds_every_point_with_its_interval(full, drawn):
    basis = full.part(Directions).bases[0]
    curve = next(item for item in basis.curves if item.order == "random directions")
    series = next(item for item in drawn["pruning_plain_0"].series if item.name == curve.order)
    assert series.role == "control"
    assert series.x == tuple(point.fraction for point in curve.points)
    assert series.y == tuple(point.accuracy.value for point in curve.points)
    assert series.high == tuple(point.accuracy.high for point in curve.points)
    for basis, name in zip(full.part(Directions).bases, ("plain", "centred"), strict=True):
        shares = drawn[f"importance_{name}"].series[0].y
        assert sum(shares) == pytest.approx(1)
        whole = sum(basis.importances)
        assert shares == pytest.approx([item / whole for item in basis.importances])


def test_a_figure_that_was_not_run_is_left_out():
    heights = outliers().heights
    channel = heights.leading[0].model_copy(update={"height": NotRun(reason="too few images")})
    heights = heights.model_copy(update={"leading": (channel, *heights.leading)})
    (chart,) = charts(report(outliers=(outliers(heights=heights),)))
    assert chart.series[0].x == (1.0,)
    assert chart.series[0].y == (14.0,)


def test_published_models_stand_behind_a_published_baseline(robustness, drawn):
    chart = drawn["robustness_0"]
    own = next(item for item in chart.series if item.role == "main")
    er = robustness.effective[0]
    line = next(item for item in chart.series if item.role == "reference")
    assert own.x == (robustness.accuracies[0].top1.value,)
    assert own.y[0] == pytest.approx(robustness.mean_shift.value)
    assert own.high[0] - own.y[0] == pytest.approx(er.value.high - er.value.value)
    assert len(line.x) == len(line.y) == 40
    behind = {item.name: item for item in chart.series if item.role not in ("main", "reference")}
    assert len(behind["open_clip, zero-shot"].x) > 50
    assert len(behind["timm and testbed, others"].x) > 1000
    models = behind["models of standard"]
    assert len(models.x) == er.models + er.left_out
    place = models.names.index("resnet50")
    assert models.x[place] == next(r.imagenet for r in bundled_models("standard")
                                   if r.model == "resnet50")  # fmt: skip


def test_without_target_or_baseline_only_the_rest_is_drawn_and_says_so(full, robustness, drawn):
    assert not is_known(robustness.effective[1].value)
    chart = drawn["robustness_1"]
    assert "objectnet not measured" in chart.note
    assert not [item for item in chart.series if item.role == "main"]
    bare = robustness.model_copy(update={"effective": NotRun(reason="no baseline")})
    rest = charts(retold(full, robustness=bare))
    assert not [item for item in rest if item.id.startswith("robustness")]
