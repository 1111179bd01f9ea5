"""One decision for the same runs and labels, wherever it is asked for: `label` and `compare`."""

from itertools import combinations
from pathlib import Path

import pytest

from tests.choose.labelling.street import MODELS, RATES, labelled, street_folder, street_runs
from tests.conftest import Program
from tests.show.report.samples import report
from tuiprobe.choose.comparing.decide import decide
from tuiprobe.choose.comparing.decision import Decision
from tuiprobe.choose.comparing.label_evidence import LabelEvidence, label_evidence
from tuiprobe.choose.comparing.runs import Run
from tuiprobe.choose.labelling.session import open_labelling
from tuiprobe.choose.labelling.standing import label_status
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.results import write_results
from tuiprobe.results import Report

__all__ = ["street_folder"]


def about_street(model: str) -> Report:
    """Returns a report on the street by a model."""
    street = report().data[0].model_copy(update={"name": "street", "target": True})
    named = report().model.model_copy(update={"name": model})
    return report().model_copy(update={"data": (street,), "model": named})


def compared(runs: list[Path]) -> tuple[Decision, LabelEvidence]:
    given = [Run(about_street(run.name), {}, RunDir(run)) for run in runs]
    evidence = label_evidence(given)
    assert isinstance(evidence, LabelEvidence)
    return decide(given), evidence


def asked(command: str, runs: list[Path], program: Program) -> dict[str, object]:
    """Returns the decision that a command prints about runs."""
    decision = program(command, *map(str, runs), "--json").json["decision"]
    assert isinstance(decision, dict)
    return decision


def test_at_every_moment_compare_says_what_label_says(street_folder: Path) -> None:
    pair = street_runs(street_folder, "mini_supervised", "mini_clip_soft")
    seen = set()
    for most in (20, 30, 40, 50, 60, 80, 100, 120):
        labelled(pair, most)
        status = label_status(open_labelling(pair, "street"))
        decision, evidence = compared(pair)
        assert evidence.status == status
        (row,) = (row for row in status.candidates if row.difference is not None)
        change = decision.models[1].difference
        assert (change.value, change.low, change.high) == row.difference  # also after the decision
        verdicts = {"open": "undecided"}
        assert decision.verdict == verdicts.get(status.verdict, status.verdict)
        assert (decision.evidence, decision.labels) == ("labels", status.labelled)
        standings = {model.model: model.standing for model in decision.models}
        rest = {"best": "not the best", "within": "at most 2 points better"}
        if status.verdict in rest:
            expected = {"mini_clip_soft": "take", "mini_supervised": rest[status.verdict]}
            assert standings == expected
        else:
            assert set(standings.values()) == {"undecided"}
        seen.add(status.verdict)
    assert {"open", "best"} <= seen


@pytest.mark.nightly  # by day at every moment of one pair
def test_all_pairs_and_triples_are_decided_alike_by_label_and_compare(street_folder, program):
    runs = street_runs(street_folder, *MODELS)
    for run in runs:
        write_results(RunDir(run), about_street(run.name))
    for most in (40, 500):
        labelled(runs, most)
        verdicts = set()
        for count in (4, 2, 3):
            for places in combinations(range(4), count):
                some = [runs[place] for place in places]
                asked("label", some, program)  # a question of its own, which costs
        for count in (2, 3, 4):
            for places in combinations(range(4), count):
                some = [runs[place] for place in places]
                by_label, by_compare = (asked(name, some, program) for name in ("label", "compare"))
                assert by_label == by_compare
                decision = Decision.model_validate(by_label)
                verdicts.add(decision.verdict)
                reference = RATES[places[decision.models[0].place]]
                for row in decision.models[1:]:
                    truth = reference - RATES[places[row.place]]
                    assert row.difference.low is not None
                    assert row.difference.high is not None
                    assert row.difference.low <= truth <= row.difference.high
                    if row.standing in ("behind", "not the best"):
                        assert truth > 0
        assert verdicts == ({"undecided"} if most == 40 else verdicts | {"best"})
