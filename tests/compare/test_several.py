"""One report over several runs: ranked models, and every headline figure of all of them."""

from __future__ import annotations

import time

import pytest

from tests.report.samples import estimate, model, report, retold
from tests.report.samples_head import head_report
from tuiprobe.compare.differences import Run
from tuiprobe.compare.ranking import names_of, rank
from tuiprobe.compare.ranking_section import title_of
from tuiprobe.compare.several import describe_several, forests
from tuiprobe.probes.robustness.result import Robustness
from tuiprobe.report.html import sections_html
from tuiprobe.report.markdown import section_markdown
from tuiprobe.results import Report
from tuiprobe.results.headlines import HEADLINES
from tuiprobe.results.section import Chart


def run(**changes: object) -> Run:
    return Run(head_report().model_copy(update=changes), {})


def better(original: Report, by: float) -> Report:
    """Returns the report with a higher mean of shifts."""
    robustness = original.part(Robustness)
    assert robustness is not None
    return retold(
        original, robustness=robustness.model_copy(update={"mean_shift": estimate(by, 0.01)})
    )


def test_every_headline_figure_of_every_run_is_given_with_its_interval() -> None:
    runs = [run(), run(key="ef" * 32, model=model(name="other"))]
    charts = {forest.id: forest for forest in forests(runs)}
    ranks = [f"forest_{headline.id.replace('.', '_')}" for headline in HEADLINES]
    assert list(charts) == [name for name in ranks if name in charts]
    top1 = charts["forest_top1"]
    figure = runs[0].report.figure("top1")
    assert top1.ticks == ("open_clip:RN50-quickgelu", "other")
    assert [(line.x, line.y, line.low) for line in top1.series] == [
        ((1.0,), (figure.value,), (figure.low,)),
        ((0.0,), (figure.value,), (figure.low,)),
    ]
    assert [line.name for line in top1.series] == [
        "not told apart from the first", "the first, or not compared",
    ]  # fmt: skip
    assert top1.y_unit == figure.unit == "share"


def test_a_run_that_differs_from_the_first_is_marked() -> None:
    first, other = head_report(), better(head_report(), 0.99)
    chart = next(
        block
        for block in describe_several([Run(first, {}), Run(other, {})])[1].content
        if isinstance(block, Chart) and block.id == "forest_mean_shift"
    )
    roles = {line.name: line.role for line in chart.series}
    assert roles == {"differs from the first": "main", "the first, or not compared": "control"}
    assert chart.across


def test_runs_of_one_model_are_told_apart_by_their_keys() -> None:
    first, second = report(), report(key="ef" * 32)
    assert names_of([first, second, report(model=model(name="b"))]) == (
        "open_clip:RN50-quickgelu (cdcdcdcd)",
        "open_clip:RN50-quickgelu (efefefef)",
        "b",
    )


def test_runs_of_other_kinds_stand_beside_each_other_but_do_not_compare_inside() -> None:
    other = run(model=model(name="token one", representation="token"))
    charts = {forest.id: forest for forest in forests([run(), other])}
    assert charts["forest_kurtosis"].ticks == ("open_clip:RN50-quickgelu",)
    assert charts["forest_kurtosis"].note == "Not comparable, left out: token one."
    assert [line.name for line in charts["forest_top1"].series] == [
        "not told apart from the first", "the first, or not compared"
    ]  # fmt: skip
    text = section_markdown(describe_several([run(), other])[1])
    assert "The runs are of 2 kinds of representation (projected, token)" in text


def test_warnings_of_the_runs_are_not_lost() -> None:
    text = section_markdown(describe_several([run(), run(key="ef" * 32)])[1])
    assert "Warning of 2 runs: 1 image skipped" in text


@pytest.mark.slow
def test_fifty_runs_make_one_page() -> None:
    runs = [run(key=f"{i:02}" * 32, model=model(name=f"model {i}")) for i in range(50)]
    names = "model 0, model 1, model 2, model 3 and 46 more"
    assert title_of(rank(runs)) == f"Undecided between {names}: label some of your own pictures"
    began = time.process_time()
    page = sections_html("Runs", describe_several(runs))
    assert time.process_time() - began < 60
    assert len(page.encode()) < 3_000_000
    assert page.count(">model 49<") >= 2  # in the table, and beside its points
