"""One decision for the same runs and labels, wherever it is asked for: `label` and `compare`."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from tests.label.test_contest import STREET, TRUTH
from tests.report.samples import report
from tuiprobe.compare.decision import Decision, decide
from tuiprobe.compare.labels import LabelEvidence, label_evidence
from tuiprobe.compare.runs import Run
from tuiprobe.label import session
from tuiprobe.label.candidates import Candidate
from tuiprobe.label.files import NONE_OF_THESE
from tuiprobe.label.session import Labelling, open_labelling
from tuiprobe.label.status import describe_labels, label_status
from tuiprobe.report.terminal import section_text
from tuiprobe.results import Estimate
from tuiprobe.run.directory import RunDir

MODELS = ("mini_clip", "mini_clip_soft", "mini_finetuned", "mini_supervised")
CLASSES = tuple(f"class {n}" for n in range(int(STREET["answers"].max()) + 1))
RATES = (STREET["answers"] == TRUTH).mean(axis=1)


@pytest.fixture
def street_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Run directories of the embedded models, whose answers on the street are kept."""
    names = [f"{n:05}.png" for n in range(500)]

    def read(directory: RunDir, target: str | None) -> Candidate:
        number = MODELS.index(directory.path.name.partition("-")[0])  # `-` begins a copy
        return Candidate(
            directory, MODELS[number], "street", "miniature:street", (), CLASSES, np.arange(500),
            STREET["answers"][number].astype(np.int64), STREET["confidences"][number],
            {n: f"{n + 1:064x}" for n in range(500)}, dict(enumerate(names)),
        )  # fmt: skip

    monkeypatch.setattr(session, "read_candidate", read)
    runs = [tmp_path / model for model in MODELS]
    for run in runs:
        run.mkdir()
    return runs


def labelled(runs: list[Path], most: int = 500) -> Labelling:
    """Labels the street by its hidden labels until the best is known."""
    labelling = open_labelling(runs, "street")
    while labelling.decided.verdict != "best" and len(labelling.counted) < most:
        picture = labelling.following()
        assert picture is not None
        right = int(TRUTH[picture.place])
        name = CLASSES[right] if right >= 0 else NONE_OF_THESE
        labelling.label(picture.place, picture.how, name)
    labelling.close()
    return labelling


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


def test_at_every_moment_compare_says_what_label_says(street_runs: list[Path]) -> None:
    pair = [street_runs[3], street_runs[1]]
    for most, verdict in ((20, "open"), (46, "within"), (49, "best")):
        labelled(pair, most)
        status = label_status(open_labelling(pair, "street"))
        decision, evidence = compared(pair)
        assert evidence.status == status
        assert status.verdict == verdict
        assert (decision.labels, decision.pictures) == (most, 500)
        assert decision.evidence == "labels"
        (row,) = (row for row in status.candidates if row.difference is not None)
        change = decision.models[1].difference
        assert isinstance(change, Estimate)
        assert (change.low, change.high) == row.difference  # also after the decision
        standings = {model.model: model.standing for model in decision.models}
        if verdict == "open":
            assert decision.verdict == "undecided"
            assert set(standings.values()) == {"undecided"}
        elif verdict == "within":
            assert decision.verdict == "within"
            assert standings == {
                "mini_clip_soft": "take", "mini_supervised": "at most 2 points better",
            }  # fmt: skip
            assert status.standing(0) == "at most 2 points better"
        else:
            assert decision.verdict == "best"
            assert standings == {"mini_clip_soft": "take", "mini_supervised": "not the best"}
            assert change.low is not None
            assert change.low <= 0  # the decision comes before the bounds leave 0


def test_some_candidates_of_a_plan_take_over_what_it_decides(street_runs: list[Path]) -> None:
    whole = labelled(street_runs)
    assert len(whole.counted) == 271
    accuracies = {row.model: row.accuracy for row in label_status(whole).candidates}
    for places in (*combinations(range(4), 2), *combinations(range(4), 3)):
        runs = [street_runs[place] for place in places]
        decision, evidence = compared(runs)
        status = label_status(open_labelling(runs, "street"))
        assert evidence.status == status
        assert {row.model: row.accuracy for row in status.candidates} == {
            MODELS[place]: accuracies[MODELS[place]] for place in places
        }
        for a, b in combinations(range(len(runs)), 2):
            difference = evidence.difference(a, b)
            assert isinstance(difference, Estimate)
            truth = RATES[places[a]] - RATES[places[b]]
            assert difference.low is not None
            assert difference.high is not None
            assert difference.low <= truth <= difference.high
        if 1 not in places:
            leader = evidence.places.index(status.leader)
            values = [evidence.difference(leader, n) for n in range(len(runs)) if n != leader]
            assert sum(value.value for value in values if isinstance(value, Estimate)) >= 0
            continue
        assert (status.verdict, status.candidates[status.leader].model) == ("best", MODELS[1])
        assert set(status.among) == set(MODELS)
        words = "mini_clip_soft is the best of the 4 on these 500 pictures"
        assert status.sentence(names=True) == words
        models = f"{', '.join(MODELS[:3])} and {MODELS[3]}"
        test = f"among {models}, after 271 labels: mini_clip_soft is the best"
        assert test in " ".join(section_text(describe_labels(status)).split())
        assert (decision.verdict, decision.models[0].model) == ("best", MODELS[1])
        assert {model.standing for model in decision.models[1:]} <= {"behind", "not the best"}


def test_a_candidate_that_lost_among_some_is_not_the_best_of_more(street_runs: list[Path]) -> None:
    labelled([street_runs[1], street_runs[3]])
    _, evidence = compared(street_runs)
    standing = {
        row.model: evidence.status.standing(place)
        for place, row in enumerate(evidence.status.candidates)
    }
    assert standing["mini_supervised"] == "not the best"
    assert "the best" not in standing.values()
    assert evidence.status.verdict == "open"
    labelled([street_runs[1], street_runs[0]])
    labelled([street_runs[1], street_runs[2]])
    decision, evidence = compared(street_runs)  # it won against each of the others
    assert evidence.status.verdict == "best"
    assert decision.take is not None
    assert decision.take.model == MODELS[1]
    assert len(evidence.status.taken) == 3
    text = " ".join(section_text(describe_labels(evidence.status)).split())
    assert "several plans have several risks" in text
    labelling = labelled(street_runs)
    assert labelling.planned.verdict == "open"  # nothing is left to label
    labelling = open_labelling(street_runs, "street")
    labelling.undo()
    assert label_status(labelling) == label_status(open_labelling(street_runs, "street"))
    labelling.close()


def test_copies_of_a_candidate_do_not_make_a_plan_one_of_more_models(
    street_runs: list[Path],
) -> None:
    copies = [street_runs[3].with_name(f"{MODELS[3]}-{n}") for n in range(2)]
    for copy in copies:
        copy.mkdir()
    plan = labelled([street_runs[1], street_runs[3], *copies])
    assert plan.decided.verdict == "best"
    status = label_status(open_labelling(street_runs[1:], "street"))
    assert status.verdict == "open"  # nothing was said of mini_finetuned
    assert [row.dropped for row in status.candidates] == [False, False, True]
