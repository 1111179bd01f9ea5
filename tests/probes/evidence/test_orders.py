"""Wrong orders of names and labels are recognised; honest models that are weak are no such case."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given as given_examples
from hypothesis import strategies as st
from numpy.typing import NDArray

from tuiprobe.probes.evidence.orders import LabelledAnswers, other_orders, row_orders
from tuiprobe.results.doubt import Doubt

CLASSES = 12
NAMES = tuple(f"class {i}" for i in range(CLASSES))
SHUFFLED = ("fig", "ape", "cat", "bee", "elk", "dog", "gnu", "kit", "hen", "jay", "ant", "owl")


def drawn(seed: int, accuracy: float, n: int = 400) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the true row of each image, and the row that answers it."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, CLASSES, n)
    answered = np.where(rng.random(n) < accuracy, truth, rng.integers(0, CLASSES, n))
    return truth, answered


def answered_set(
    rows: NDArray[np.int64], labels: NDArray[np.int64], name: str = "val", count: int = CLASSES,
    numbered: bool = False,
) -> LabelledAnswers:  # fmt: skip
    return LabelledAnswers(name, rows, np.arange(count), labels, np.arange(len(labels)), numbered)


def tried(
    answered: NDArray[np.int64], labels: NDArray[np.int64], names: Sequence[str] = NAMES,
    rows: int = CLASSES,
) -> list[Doubt]:  # fmt: skip
    return list(other_orders([answered_set(answered, labels, count=rows)], names))


def by_text(names: Sequence[str]) -> NDArray[np.int64]:
    """Row of the i-th of the sorted names."""
    return np.array([names.index(name) for name in sorted(names)])


MISTAKES = {
    "reversed": (NAMES, lambda t: CLASSES - 1 - t),
    "by name": (SHUFFLED, lambda t: by_text(SHUFFLED)[t]),
    "to name": (SHUFFLED, lambda t: np.argsort(by_text(SHUFFLED))[t]),
    "by number": (sorted(NAMES), lambda t: by_text(NAMES).argsort()[t]),
}


@pytest.mark.parametrize("accuracy", [0.97, 0.3])
@pytest.mark.parametrize("order", MISTAKES)
def test_names_in_another_order_are_recognised(order: str, accuracy: float) -> None:
    names, label_of = MISTAKES[order]
    truth, answered = drawn(1, accuracy)
    (other,) = tried(answered, label_of(truth), names)
    assert other.case == order
    assert other.withholds or accuracy < 0.5  # it gains enough
    assert other.figures["right_by_order"] == (truth == answered).mean()
    assert other.figures["right"] == (label_of(truth) == answered).mean()


@pytest.mark.parametrize(("order", "step"), [("one up", 1), ("one down", -1)])
def test_labels_that_count_from_another_number_are_recognised(order: str, step: int) -> None:
    truth, answered = drawn(2, 0.9)
    inside = (truth + step >= 0) & (truth + step < CLASSES)
    (other,) = tried(answered[inside], (truth + step)[inside])
    assert other.case == order
    assert other.figures["right_by_order"] == (truth == answered)[inside].mean()


def test_numbered_rows_in_the_order_of_their_texts_are_recognised() -> None:
    truth, answered = drawn(4, 0.9)
    texts = by_text([str(i) for i in range(CLASSES)])  # as torchvision's ImageFolder numbers them
    assert [o.case for o in tried(answered, texts[truth], ())] == ["by name"]


def test_any_other_order_is_recognised_by_matching_classes() -> None:
    truth, answered = drawn(5, 0.9)
    labels = np.random.default_rng(6).permutation(CLASSES)[truth]
    (other,) = tried(answered, labels)
    assert other.case == "matched"
    assert other.figures["right_by_order"] == pytest.approx(0.9, abs=0.06)
    few = slice(None, 40)  # fewer than five a class
    assert tried(answered[few], labels[few]) == []


@pytest.mark.parametrize("classes", [4, 10])
def test_permuted_columns_withhold_and_a_model_that_is_a_class_off_does_not(classes: int) -> None:
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, classes, 400)
    answers = np.where(rng.random(400) < 0.87, labels, rng.integers(0, classes, 400))
    columns = np.roll(rng.permutation(np.roll(np.arange(classes), 1)), 1)
    (doubt,) = tried(columns[answers], labels, NAMES[:classes], classes)
    assert (doubt.case, doubt.withholds) == ("matched", True)
    later = np.array([NAMES.index(name) for name in sorted(NAMES[:classes], key=lambda n: n[::-1])])
    off = np.minimum(answers + 1, classes - 1)  # in an order of the classes that is not the rows'
    (doubt,) = tried(later[off], later[labels], NAMES[:classes], classes)
    assert not doubt.withholds


def test_two_classes_that_are_exchanged_are_recognised() -> None:
    truth, answered = drawn(12, 0.98)
    labels = np.where(truth < 2, 1 - truth, truth)
    (other,) = tried(answered, labels)
    assert other.case == "exchanged"
    assert all(name in other.sentence for name in NAMES[:2])
    assert other.figures["right_by_order"] == (answered == truth).mean()
    assert tried(answered, np.where(truth == 0, 1, truth)) == []  # one way: no exchange


def test_a_fixed_order_that_fits_a_few_classes_is_not_named() -> None:
    truth, answered = drawn(11, 0.95)
    labels = (truth + 3) % CLASSES  # in reverse order one of six is right
    assert [other.case for other in tried(answered, labels)] == ["matched"]


def test_the_right_order_is_no_case() -> None:
    for accuracy in (0.99, 0.3, 0.1, 0.0):
        truth, answered = drawn(7, accuracy)
        assert tried(answered, truth, SHUFFLED) == []


def test_a_shift_is_not_reordered_where_the_first_set_confirms_the_order() -> None:
    """Two classes that a shift exchanges: a weak model, since the first set is right."""
    truth = np.random.default_rng(8).integers(0, 2, 400)
    shift = answered_set(1 - truth, truth, "shift", 2)
    right, wrong = (answered_set(rows, truth, count=2) for rows in (truth, 1 - truth))
    assert other_orders([right, shift], ("b", "a")) == ()
    both = other_orders([wrong, shift], ("b", "a"))
    assert not any(other.withholds for other in both)  # of two classes it may be a confusion
    assert [(other.data, other.case) for other in both] == [
        ("val", "reversed"),
        ("shift", "reversed"),
    ]


def test_numbers_of_a_shift_may_count_from_another_origin() -> None:
    truth, answered = drawn(10, 0.9)
    inside = truth < CLASSES - 1
    first = answered_set(answered, truth)
    for numbered in (False, True):
        shift = answered_set(answered[inside], truth[inside] + 1, "shift", numbered=numbered)
        others = other_orders([first, shift], NAMES)
        assert len(others) == numbered
    (other,) = others
    assert (other.data, other.case) == ("shift", "one up")
    assert not other.withholds  # a model may be a class off


def test_weak_honest_models_raise_no_alarm() -> None:
    """Biased, collapsed and confused models on uneven classes, whose truth is never pushed down."""
    rng, alarms = np.random.default_rng(0), []
    for _ in range(1000):
        rows, n = int(rng.choice([2, 3, 5, 10, 20])), int(rng.choice([20, 100, 400]))
        truth = rng.choice(rows, n, p=rng.dirichlet(np.full(rows, rng.choice([0.3, 1, 10]))))
        signal = rng.exponential(rng.choice([0.2, 1.0, 3.0]))
        logits = signal * np.eye(rows)[truth] + rng.normal(size=(n, rows))
        logits += rng.normal(size=rows) * rng.exponential(rng.choice([0.1, 1.0, 3.0]))
        logits += signal * rng.random() * np.eye(rows)[rng.permutation(rows)[truth]]
        names = [f"class {i}" for i in rng.permutation(rows)]
        alarms += tried(logits.argmax(axis=1), truth, names, rows)
    assert alarms == []


@given_examples(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(2, 4))
def test_any_set_of_images_is_tried(seed: int, n: int, rows: int) -> None:
    """Few images, images that are no neighbours, representations of zero, rows left out."""
    rng = np.random.default_rng(seed)
    classes = rng.permutation(rows) - 1
    labels, ids = rng.integers(0, rows - 1, n), rng.choice(10, n, replace=False)
    images = LabelledAnswers("val", rng.integers(0, rows, n), classes, labels, ids)
    assert other_orders([images], ()) == ()


def test_orders_that_are_the_given_one_or_another_are_left_out() -> None:
    assert set(row_orders(["a", "b"])) == {"reversed", "one up", "one down"}
