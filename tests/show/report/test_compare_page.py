"""The page of a comparison: the decision, paired differences, pictures, and how large it is."""

import time
from pathlib import Path

import pytest

from tests.show.report.samples import NO_RUN, model
from tests.show.report.samples_head import head_report
from tuiprobe.choose.comparing.decide import REFERENCE, decide
from tuiprobe.choose.comparing.decision import DecidedModel, Decision
from tuiprobe.choose.comparing.differences import Comparison, compare_runs
from tuiprobe.choose.comparing.forest import MOST_ROWS, PairedRow, paired_chart, paired_rows
from tuiprobe.choose.comparing.runs import Run, read_runs
from tuiprobe.results import Estimate
from tuiprobe.show.report.compare_page import compare_page


def decided(runs: list[Run]) -> tuple[Decision, list[Comparison]]:
    decision = decide(runs)
    first, *rest = (row.place for row in decision.models)
    return decision, [compare_runs(runs, place, first, None) for place in rest]


def test_rows_are_the_decision_then_each_set_by_models(label_runs: list[Path]) -> None:
    decision, comparisons = decided(read_runs(label_runs))
    rows = paired_rows(decision, comparisons)
    given = [row for row in decision.models if isinstance(row.difference, Estimate)]
    assert [row.difference for row in rows[: len(given)]] == [row.difference for row in given]
    others = [row.model for row in decision.models[1:]]
    on_sets = rows[len(given) :]
    assert [row.model for row in on_sets] == others * (len(on_sets) // len(others))
    paired = {
        (row.data, comparison.models[0]): row.difference
        for comparison in comparisons
        for row in comparison.differences
        if row.id == "top1" and row.paired
    }
    assert {(row.name, row.model): row.difference for row in on_sets} == paired


def test_each_model_has_its_mark_and_every_row_its_place() -> None:
    def row(name: str, by: str) -> PairedRow:
        change = Estimate(value=0.1, low=0.0, high=0.2, unit="points", n=9, method="test")
        return PairedRow(name=name, model=by, difference=change)

    top = DecidedModel(
        place=0, model="top", run="", accuracy=REFERENCE, standing="take", difference=REFERENCE
    )
    decision = Decision(verdict="best", evidence="shifts", models=(top,))
    chart = paired_chart([row("mean of shifts", "b"), row("a", "b"), row("a", "c")], decision)
    assert chart.ticks == ("b · mean of shifts", "b · a", "c · a")
    assert [(of.name, of.x) for of in chart.series] == [
        ("b", (0.0, 1.0)), ("c", (2.0,)), ("no difference", (0.0, 1.0, 2.0)),
    ]  # fmt: skip
    assert len({of.role for of in chart.series}) == 3
    assert paired_chart([], decision) is None
    many = [row("mean of shifts", name) for name in "bcdefgh"]
    chart = paired_chart(many, decision)  # more models than marks: their names stand at the rows
    assert chart.ticks == tuple("bcdefgh")
    assert [of.x for of in chart.series] == [tuple(map(float, range(7)))] * 2
    assert "Sets" not in chart.note


def test_pictures_on_which_models_differ_have_each_ones_answer(label_runs: list[Path]) -> None:
    runs = read_runs(label_runs)
    page = compare_page(runs, *decided(runs))
    assert page.count("<img") == 8
    assert 'id="figure-section0-differ"' in page
    assert page.index('id="figure-section0-paired"') > page.index("<table")  # the decision leads


@pytest.mark.slow
def test_many_runs_make_one_page() -> None:
    runs = [
        Run(head_report().model_copy(update={"key": f"{i:02}" * 32, "model": model(name=f"m {i}")}),
            {}, NO_RUN)
        for i in range(20)
    ]  # fmt: skip
    decision, comparisons = decided(runs)
    assert len(paired_rows(decision, comparisons)) <= MOST_ROWS + 19
    began = time.process_time()
    page = compare_page(runs, decision, comparisons)
    assert time.process_time() - began < 30
    assert len(page.encode()) < 3_000_000
    assert ">m 19<" in page
