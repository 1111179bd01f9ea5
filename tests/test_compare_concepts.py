"""Overlap of the concepts that two models encode."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from tuiprobe.compare.concept_overlap import concept_overlaps

from tests.report.samples import report
from tests.report.test_concept_sections import concept_set
from tuiprobe.compare.differences import compare, comparison_markdown
from tuiprobe.probes.concepts.compute import probe_concepts
from tuiprobe.probes.concepts.result import RANDOM, Concepts
from tuiprobe.results import NotRun
from tuiprobe.run.checked_arrays import HeadArrays

HEAD = HeadArrays(np.diag([4, 3, 2, 1]).astype(np.float32) @ np.eye(4, 6, dtype=np.float32))


@pytest.fixture(scope="module")
def first() -> Concepts:
    found = probe_concepts(HEAD, concept_set())
    assert isinstance(found, Concepts)
    return found


def encoding(found: Concepts, *names: str, tried: int = 3) -> Concepts:
    """The same probe, as if every family encoded these."""
    families = tuple(
        one if one.family == RANDOM else one.model_copy(update={"encoded": names})
        for one in found.families
    )
    return found.model_copy(update={"families": families, "tried": tried})


def test_shared_and_own_concepts_by_family(first: Concepts) -> None:
    one, other = encoding(first, "dog", "sky"), encoding(first, "sky", "=red|")
    overlaps = concept_overlaps(one, other)
    assert RANDOM not in [o.family for o in overlaps]
    assert len(overlaps) == len(first.families) - 1  # type: ignore[arg-type]
    for overlap in overlaps:
        assert (overlap.shared, overlap.first_only, overlap.second_only) == (
            ("sky",), ("dog",), ("=red|",),
        )  # fmt: skip
        assert overlap.jaccard.value == pytest.approx(1 / 3)


@pytest.mark.parametrize(("ours", "theirs", "tried"), [(20, 30, 100), (2, 5, 9), (6, 6, 7)])
def test_chance_is_hypergeometric(first: Concepts, ours: int, theirs: int, tried: int) -> None:
    names = [f"c{i}" for i in range(tried)]
    pair = (
        encoding(first, *names[:ours], tried=tried),
        encoding(first, *names[:theirs], tried=tried),
    )
    by_chance = concept_overlaps(*pair)[0].by_chance
    oracle = stats.hypergeom(tried, ours, theirs)
    assert by_chance.value == pytest.approx(oracle.mean())
    assert (by_chance.low, by_chance.high) == (oracle.ppf(0.025), oracle.ppf(0.975))


def test_models_that_encode_nothing_share_nothing(first: Concepts) -> None:
    overlap = concept_overlaps(encoding(first), encoding(first))[0]
    assert overlap.shared == ()
    assert overlap.jaccard == NotRun(reason="neither encodes a concept")
    assert overlap.by_chance.value == 0


def test_what_is_not_the_same_is_not_compared(first: Concepts) -> None:
    def reason(second: Concepts | None) -> str:
        found = concept_overlaps(first, second)
        assert isinstance(found, NotRun)
        return found.reason

    assert reason(None) == "no concepts in the second report"
    assert "images or labels" in reason(first.model_copy(update={"digest": "other"}))
    assert "balance" in reason(first.model_copy(update={"balance": "sample"}))
    assert "share" in reason(first.model_copy(update={"share": 0.5}))
    old = first.model_copy(update={"digest": None})
    assert "older report" in concept_overlaps(old, old).reason


def test_the_comparison_has_a_section(first: Concepts) -> None:
    one = report(concepts=encoding(first, "dog", "sky"))
    other = report(concepts=encoding(first, "=red|", "sky"))
    text = comparison_markdown(compare(one, other))
    assert "## Concepts in common on `toy`" in text
    assert r"both sky; only the first dog; only the second =red\|." in text
    assert "Concepts in common: not run, because no concepts in the second report." in (
        comparison_markdown(compare(one, report()))
    )
    assert "Concepts in common" not in comparison_markdown(compare(report(), report()))
