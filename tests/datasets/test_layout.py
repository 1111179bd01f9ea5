from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tuiprobe.datasets import Sample
from tuiprobe.datasets.layout import processing_order


def samples_of(labels: Sequence[int | None]) -> list[Sample]:
    return [Sample(i, f"{i}.png", label) for i, label in enumerate(labels)]


labels = st.lists(st.one_of(st.none(), st.integers(0, 5)), min_size=1, max_size=300)


@given(labels, st.integers(-(2**40), 2**40))
def test_the_order_is_a_permutation(labels: Sequence[int | None], seed: int) -> None:
    order = processing_order(samples_of(labels), seed)
    assert sorted(order.tolist()) == list(range(len(labels)))


@given(labels, st.integers(0, 100), st.floats(0, 1))
def test_every_prefix_holds_every_class_in_proportion(labels, seed, part):
    order = processing_order(samples_of(labels), seed)
    n = round(part * len(labels))
    prefix = [labels[i] for i in order[:n]]
    for label in set(labels):
        # j-th of m samples lies in [j/m, (j+1)/m): each class is off by at most one image, and
        # the end of the prefix itself by the same amount for every class
        expected = labels.count(label) * n / len(labels)
        assert abs(prefix.count(label) - expected) <= 1 + labels.count(label) * len(
            set(labels)
        ) / len(labels)


def test_the_order_is_the_same_for_ever() -> None:
    order = processing_order(samples_of([0] * 6 + [1] * 3), seed=7)
    assert order.tolist() == [2, 8, 1, 4, 6, 0, 7, 3, 5]


def test_files_in_a_row_do_not_stay_in_a_row_and_a_seed_has_its_own_order() -> None:
    samples = samples_of([None] * 10_000)
    order = processing_order(samples, seed=0)
    assert (np.abs(np.diff(order)) == 1).mean() < 0.002
    assert not np.array_equal(order, processing_order(samples, seed=1))
