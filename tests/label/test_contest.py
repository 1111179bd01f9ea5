"""Which picture is labelled next, and what the labels say: figures, toys and properties."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuiprobe.label.contest import Contest
from tuiprobe.label.files import How
from tuiprobe.label.survey import NOBODY, Pool, StratifiedSample

STREET = np.load(Path(__file__).with_name("street.npz"))
TRUTH = STREET["truth"]


def street(models: list[int], seed: int, pictures: int = 500) -> Pool:
    answers = STREET["answers"].astype(np.int64)[models, :pictures]
    return Pool(answers, STREET["confidences"][models, :pictures], seed)


def labelled(contest: Contest, most: int) -> None:
    """Labels pictures in the order of the contest until the best is known."""
    while len(contest.labels) < most and contest.verdict != "best":
        draw = contest.upcoming()[0]
        contest.add(draw.picture, int(TRUTH[draw.picture]), draw.how)


def in_points(values: object) -> list[float]:
    return [round(100 * value, 2) for value in values]  # type: ignore[attr-defined]


# Figures that were computed by another implementation, from the description of the method alone.


def test_two_models_are_told_apart_as_the_method_says() -> None:
    contest = Contest(street([1, 3], 0))
    labelled(contest, 20)
    assert list(contest.labels)[:6] == [334, 375, 378, 290, 308, 181]
    assert contest.better(0, 1) == pytest.approx(1.847, abs=6e-4)
    assert in_points(contest.bounds(0, 1)) == [-10.06, 34.88]
    accuracies = contest.accuracies()
    assert in_points(x.estimate for x in accuracies) == [54.33, 39.20]
    assert in_points(x.half for x in accuracies) == [28.81, 26.26]
    labelled(contest, 40)
    assert contest.better(0, 1) == pytest.approx(2.220, abs=6e-4)
    assert in_points(contest.bounds(0, 1)) == [-7.28, 21.20]
    accuracies = contest.accuracies()
    assert in_points(x.estimate for x in accuracies) == [51.35, 43.75]
    assert in_points(x.half for x in accuracies) == [19.18, 18.43]
    labelled(contest, 45)
    assert contest.verdict == "open"
    labelled(contest, 46)
    assert (contest.verdict, contest.winner) == ("within", 0)
    labelled(contest, 500)
    assert (contest.verdict, contest.winner, len(contest.labels)) == ("best", 0, 49)


def test_another_seed_is_another_order() -> None:
    contest = Contest(street([1, 3], 1))
    labelled(contest, 36)
    assert list(contest.labels)[:6] == [137, 438, 241, 150, 278, 231]
    verdicts = [contest.verdict]
    labelled(contest, 37)
    assert [*verdicts, contest.verdict] == ["open", "within"]
    labelled(contest, 500)
    assert (contest.winner, len(contest.labels)) == (0, 56)


def test_four_models_are_dropped_one_by_one() -> None:
    contest = Contest(street([0, 1, 2, 3], 0))
    labelled(contest, 40)
    first = [334, 375, 378, 205, 466, 290, 181, 227, 41, 52, 55, 408]
    assert list(contest.labels)[:12] == first
    assert contest.better(1, 3) == pytest.approx(2.348, abs=6e-4)
    assert in_points(contest.bounds(1, 3)) == [-13.56, 27.90]
    assert in_points(x.estimate for x in contest.accuracies()) == [48.91, 53.49, 52.0, 44.75]
    labelled(contest, 69)
    assert contest.survivors == [0, 1, 2]
    assert [int((contest.stage == stage).sum()) for stage in (-1, 0, 1)] == [269, 178, 53]
    labelled(contest, 203)
    assert contest.verdict == "open"
    labelled(contest, 204)
    assert (contest.verdict, contest.winner) == ("within", 1)
    labelled(contest, 242)
    assert contest.survivors == [0, 1]
    labelled(contest, 500)
    assert (contest.winner, len(contest.labels)) == (1, 271)


def test_one_run_alone_is_known_to_five_points() -> None:
    for model, accuracy in enumerate((STREET["answers"] == TRUTH).mean(axis=1)):
        alone = StratifiedSample(street([model], 0))
        assert not alone.accuracies()
        while alone.verdict == "open":
            draw = alone.upcoming()[0]
            alone.add(draw.picture, int(TRUTH[draw.picture]), draw.how)
        (stated,) = alone.accuracies()
        assert 160 <= stated.labels <= 205  # 216 at random
        assert abs(stated.estimate - accuracy) <= stated.half <= 0.05


# Toys.


def pool(rows: list[list[int]], seed: int = 0) -> Pool:
    answers = np.array(rows, dtype=np.int64)
    return Pool(answers, np.full(answers.shape, 0.8), seed)


def test_a_hypothesis_that_cannot_come_true_any_more_is_refuted() -> None:
    contest = Contest(pool([[0, 0, 0], [1, 1, 1]]))
    first, second, _ = contest.pool.orders[0].tolist()
    contest.add(first, 0, "order")
    assert contest.verdict == "open"
    contest.add(second, 0, "order")  # two of three are won, whatever the last one shows
    assert contest.better(0, 1) == float("inf")
    assert (contest.verdict, contest.winner) == ("best", 0)


def test_two_identical_models_are_within_the_margin_and_never_the_best() -> None:
    worse = [0] * 60 + [1] * 140
    contest = Contest(pool([[0] * 200, [0] * 200, worse]))
    verdicts = set()
    while draws := contest.upcoming():
        if contest.verdict == "within":
            assert contest.winner == 0  # the first of those that are within
        verdicts.add(contest.verdict)
        contest.add(draws[0].picture, 0, draws[0].how)
    assert verdicts == {"open", "within"}
    assert contest.verdict == "equal"
    assert contest.survivors == [0, 1]
    assert contest.bounds(0, 1) == (0, 0)


def test_models_that_are_equally_often_right_are_called_equal() -> None:
    contest = Contest(pool([[0] * 20, [1] * 20]))
    verdicts = []
    for place, picture in enumerate(contest.pool.orders[0].tolist()):
        contest.add(picture, place % 2, "order")  # in turns, so that no bet ever wins
        verdicts.append(contest.verdict)
    assert "best" not in verdicts
    assert verdicts[-1] == "equal"


def test_a_decision_is_withdrawn_where_labels_contradict_it() -> None:
    contest = Contest(pool([[0] * 100, [1] * 100]))
    verdicts = []
    for place, picture in enumerate(contest.pool.orders[0].tolist()):
        contest.add(picture, int(place >= 30), "order")
        verdicts.append(contest.verdict)
    assert "best" in verdicts
    assert verdicts[-1] == "contradictory"
    assert contest.survivors == [0, 1]


def test_only_pictures_of_known_selection_make_an_accuracy() -> None:
    whole, later = Contest(street([1, 3], 0)), Contest(street([1, 3], 0))
    for picture in range(500):
        whole.add(picture, int(TRUTH[picture]), "outside")
    accuracies = whole.accuracies()
    assert [x.half for x in accuracies] == [0, 0]  # labelled before the first draw, so known
    truth = (whole.pool.answers == TRUTH).mean(axis=1)
    assert [x.estimate for x in accuracies] == pytest.approx(truth)
    labelled(later, 29)
    before, upcoming = later.accuracies(), later.upcoming()[0]
    for picture in np.flatnonzero(later.pool.answers[0] == TRUTH).tolist():
        if picture not in later.labels and picture != upcoming.picture:
            later.add(picture, int(TRUTH[picture]), "outside")
    assert later.accuracies() == before
    assert later.upcoming()[0] == upcoming  # they do not count towards every fifth picture


# Properties.


@st.composite
def contests(draw: st.DrawFn) -> tuple[Pool, list[int]]:
    """A pool of random answers, and labels by picture."""
    size, models = draw(st.integers(1, 40)), draw(st.integers(2, 4))
    draws = np.random.default_rng(draw(st.integers(0, 2**32)))
    labels = draws.integers(NOBODY, 3, size)
    skill = draws.random((models, 1))
    guesses = draws.integers(0, 3, (models, size))
    answers = np.where(draws.random((models, size)) < skill, np.maximum(labels, 0), guesses)
    confidences = draws.uniform(0.01, 1, (models, size))
    return Pool(answers, confidences, draw(st.integers(0, 9))), labels.tolist()


def state(contest: Contest) -> tuple[object, ...]:
    accuracies = [(x.estimate, x.half) for x in contest.accuracies()] if contest.labels else []
    return (
        *facts(contest), contest.stage.tolist(), contest.drops, contest.drawn, contest.known,
        contest.leader, contest.progress, contest.labels_left, contest.upcoming(3), accuracies,
    )  # fmt: skip


def facts(contest: Contest) -> tuple[object, ...]:
    """What does not depend on the order of the labels."""
    models = range(contest.pool.candidates)
    pairs = [(a, b) for a in models for b in models if a != b]
    bounds = [np.round(contest.bounds(a, b), 6).tolist() for a, b in pairs]
    stakes = [round(contest.better(a, b), 9) for a, b in pairs]
    return stakes, bounds, contest.survivors


@settings(max_examples=60, deadline=None)
@given(contests(), st.integers(0, 2**32), st.floats(0, 1))
def test_a_log_alone_determines_the_state(drawn, seed, share) -> None:
    pool, labels = drawn
    contest, draws = Contest(pool), np.random.default_rng(seed)
    log: list[tuple[int, int, How]] = []
    for picture in draws.permutation(pool.pictures).tolist()[: round(share * pool.pictures)]:
        following = contest.upcoming()[0]
        how: How = "outside" if draws.random() < 0.3 else following.how
        place = picture if how == "outside" and picture not in contest.labels else following.picture
        log.append((place, labels[place], how))
        contest.add(place, labels[place], how)
    again, mixed = Contest(pool), Contest(pool)
    for label in log:
        again.add(*label)
    assert state(again) == state(contest)
    for place in draws.permutation(len(log)).tolist():
        mixed.add(*log[place])
    assert facts(mixed) == facts(contest)


@settings(max_examples=60, deadline=None)
@given(contests())
def test_evidence_only_grows_and_ends_at_the_truth(drawn) -> None:
    pool, labels = drawn
    contest, rates = Contest(pool), (pool.answers == np.array(labels)).mean(axis=1)
    pairs = [(a, b) for a in range(len(rates)) for b in range(len(rates)) if a != b]
    stakes, bounds = dict.fromkeys(pairs, 0.0), dict.fromkeys(pairs, (-1.0, 1.0))
    while draws := contest.upcoming():
        contest.add(draws[0].picture, labels[draws[0].picture], draws[0].how)
        for pair in pairs:
            (low, high), before = contest.bounds(*pair), bounds[pair]
            assert contest.better(*pair) >= stakes[pair]
            assert low >= before[0] - 1e-9
            assert high <= before[1] + 1e-9
            stakes[pair], bounds[pair] = contest.better(*pair), (low, high)
    for (a, b), (low, high) in bounds.items():
        exact = rates[a] - rates[b]
        crossed = low > high + 1e-9  # a bound that was wrong once is never taken back
        assert crossed or (low, high) == pytest.approx((exact, exact), abs=1e-8)


def test_all_bounds_hold_together_at_all_times() -> None:
    held = 0
    for seed in range(400):
        contest = Contest(street([1, 3], seed, 80))
        for picture in range(80):
            contest.add(picture, int(TRUTH[picture]), "order")
        first, second = (contest.pool.answers == TRUTH[:80]).mean(axis=1)
        held += contest.bounds(0, 1) == pytest.approx((first - second, first - second), abs=1e-8)
    assert held >= 0.95 * 400  # bounds never widen: those that hold in the end always did
