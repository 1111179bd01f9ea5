"""Accuracy by nearest neighbours against a plain loop and scikit-like planted classes."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest

from tuiprobe.probes import neighbours
from tuiprobe.probes.neighbours import K, LabelledRows, classify
from tuiprobe.results import Estimate, NotRun

NAMES = tuple("abcdef")


def planted(name: str, seed: int, spread: float, n: int = 400) -> LabelledRows:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((len(NAMES), 16))
    labels = rng.integers(0, len(NAMES), n)
    rows = centres[labels] + spread * rng.standard_normal((n, 16))
    return LabelledRows(name, rows.astype(np.float32), labels, NAMES)


def by_hand(images: LabelledRows, first: LabelledRows, *, same: bool) -> float:
    """Classifies image by image, with votes counted in a dictionary."""
    right = 0
    bank = first.rows.astype(np.float64)
    bank /= np.linalg.norm(bank, axis=1)[:, None]
    for i, row in enumerate(images.rows.astype(np.float64)):
        cosines = bank @ (row / np.linalg.norm(row))
        order = [j for j in np.argsort(-cosines) if not (same and j == i)][:K]
        votes = Counter(first.classes[first.labels[j]] for j in order)
        sums: dict[str, float] = defaultdict(float)
        for j in order:
            sums[first.classes[first.labels[j]]] += cosines[j]
        answer = max(votes, key=lambda name: (votes[name], sums[name]))
        right += answer == images.classes[images.labels[i]]
    return right / len(images.rows)


def test_equals_a_plain_loop() -> None:
    first, shift = planted("val", 0, 1.5), planted("shift", 1, 2.5)
    result = classify([first, shift], seed=0)
    assert result.k == 20
    assert value(result.sets[0].accuracy) == pytest.approx(by_hand(first, first, same=True))
    assert value(result.sets[1].accuracy) == pytest.approx(by_hand(shift, first, same=False))
    assert [row.among for row in result.sets] == [400, 400]


def test_an_image_does_not_vote_for_itself() -> None:
    """Random labels: an image that voted for itself would be right more often than one in six."""
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((600, 64)).astype(np.float32)
    noise = LabelledRows("val", rows, rng.integers(0, len(NAMES), 600), NAMES)
    accuracy = classify([noise], seed=0).sets[0].accuracy
    assert isinstance(accuracy, Estimate)
    assert accuracy.low is not None
    assert accuracy.low < 1 / len(NAMES) + 0.02


def test_a_shift_answers_among_its_own_classes_by_name() -> None:
    first, shift = planted("val", 0, 1.5), planted("shift", 1, 2.0)
    kept = shift.labels < 2
    names = (NAMES[1], NAMES[0])  # another order
    few = LabelledRows("few", shift.rows[kept], 1 - shift.labels[kept], names)
    result = classify([first, few], seed=0).sets[1]
    assert result.classes == 2
    assert result.among == int((first.labels < 2).sum())
    own = LabelledRows("val", first.rows[first.labels < 2], first.labels[first.labels < 2], NAMES)
    assert value(result.accuracy) == pytest.approx(by_hand(few, own, same=False))


def test_what_cannot_be_classified_says_why() -> None:
    first = planted("val", 0, 1.5)
    other = LabelledRows("other", first.rows[:9], np.zeros(9, np.int64), ("zebra",))
    rare = LabelledRows("val", first.rows[:K], first.labels[:K], NAMES)
    assert classify([first, other], seed=0).sets[1].accuracy == NotRun(
        reason="it has classes that the in-distribution set has not"
    )
    few = NotRun(reason="fewer than 21 in-distribution images of its classes")
    result = classify([rare, planted("shift", 1, 2.5)], seed=0)
    assert [row.accuracy for row in result.sets] == [few, few]


def test_large_sets_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "MOST_AMONG", 300)
    monkeypatch.setattr(neighbours, "MOST_CLASSIFIED", 100)
    first, shift = planted("val", 0, 0.5), planted("shift", 1, 0.5)
    result = classify([first, shift], seed=0)
    for row in result.sets:
        assert row.among == 300
        assert isinstance(row.accuracy, Estimate)
        assert row.accuracy.n == 100
        assert row.accuracy.value > 0.95


def value(figure: object) -> float:
    assert isinstance(figure, Estimate)
    return figure.value
