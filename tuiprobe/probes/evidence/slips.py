"""Whether labels slipped by a row or two against answers, along the order of a file.

A row that is lost, or a list that is filled one row off, makes every later label that of another
picture. The gain of a shift is the number of right answers more that it gives in a block of rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tuiprobe.numbers import number
from tuiprobe.plaintext import count_of
from tuiprobe.results.doubt import Doubt

_Int64 = NDArray[np.int64]

SHIFTS: Final = (1, -1, 2, -2)
FEWEST_ROWS: Final = 20
"""Rows of the shortest block."""

LEAST_GAIN: Final = 0.25
"""What a shift must gain in a block, as a share of its rows."""

LEVEL: Final = 0.001
_ROWS_AT_ONCE: Final = 2_000_000


class RowOrder(NamedTuple):
    """Labels and answers along an order of rows.

    Attributes:
        data: Name of the set.
        of: What the order is of, in words.
        answers: int64 `[M, n]`, what each candidate answers; below 0 for none.
        labels: int64 `[n]`, a class; below 0 for none.
        numbers: int64 `[n]`, ascending number of each row; rows are neighbours if these are.
    """

    data: str
    of: str
    answers: _Int64
    labels: _Int64
    numbers: _Int64


def row_orders(
    data: str, answers: _Int64, labels: _Int64, tables: Iterable[tuple[str, _Int64, int | None]]
) -> list[RowOrder]:
    """Returns labels and answers along the rows of tables, each order once.

    Args:
        data: Name of the set.
        answers: int64 `[M, n]`.
        labels: int64 `[n]`.
        tables: Of each table what it is, in words, the number of each row in it, int64 `[n]`, and
            the candidate whose answers it holds; None if all candidates are compared along it.
            One that lacks a row, with a number below 0, is left out.
    """
    orders, compared = [], set[bytes]()
    for name, numbers, candidate in tables:
        if (numbers < 0).any():
            continue
        order = np.argsort(numbers, kind="stable")
        if order.tobytes() in compared:
            continue
        if candidate is None:
            compared.add(order.tobytes())
        chosen = answers if candidate is None else answers[[candidate]]
        orders.append(RowOrder(data, name, chosen[:, order], labels[order], numbers[order]))
    return orders


class _Block(NamedTuple):
    gain: int
    shift: int
    candidate: int
    start: int
    stop: int


def slips(orders: Sequence[RowOrder]) -> Iterator[Doubt]:
    """Yields each order in whose rows labels slipped, by a test at `LEVEL` over all orders.

    The largest gain of any candidate, shift and block is compared with that of rows in random
    order, each with its answers and label; also with right rows exchanged only for right ones, as
    wrong answers that stand first in a table gain by any shift.

    Args:
        orders: The orders.
    """
    for order in orders:
        block = _largest(order)
        tests, every = len(orders), np.arange(len(order.labels))
        if block is None or _random_gain(order, block.gain, tests, [every]):
            continue
        one = order._replace(answers=order.answers[[block.candidate]])
        right = one.answers[0] == one.labels
        groups = [np.flatnonzero(right), np.flatnonzero(~right)]
        if _random_gain(one, block.gain, tests * len(order.answers), groups):
            continue
        rows = slice(block.start, block.stop)
        n = block.stop - block.start
        answers, labels = order.answers[block.candidate], order.labels
        before = int(((answers == labels) & (labels >= 0))[rows].sum())
        first, last = order.numbers[block.start] + 1, order.numbers[block.stop - 1] + 1
        size = abs(block.shift)
        step = f"{count_of(size, 'row')} {'later' if block.shift > 0 else 'earlier'}"
        in_sequence = _in_sequence(order)
        remark = (
            "; neighbours look alike here, so the answers may lag instead" if in_sequence else ""
        )
        yield Doubt(
            id="slip",
            case=f"{block.shift:+d}",
            data=order.data,
            sentence=f"from row {first:,} to {last:,} of {order.of} the labels fit the answers "
            f"{step}: {number((before + block.gain) / n, 'share')} would be right there, not "
            f"{number(before / n, 'share')}: look for a row that is missing or doubled{remark}",
            withholds=not in_sequence,
            figures={
                "first": int(first), "last": int(last), "shift": block.shift,
                "right": before / n, "right_shifted": (before + block.gain) / n,
            },
        )  # fmt: skip


def _neighbours(numbers: _Int64, shift: int) -> _Int64:
    """Returns the row whose number is larger by `shift`, int64 `[n]`; -1 for none."""
    at = np.searchsorted(numbers, numbers + shift).clip(max=len(numbers) - 1)
    return np.where(numbers[at] == numbers + shift, at, -1)


def _gains(answers: _Int64, labels: _Int64, neighbours: _Int64) -> NDArray[np.int8]:
    """Returns how many right answers more each row has by the answer of its neighbour.

    Args:
        answers: int64 `[..., n]`.
        labels: int64 `[..., n]`.
        neighbours: int64 `[n]`.
    """
    moved = np.where(neighbours >= 0, answers[..., neighbours], -1)
    known = labels >= 0
    gains = ((moved == labels) & known).astype(np.int8)
    gains -= (answers == labels) & known
    return np.asarray(gains)


def _best_block(gains: NDArray[np.int8]) -> tuple[int, int, int]:
    """Returns the largest sum over neighbouring rows, and where they start and stop."""
    sums = np.concatenate([[0], np.cumsum(gains, dtype=np.int64)])
    lowest = np.minimum.accumulate(sums)
    stop = int((sums - lowest).argmax())
    start = int(sums[: stop + 1].argmin())
    return int(sums[stop] - sums[start]), start, stop


def _largest(order: RowOrder) -> _Block | None:
    """Returns the block with the largest gain among those that are long and gain enough."""
    best: _Block | None = None
    for shift in SHIFTS if len(order.labels) >= FEWEST_ROWS else ():
        neighbours = _neighbours(order.numbers, shift)
        for candidate, answers in enumerate(order.answers):
            gain, start, stop = _best_block(_gains(answers, order.labels, neighbours))
            n = stop - start
            enough = n >= FEWEST_ROWS and gain >= LEAST_GAIN * n
            if enough and (best is None or gain > best.gain):
                best = _Block(gain, shift, candidate, start, stop)
    return best


def _random_gain(
    order: RowOrder, gain: int, tests: int, groups: Sequence[NDArray[np.intp]]
) -> bool:
    """Returns whether rows in random order reach a gain, at `LEVEL` over so many tests.

    Args:
        order: The rows.
        gain: The gain.
        tests: Number of tests.
        groups: Indices of the rows that are exchanged for each other, each once.
    """
    n, candidates = len(order.labels), len(order.answers)
    rng = np.random.default_rng(0)
    left = round(tests / LEVEL) - 1
    neighbours = [_neighbours(order.numbers, shift) for shift in SHIFTS]
    while left > 0:
        draws = min(left, max(1, _ROWS_AT_ONCE // n))
        rows = np.tile(np.arange(n), (draws, 1))
        for group in groups:
            rows[:, group] = rng.permuted(rows[:, group], axis=1)
        labels = order.labels[rows]
        for candidate in range(candidates):
            answers = order.answers[candidate][rows]
            for of_shift in neighbours:
                sums = np.cumsum(_gains(answers, labels, of_shift), axis=1, dtype=np.int32)
                lowest = np.minimum(np.minimum.accumulate(sums, axis=1), 0)
                if int((sums - lowest).max()) >= gain:
                    return True
        left -= draws
    return False


def _in_sequence(order: RowOrder) -> bool:
    """Returns whether labels of neighbours are equal more often, or less, than in random order."""
    labels = order.labels[order.labels >= 0]
    n, counts = len(labels), np.unique(order.labels[order.labels >= 0], return_counts=True)[1]
    share = float(counts @ (counts - 1)) / max(n * (n - 1), 1)
    equal = int((labels[1:] == labels[:-1]).sum())
    return bool(abs(equal - (n - 1) * share) > 2.5 * np.sqrt(n * share * (1 - share)))
