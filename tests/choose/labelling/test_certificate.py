"""The certificate of a model's most confident answers."""

from dataclasses import replace

import numpy as np
import pytest

from tests.choose.labelling.plain_certificate import PlainCertificate
from tuiprobe.choose.labelling.certificate import Certificate
from tuiprobe.choose.labelling.survey import NOBODY, NOT_SURE, Pool


def certificate(confidences, walk, tie, tolerated: float, questions: int = 0) -> Certificate:
    """Returns the certificate of a model that answers class 0 on every picture."""
    answers = np.zeros((1, len(confidences)), dtype=np.int64)
    pool = Pool(answers, np.asarray(confidences)[None], walk, walk)
    return Certificate(pool, walk, tie, tolerated, questions)


def published(tolerated: float) -> tuple[Certificate, np.ndarray]:
    """Returns the certificate of the pool of docs/unattended.md, and its errors."""
    n, rng = 1_000, np.random.default_rng(7)
    confidences = 1 - 0.5 * ((np.arange(n) + 0.5) / n) ** 2
    wrong = rng.random(n) < 1 - confidences
    return certificate(confidences, rng.permutation(n), rng.permutation(n), tolerated), wrong


@pytest.mark.parametrize(
    ("tolerated", "start", "guess", "asked", "first", "after"),
    [
        (
            0.05, 75, 525, [20, 30, 55, 32, 6, 43, 16, 28],
            [(46, 75), (56, 100), (69, 125), (81, 150), (92, 175)],
            {50: (75, 27), 100: (175, 20), 200: (375, 107), 300: (450, None)},
        ),
        (
            0.1, 100, 750, [20, 94, 30, 55, 75, 82, 32, 6],
            [(29, 100), (38, 125), (44, 150), (49, 175), (54, 200)],
            {50: (175, 9), 100: (425, 14), 200: (725, 575), 300: (725, None)},
        ),
    ],
)  # fmt: skip
def test_walk_of_one_label_after_the_other(tolerated, start, guess, asked, first, after) -> None:
    labels, wrong = published(tolerated)
    pictures, changes, seen = list[int](), list[tuple[int, int]](), {}
    for count in range(max(after) + 1):
        if count in after or not changes or labels.state.certified != changes[-1][1]:
            state = labels.state
            if state.certified != (changes[-1][1] if changes else 0):
                changes.append((count, state.certified))
            seen[count] = state.certified, state.more[0] if state.more else None
            assert (state.outlook == "unreachable") == (state.more is None)
        picture = labels.following()
        assert picture is not None
        pictures.append(picture)
        labels.add(picture, NOBODY if wrong[picture] else 0)
    assert (labels.state.start, labels.state.guess) == (start, guess)
    assert pictures[: len(asked)] == asked
    assert changes[: len(first)] == first
    assert {count: seen[count] for count in after} == after


def next_picture(plain: PlainCertificate, skips: dict[int, int], labels: int) -> int | None:
    """Returns the picture to ask by definition.

    Args:
        plain: The certificate.
        skips: Labels at the time of its skip, by skipped picture without a label.
        labels: Number of labels.
    """
    *_, place, _ = plain.read()
    if place is None:
        return None
    prefix = plain.prefixes()[place]
    again = [picture for picture in skips if picture in prefix.walk]
    if prefix.proves(plain.tolerated) is False:
        allowed = replace(plain, wrong={**plain.wrong, **dict.fromkeys(again, False)})
        if allowed.prefixes()[place].proves(plain.tolerated) is False or not again:
            return None
        return again[0]
    due = [picture for picture in again if labels - skips[picture] >= 4]
    unseen = [picture for picture in prefix.walk if picture not in plain.wrong]
    return next(iter([*due, *unseen, *again]), None)


@pytest.mark.slow
@pytest.mark.parametrize(
    "part", [pytest.param(n, marks=pytest.mark.nightly if n else ()) for n in range(10)]
)
def test_agrees_with_a_plain_implementation(part: int) -> None:
    """Over 300 pools, 90 by day, with labels from outside, gaps, skips and unsure answers."""
    for seed in range(part * 30, part * 30 + 30):
        compare_on_one_pool(seed)


def compare_on_one_pool(seed: int) -> None:
    """Labels a random pool, and compares both implementations at some moments."""
    rng = np.random.default_rng([5, seed])
    n = int(rng.integers(40, 140))
    confidences = rng.beta(rng.uniform(1, 9), rng.uniform(0.2, 1), n)
    if seed % 3 == 0:
        confidences = np.round(confidences, 1)  # ties
    if seed % 20 == 1:
        confidences[:] = 0.9
    wrong = rng.random(n) < np.clip((1 - confidences) * rng.choice([0.2, 1, 2]), 0, 1)
    tolerated = float(rng.choice([0.01, 0.05, 0.1, 0.2, 0.3]))
    questions = int(rng.choice([0, 1, 3]))
    walk, tie = rng.permutation(n), rng.permutation(n)
    labels = certificate(confidences, walk, tie, tolerated, questions)
    errors: dict[int, bool] = {}
    skips: dict[int, int] = {}
    steps = int(rng.integers(1, n))
    checked = {steps - 1, *rng.integers(0, steps, 3).tolist()}
    for step in range(steps):
        plain = PlainCertificate(
            confidences.tolist(), walk.tolist(), tie.tolist(), tolerated,
            max(questions, 1) / 0.05, errors,
        )  # fmt: skip
        picture = labels.following()
        if step in checked:
            start, guess, certified, _, forecast = plain.read()
            state = labels.state
            assert (state.start, state.guess, state.certified) == (start, guess, certified)
            assert picture == next_picture(plain, skips, len(labels.labels))
            if state.outlook not in ("ended", "impossible", "complete"):
                expected = {"unreachable": "far"}.get(state.outlook, state.more and state.more[0])
                assert forecast == expected
        kind = rng.random()
        if picture is None or kind < 0.3:  # from outside the walk
            picture = int(rng.choice([i for i in range(n) if i not in labels.labels]))
        elif kind < 0.4:
            labels.skip(picture)
            if picture not in skips:
                skips[picture], errors[picture] = len(labels.labels), True
                continue
        unsure = rng.random() < 0.05
        labels.add(picture, NOT_SURE if unsure else NOBODY if wrong[picture] else 0)
        errors[picture] = bool(unsure or wrong[picture])
        skips.pop(picture, None)


def test_promise_that_labels_refute_is_taken_back() -> None:
    n = 400
    walk = np.random.default_rng(3).permutation(n)
    labels = certificate(np.linspace(1, 0.8, n), walk, np.arange(n), 0.1)
    while labels.state.certified < 100:
        labels.add(labels.upcoming(1)[0], 0)
    size, limit = labels.state.certified, labels.state.most_wrong
    # The least sure ones: smaller prefixes stay.
    unseen = [picture for picture in reversed(range(size)) if picture not in labels.labels]
    for picture in unseen[:limit]:
        labels.add(picture, NOBODY)
    assert labels.state.certified == size
    assert labels.state.seen_wrong == limit
    labels.add(unseen[limit], NOT_SURE)
    assert labels.state.certified < size
    assert labels.state.taken_back[1] > 0.1 * labels.state.taken_back[0]


def test_pool_too_small_for_any_prefix() -> None:
    labels = certificate(np.full(60, 0.9), np.arange(60), np.arange(60), 0.01)
    assert labels.state.outlook == "impossible"
    assert labels.following() is None
    for picture in range(60):
        labels.add(picture, 0)
    assert labels.state.certified == 0


def test_list_certifies_about_what_single_labels_do() -> None:
    labels, wrong = published(0.05)
    for picture in labels.upcoming(200):
        labels.add(picture, NOBODY if wrong[picture] else 0)
    assert labels.state.certified == 350  # one by one it is 375
