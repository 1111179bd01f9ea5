"""One decision for the same runs and labels, wherever it is asked for: `label` and `compare`."""

from __future__ import annotations

from pathlib import Path

from tests.label.street import labelled, street_folder, street_runs
from tests.report.samples import report
from tuiprobe.compare.differences import Run
from tuiprobe.compare.labels import LabelEvidence, label_evidence
from tuiprobe.compare.ranking import Ranking, rank
from tuiprobe.label.session import open_labelling
from tuiprobe.label.status import label_status
from tuiprobe.results import Estimate
from tuiprobe.run.directory import RunDir

__all__ = ["street_folder"]


def compared(runs: list[Path]) -> tuple[Ranking, LabelEvidence]:
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
    directories = [RunDir(run) for run in runs]
    evidence = label_evidence(reports, directories)
    assert isinstance(evidence, LabelEvidence)
    given = zip(reports, directories, strict=True)
    return rank([Run(report, {}, directory) for report, directory in given]), evidence


def test_at_every_moment_compare_says_what_label_says(street_folder: Path) -> None:
    pair = street_runs(street_folder, "mini_supervised", "mini_clip_soft")
    seen = set()
    for most in (20, 30, 40, 50, 60, 80, 100, 120):
        labelled(pair, most)
        status = label_status(open_labelling(pair, "street"))
        ranking, evidence = compared(pair)
        assert evidence.status == status
        difference, _ = evidence.difference(1, 0)
        assert isinstance(difference, Estimate)
        value, low, high = open_labelling(pair, "street").difference(1, 0)
        assert (difference.value, difference.low, difference.high) == (value, low, high)
        seen.add(status.verdict)
        if ranking.labels is None:
            assert status.verdict == "open"
            continue
        assert (ranking.labels.verdict, ranking.labels.labels) == (status.verdict, status.labelled)
        decisions = {model.model: model.decision for model in ranking.models}
        rest = {"best": "not the best", "within": "at most 2 points better"}
        if status.verdict in rest:
            expected = {"mini_clip_soft": "take", "mini_supervised": rest[status.verdict]}
            assert decisions == expected
    assert {"open", "best"} <= seen
