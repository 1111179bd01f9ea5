"""Labels that are a candidate's answers, or fit none, by exact tests."""

import numpy as np
import pytest
from scipy import stats

from tuiprobe.probes.evidence.labels import (
    LabelledPictures,
    answers_as_labels,
    at_chance,
    every_answer,
    one_answer,
    upper_end,
)
from tuiprobe.probes.evidence.orders import by_chance
from tuiprobe.results.doubt import Doubt

NAMES = ("A", "B", "C")


@pytest.mark.parametrize(("share", "least"), [(0.74, 23), (0.9, 66), (0.97, 227), (0.993, 984)])
def test_so_many_equal_labels_are_those_of_a_candidate(share: float, least: int) -> None:
    assert by_chance(least, least, share) <= 0.001 < by_chance(least - 1, least - 1, share)
    assert by_chance(5, 9, share) == pytest.approx(stats.binom.sf(4, 9, share), rel=1e-12)


@pytest.mark.parametrize(("hits", "n"), [(0, 9), (4, 9), (72, 80)])
def test_the_upper_end_is_that_of_clopper_and_pearson(hits: int, n: int) -> None:
    assert stats.binom.cdf(hits, n, upper_end(hits, n)) == pytest.approx(0.01, rel=1e-9)


def world(seed: int, n: int, shares: tuple[float, ...]) -> LabelledPictures:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 5, n)
    wrong = (truth + rng.integers(1, 5, (len(shares), n))) % 5
    right = rng.random((len(shares), n)) < np.array(shares)[:, None]
    return LabelledPictures("street", np.where(right, truth, wrong), truth)


def test_answers_of_a_candidate_are_no_labels() -> None:
    shares = (0.7, 0.8, 0.75)
    known, target = world(0, 400, shares), world(1, 200, shares)
    for candidate in range(3):
        false = target._replace(labels=target.answers[candidate])
        (doubt,) = answers_as_labels(false, known, NAMES)
        assert NAMES[candidate] in doubt.sentence
        assert doubt.withholds
        (note,) = answers_as_labels(false, None, NAMES)
        assert not note.withholds
    assert list(answers_as_labels(target, known, NAMES)) == []
    assert list(answers_as_labels(target, None, NAMES)) == []


def test_candidates_that_nearly_agree_count_as_one() -> None:
    target = world(2, 400, (0.7, 0.5))
    twin = target.answers[0].copy()
    twin[:4] = (twin[:4] + 1) % 5
    both = LabelledPictures(
        "street", np.stack([target.answers[0], twin, target.answers[1]]), target.labels
    )
    false = both._replace(labels=both.answers[0])
    doubts = list(answers_as_labels(false, world(3, 400, (0.7, 0.7, 0.5)), NAMES))
    assert "A" in doubts[0].sentence


def test_a_table_with_a_candidates_answer_on_every_row_is_one_of_answers() -> None:
    target = world(4, 200, (0.7, 0.8))
    false = target._replace(labels=target.answers[1])
    assert [doubt.figures["equal"] for doubt in every_answer(false, NAMES[:2])] == [200]
    assert list(every_answer(target, NAMES[:2])) == []


def chance(right: int, n: int, classes: int = 4) -> list[Doubt]:
    return list(at_chance("street", (right / n, right / n, right / n), n, classes, "why"))


def test_labels_of_other_pictures_are_at_chance() -> None:
    rng = np.random.default_rng(5)
    (other,) = chance(int((rng.random(400) < 0.25).sum()), 400)
    assert (other.case, other.withholds) == ("at", True)
    assert chance(160, 400) == []
    (few,) = chance(4, 12)
    assert not few.withholds
    (weak,) = chance(15, 40)  # 38 % of 40 may be more than guessing
    assert not weak.withholds
    (below,) = chance(40, 400)  # a model that is a class off
    assert (below.case, below.withholds) == ("below", False)


def test_one_answer_to_all_is_named() -> None:
    labels = np.arange(40) % 3
    (doubt,) = one_answer("val", np.ones(40, dtype=np.int64), labels, ("cat", "dog", "owl"), "")
    assert "dog" in doubt.sentence
    assert list(one_answer("val", labels, labels, (), "")) == []
    assert list(one_answer("val", labels * 0, labels * 0, (), "")) == []
    (unlabelled,) = one_answer("val", labels * 0, None, ("cat", "dog", "owl"), "")
    assert not unlabelled.withholds  # the set may truly have one class
    assert list(one_answer("val", labels, None, (), "")) == []
