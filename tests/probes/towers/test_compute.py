"""Modality gap, shared channels and conformity on planted towers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.probes.subject import model
from tuiprobe.probes.channels import Chosen
from tuiprobe.probes.heads import SetFeatures
from tuiprobe.probes.protocol import Subject
from tuiprobe.probes.rows import unit_rows
from tuiprobe.probes.towers.compute import compare_towers, conformity
from tuiprobe.probes.towers.probe import BothTowers
from tuiprobe.probes.towers.result import Towers
from tuiprobe.results import Estimate, NotRun
from tuiprobe.run.checked_arrays import HeadArrays

WIDTH, IMAGES = 64, 600
OFFSET = Chosen((5,), "outlier")


def planted(
    images: float = 12.0, texts: float = 12.0, seed: int = 0
) -> tuple[HeadArrays, SetFeatures]:
    """Channel 5 far from the rest in images, and as far in texts on the other side."""
    rng = np.random.default_rng(seed)
    h, w = rng.standard_normal((IMAGES, WIDTH)), rng.standard_normal((100, WIDTH))
    h[:, 5] += images
    w[:, 5] -= texts
    return HeadArrays(w.astype("f4"), normalize=True), SetFeatures("val", h.astype("f4"))


def compared(head: HeadArrays, *sets: SetFeatures, chosen: Chosen = OFFSET) -> Towers:
    result = compare_towers(head, sets, chosen, 0)
    assert isinstance(result, Towers)
    return result


def value(figure: object) -> float:
    assert isinstance(figure, Estimate)
    return figure.value


def test_gap_and_its_part_on_the_channel_are_those_of_plain_algebra() -> None:
    head, images = planted()
    result = compared(head, images)
    x, w = (rows.astype("f8") for rows in (images.features, head.weight))
    x, w = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (x, w))
    difference = x.mean(0) - w.mean(0)
    (first,) = result.sets
    assert value(first.gap) == pytest.approx(np.linalg.norm(difference), abs=1e-5)
    assert value(first.on_channels) == pytest.approx(
        difference[5] ** 2 / (difference @ difference), abs=1e-5
    )
    assert value(first.on_channels) > 0.95
    mean = x.mean(0) / np.linalg.norm(x.mean(0))
    assert value(first.conformity) == pytest.approx(float((x @ mean).mean()), abs=1e-5)
    leading = np.linalg.svd(head.weight.astype("f8"))[2][0]
    assert value(first.leading_cosine) == pytest.approx(abs(mean @ leading), abs=1e-5)
    assert result.channels == result.head_channels == result.shared == (5,)
    assert result.expected_on_channels == 1 / WIDTH


def test_towers_without_anything_in_common() -> None:
    head, images = planted(images=0, texts=0)
    result = compared(head, images, chosen=Chosen((), "offset"))
    assert result.shared == ()
    assert value(result.sets[0].gap) < 0.25  # sampling noise: sqrt(1 / 600 + 1 / 100) = .108
    assert result.sets[0].on_channels == NotRun(reason="no channel stands out")
    section = BothTowers().describe(result, Subject(model(), ()))
    assert "no channel stands out" in str(section.headline)


def test_the_interval_of_the_gap_covers() -> None:
    """Texts are fixed; the truth is the gap of a population of images."""
    head, _ = planted(seed=7)
    rng = np.random.default_rng(1)
    h = rng.standard_normal((60_000, WIDTH))
    h[:, 5] += 12
    texts = unit_rows(head.weight).mean(0, dtype="f8")
    truth = np.linalg.norm(unit_rows(h.astype("f4")).mean(0, dtype="f8") - texts)
    hits = 0
    for _ in range(40):
        few = SetFeatures("val", h[rng.choice(len(h), 300)].astype("f4"))
        gap = compared(head, few).sets[0].gap
        assert isinstance(gap, Estimate)
        assert gap.low is not None
        assert gap.high is not None
        hits += int(gap.low <= truth <= gap.high)
    assert hits >= 33  # 3 sigma below 38 of 40


def test_conformity_of_one_direction_is_one() -> None:
    rows = np.outer(np.arange(1, 9), np.ones(WIDTH)).astype("f4")
    np.testing.assert_allclose(conformity(rows), 1, atol=1e-6)


def test_the_histogram_holds_every_image() -> None:
    head, images = planted()
    result = compared(head, images, SetFeatures("r", images.features[:50]))
    assert sum(result.images) == IMAGES
    assert len(result.edges) == len(result.images) + 1
    assert [each.data for each in result.sets] == ["val", "r"]
    assert compared(head, images, SetFeatures("r", images.features[:50])) == result
