"""The same pictures in two roles, copies and near copies within a set."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tuiprobe.measure.arrays.measured_run import counted_once
from tuiprobe.probes.evidence.identity import (
    Contents,
    PictureRole,
    copies,
    near_copies,
    shared_content,
)


def pictures(name: str, role: PictureRole, numbers: NDArray[np.int64]) -> Contents:
    """Returns a set of pictures; equal numbers are equal contents."""
    digests = np.zeros((len(numbers), 32), dtype=np.uint8)
    digests[:, :8] = numbers.astype("<u8")[:, None].view(np.uint8)
    paths = {i: f"{name}/{i}.png" for i in range(len(numbers))}
    return Contents(name, role, digests, range(len(numbers)), paths)


@pytest.mark.parametrize(
    ("roles", "shared", "blamed", "withholds"),
    [
        (("in distribution", "shift"), 200, "b", True),
        (("in distribution", "shift"), 2, "b", False),
        (("in distribution", "target"), 3, "b", True),
        (("target", "shift"), 200, "a", True),
        (("in distribution", "fitted"), 200, "a", True),
        (("shift", "shift"), 200, "b", True),
        (("target", "target"), 200, None, False),
        (("in distribution", "shift"), 0, None, False),
    ],
)
def test_the_later_of_two_roles_of_the_same_pictures_is_in_doubt(roles, shared, blamed, withholds):
    first = pictures("a", roles[0], np.arange(200))
    second = pictures("b", roles[1], np.arange(200 - shared, 400 - shared))
    doubts = list(shared_content([first, second]))
    assert [(doubt.data, doubt.withholds) for doubt in doubts] == (
        [] if blamed is None else [(blamed, withholds)]
    )
    for doubt in doubts:
        assert doubt.figures == {"shared": shared, "pictures": 200}
        assert doubt.sentence.count(".png") == min(shared, 3)


def test_copies_count_once_and_contradictions_not_at_all() -> None:
    numbers = np.array([7, 8, 7, 9, 8, 9, 3])
    labels = np.array([0, 1, 0, 1, 0, 1, 2])
    of_set = pictures("val", "in distribution", numbers)
    assert counted_once(of_set.digests, labels).tolist() == [1, 0, 0, 1, 0, 0, 1]
    assert counted_once(of_set.digests, None).tolist() == [1, 1, 0, 1, 0, 0, 1]
    (doubt,) = copies(of_set, labels)
    assert doubt.figures == {"copies": 3, "pictures": 7, "contradicting": 2}
    assert "val/1.png and val/4.png" in doubt.sentence
    assert list(copies(pictures("val", "target", np.arange(9)), None)) == []


def test_near_copies_are_counted_and_exact_ones_are_not() -> None:
    rng = np.random.default_rng(0)
    scenes = rng.normal(size=(40, 64)).astype(np.float32) + 9  # an offset that all share
    views = np.repeat(scenes, 3, axis=0) + 0.02 * rng.normal(size=(120, 64)).astype(np.float32)
    (doubt,) = near_copies(pictures("val", "in distribution", np.arange(120)), views)
    assert doubt.figures == {"near": 120, "pictures": 120}
    assert not doubt.withholds
    assert doubt.sentence.startswith("the model hardly tells 120 of 120")
    same = pictures("val", "in distribution", np.repeat(np.arange(40), 3))
    assert list(near_copies(same, np.repeat(scenes, 3, axis=0))) == []
    assert list(near_copies(pictures("val", "in distribution", np.arange(40)), scenes)) == []
