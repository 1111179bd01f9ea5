"""One report over several runs: every headline figure of all of them, beside the decision."""

from __future__ import annotations

import time

import pytest

from tests.report.samples import NO_RUN, model
from tests.report.samples_head import head_report
from tuiprobe.compare.decision import decide
from tuiprobe.compare.decision_section import describe_decision
from tuiprobe.compare.forest import describe_headlines, forests
from tuiprobe.compare.runs import Run
from tuiprobe.report.html import sections_html
from tuiprobe.results.headlines import HEADLINES


def run(**changes: object) -> Run:
    return Run(head_report().model_copy(update=changes), {}, NO_RUN)


def test_every_headline_figure_of_every_run_is_given_with_its_interval() -> None:
    runs = [run(), run(key="ef" * 32, model=model(name="other"))]
    charts = {forest.id: forest for forest in forests([run.report for run in runs])}
    ranks = [f"forest_{headline.id.replace('.', '_')}" for headline in HEADLINES]
    assert list(charts) == [name for name in ranks if name in charts]
    top1 = charts["forest_top1"]
    figure = runs[0].report.figure("top1")
    assert top1.ticks == ("open_clip:RN50-quickgelu", "other")
    (drawn,) = top1.series
    assert (drawn.x, drawn.y, drawn.low) == ((0.0, 1.0), (figure.value,) * 2, (figure.low,) * 2)
    assert top1.y_unit == figure.unit == "share"


def test_runs_of_other_kinds_stand_beside_each_other_but_do_not_compare_inside() -> None:
    other = run(model=model(name="token one", representation="token"))
    charts = {forest.id: forest for forest in forests([run().report, other.report])}
    assert charts["forest_kurtosis"].ticks == ("open_clip:RN50-quickgelu",)
    assert charts["forest_kurtosis"].note == "Not comparable, left out: token one."
    assert len(charts["forest_top1"].ticks) == 2


@pytest.mark.slow
def test_fifty_runs_make_one_page() -> None:
    runs = [run(key=f"{i:02}" * 32, model=model(name=f"model {i}")) for i in range(50)]
    decision = decide(runs)
    began = time.process_time()
    headlines = describe_headlines([run.report for run in runs])
    page = sections_html("Runs", [describe_decision(decision, runs), headlines])
    assert time.process_time() - began < 60
    assert len(page.encode()) < 3_000_000
    assert page.count(">model 49<") >= 2  # in the table, and beside its points
