"""What was asked about the same pictures: the first question, further ones, and what they cost."""

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from tests.choose.labelling.street import (
    MODELS,
    RATES,
    labelled,
    name_of,
    street_candidate,
    street_folder,
    street_runs,
)
from tuiprobe.choose.labelling import session
from tuiprobe.choose.labelling.candidates import Candidate
from tuiprobe.choose.labelling.session import Labelling, open_labelling
from tuiprobe.choose.labelling.standing import difference_words, label_status
from tuiprobe.measure.run.directory import RunDir

__all__ = ["street_folder"]


def needed(labelling: Labelling) -> float:
    """Returns the stake that drops a candidate."""
    return float(np.exp(labelling.survey.needed))


def test_a_question_is_recorded_once_labels_exist(street_folder: Path) -> None:
    runs = street_runs(street_folder, *MODELS)
    for some in (runs[:2], runs[1:], runs[:3]):
        labelling = open_labelling(some, "street")
        assert not labelling.files.json.exists()
    labelling.label(7, name_of(7))  # its first picture was drawn for three
    labelling.close()
    (record,) = labelling.files.questions()
    assert record.first == labelling.matched.answers_digests
    assert record.runs == MODELS[:3]
    for run in runs:
        open_labelling([run], "street")  # one run alone is no question
    open_labelling(runs, "street", asking=False)
    assert open_labelling(runs[2::-1], "street").asked == 0  # the same candidates
    assert labelling.files.questions() == (record,)
    assert needed(labelling) == pytest.approx(2 / 0.05)


def test_further_questions_need_more_the_more_was_asked(street_folder: Path) -> None:
    runs = street_runs(street_folder, *MODELS)
    labelled([runs[1], runs[3]], 20)
    pair = open_labelling([runs[0], runs[3]], "street")
    assert pair.asked == 3
    assert needed(pair) == pytest.approx(3 * 2 / 0.05)
    assert open_labelling([runs[1], runs[3]], "street").asked == 0
    open_labelling(runs, "street")
    assert pair.asked == 3
    pair.label(0, name_of(0))  # an open session learns of it
    pair.close()
    assert needed(pair) == pytest.approx(4 * 3 / 0.05)
    assert pair.survey.bounding == pair.survey.needed
    assert label_status(pair).asked == 4
    assert "4 candidates were asked about" in " ".join(label_status(pair).remarks())
    renamed = [run.rename(run.with_name(f"{run.name}-499@500")) for run in runs[:1]]
    assert open_labelling([*renamed, runs[3]], "street").asked == 5


def test_a_decision_that_further_questions_take_back_says_so(street_folder: Path) -> None:
    soft, supervised, *others = street_runs(
        street_folder, "mini_clip_soft", "mini_supervised", *(f"mini_clip-{n}" for n in range(16))
    )
    labelled(others[:2], 1)
    pair = open_labelling([soft, supervised], "street")
    while pair.decided.verdict == "open":
        picture = pair.following()
        pair.label(picture.index, name_of(picture.index))
    pair.close()
    before = label_status(pair)
    assert (before.asked, before.winner, before.reopened) == (4, 0, False)
    open_labelling(others, "street")
    after = label_status(open_labelling([soft, supervised], "street"))
    assert (after.asked, after.verdict, after.reopened) == (18, "open", True)
    assert any("it was decided before" in remark for remark in after.remarks())


def test_all_questions_on_the_same_labels_tell_the_truth(street_folder: Path) -> None:
    runs = street_runs(street_folder, *MODELS)
    first = labelled(runs)
    (order,) = [labelled(runs).survey.labels]
    assert list(first.survey.labels) == list(order)
    accuracies = dict(zip(MODELS, first.accuracies(), strict=True))
    for size in (1, 2, 3):
        for places in combinations(range(4), size):
            labelling = open_labelling([runs[place] for place in places], "street")
            assert labelling.asked == (4 if size > 1 else 0)
            status = label_status(labelling)
            for row, place in zip(status.candidates, places, strict=True):
                known, by_first = row.accuracy, accuracies[MODELS[place]]
                assert known.low <= RATES[place] <= known.high
                assert known == by_first or known.labels >= by_first.labels
            if status.winner is not None:
                best = max(RATES[place] for place in places)
                assert RATES[places[status.winner]] >= best - 0.02
            for a, b in combinations(range(size), 2):
                value, low, high = labelling.first_minus_second(a, b)
                assert low <= value <= high
                assert low <= RATES[places[a]] - RATES[places[b]] <= high
                assert labelling.first_minus_second(b, a) == pytest.approx((-value, -high, -low))


def test_a_class_that_the_first_question_had_not_is_taken(street_folder, monkeypatch):
    def read(directory: RunDir, target: str | None = None) -> Candidate:
        candidate = street_candidate(directory, target)
        more = () if directory.path.name in MODELS[:2] else ("zebra",)
        return replace(candidate, classes=(*candidate.classes, *more))

    monkeypatch.setattr(session, "read_candidate", read)
    runs = street_runs(street_folder, *MODELS[:2], f"{MODELS[0]}@500", MODELS[3])
    labelled(runs[:2], 3)
    labelling = open_labelling(runs[2:], "street")  # one of them answers as one of the first does
    picture = labelling.following()
    labelling.label(picture.index, "zebra")
    labelling.undo()
    labelling.close()
    assert len(labelling.survey.labels) == 3


def test_labels_count_for_a_pool_with_more_pictures(street_folder: Path) -> None:
    small = labelled(street_runs(street_folder, "mini_clip_soft@250", "mini_supervised@250"), 100)
    larger = labelled(street_runs(street_folder, "mini_clip_soft", "mini_supervised"), 150)
    before = list(small.survey.labels)
    assert list(larger.survey.labels)[: len(before)] == before
    assert larger.asked == 0  # other pictures are another pool
    assert len(larger.files.questions()) == 2
    for accuracy, rate in zip(larger.accuracies(), RATES[[1, 3]], strict=True):
        assert accuracy.low <= rate <= accuracy.high


def test_after_the_best_is_known_the_difference_shows_its_bounds(street_folder: Path) -> None:
    runs = street_runs(street_folder, "mini_clip_soft", "mini_supervised")
    status = label_status(labelled(runs))
    assert status.verdict == "best"
    (row,) = (row for row in status.candidates if row.difference is not None)
    assert row.difference is not None
    _, low, high = row.difference
    assert low <= RATES[1] - RATES[3] <= high
    ends = f"{100 * low:.0f} to {100 * high:.0f}".replace("-", "\N{MINUS SIGN}")
    assert ends in difference_words(row)
    assert any("overstates" in remark for remark in status.remarks())


def test_the_difference_is_narrowed_by_pictures_that_did_not_agree(street_folder: Path) -> None:
    runs = street_runs(street_folder, "mini_clip_soft", "mini_supervised")
    labelling = labelled(runs)
    labelling.narrow = True
    survey, order = labelling.survey, labelling.matched.pool.order
    left = [p for p in order.tolist() if survey.stage[p] != 0 and p not in survey.labels]
    assert [picture.index for picture in labelling.upcoming(500)] == left
