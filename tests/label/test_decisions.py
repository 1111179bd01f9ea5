"""One decision for the same runs and labels, wherever it is asked for: `label` and `compare`."""

from __future__ import annotations

from pathlib import Path

from tests.label.street import labelled, street_folder, street_runs
from tests.report.samples import report
from tuiprobe.compare.decision import Decision, decide
from tuiprobe.compare.labels import LabelEvidence, label_evidence
from tuiprobe.compare.runs import Run
from tuiprobe.label.session import open_labelling
from tuiprobe.label.status import label_status
from tuiprobe.results import Estimate
from tuiprobe.run.directory import RunDir

__all__ = ["street_folder"]


def compared(runs: list[Path]) -> tuple[Decision, LabelEvidence]:
    street = report().data[0].model_copy(update={"name": "street", "target": True})
    reports = [
        report().model_copy(
            update={
                "data": (street,),
                "model": report().model.model_copy(update={"name": run.name}),
            }
        )
        for run in runs
    ]
    given = [Run(report, {}, RunDir(run)) for report, run in zip(reports, runs, strict=True)]
    evidence = label_evidence(given)
    assert isinstance(evidence, LabelEvidence)
    return decide(given), evidence


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
        assert isinstance(change, Estimate)
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
