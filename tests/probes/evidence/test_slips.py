"""Labels that slipped by a row are found and dated; honest lists are not accused."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tuiprobe.probes.evidence.slips import RowOrder, slips
from tuiprobe.results.doubt import Doubt


def order(answers: NDArray[np.int64], labels: NDArray[np.int64]) -> RowOrder:
    return RowOrder("val", "labels.csv", answers[None], labels, np.arange(len(labels)))


def answered(seed: int, n: int, classes: int, share: float) -> tuple[NDArray[np.int64], ...]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, n)
    return truth, np.where(rng.random(n) < share, truth, rng.integers(0, classes, n))


@pytest.mark.parametrize("start", [0, 150])
@pytest.mark.parametrize("step", [1, -1, 2])
def test_a_slip_is_found_with_its_rows(start: int, step: int) -> None:
    truth, answers = answered(start, 300, 6, 0.8)
    labels = truth.copy()
    labels[start:] = np.roll(truth, -step)[start:]
    (doubt,) = slips([order(answers, labels)])
    assert (doubt.id, doubt.case, doubt.withholds) == ("slip", f"{step:+d}", True)
    assert abs(doubt.figures["first"] - start) < 10
    assert doubt.figures["right_shifted"] > 0.7 > 0.4 > doubt.figures["right"]


def test_a_list_with_gaps_is_compared_along_its_places() -> None:
    truth, answers = answered(1, 400, 6, 0.8)
    labels = np.roll(truth, -1)
    chosen = np.sort(np.random.default_rng(2).choice(400, 300, replace=False))
    gaps = RowOrder("val", "val", answers[None, chosen], labels[chosen], chosen)
    (doubt,) = slips([gaps])
    assert doubt.case == "+1"


def test_a_lag_in_a_list_in_time_order_is_a_note() -> None:
    rng = np.random.default_rng(3)
    labels = np.repeat(rng.integers(0, 8, 400), rng.integers(1, 3, 400))
    doubts = list(slips([order(np.roll(labels, 1), labels)]))
    assert [doubt.withholds for doubt in doubts] == [False]


def test_tables_of_honest_answers_are_not_accused() -> None:
    doubts: list[Doubt] = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        truth, answers = answered(seed, 150, int(rng.choice([2, 3, 6])), float(rng.random()))
        by_number = order(answers, truth)
        for rows in (rng.permutation(150), np.lexsort((rng.random(150), answers == truth))):
            of_table = order(answers[rows], truth[rows])
            doubts += slips([by_number, of_table])
    assert doubts == []


def test_honest_lists_are_not_accused() -> None:
    doubts: list[Doubt] = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        truth, answers = answered(seed, int(rng.choice([30, 200])), 4, float(rng.random()))
        lists = [order(answers, truth), order((truth + 1) % 4, truth)]
        by_class = np.argsort(truth, kind="stable")
        lists.append(order(answers[by_class], truth[by_class]))
        doubts += slips(lists)
    assert doubts == []
