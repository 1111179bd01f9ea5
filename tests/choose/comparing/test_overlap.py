"""What two runs found in common: channels, concepts, and what any probe names as a set."""

import numpy as np
import pytest
from scipy import stats

from tests.show.report.samples import outlier_channel, outliers, report
from tests.show.report.test_concept_sections import concept_set
from tuiprobe.choose.comparing.differences import Overlap, by_chance, overlaps
from tuiprobe.inside.concepts.compute import RANDOM, Concepts, probe_concepts
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.results import NotRun

HEAD = HeadArrays(np.diag([4, 3, 2, 1]).astype(np.float32) @ np.eye(4, 6, dtype=np.float32))


@pytest.fixture(scope="module")
def first() -> Concepts:
    result = probe_concepts(HEAD, concept_set())
    assert isinstance(result, Concepts)
    return result


def encoding(result: Concepts, *names: str, tried: int = 3) -> Concepts:
    """The same probe, as if every family encoded these."""
    families = tuple(
        family if family.family == RANDOM else family.model_copy(update={"encoded": names})
        for family in result.families
    )
    return result.model_copy(update={"families": families, "tried": tried})


def in_common(first: Concepts | NotRun, second: Concepts | NotRun) -> list[Overlap]:
    result = overlaps(report(concepts=first), report(concepts=second))
    return [item for item in result if item.id == "concepts"]


def test_shared_and_own_concepts_by_family(first: Concepts) -> None:
    result = in_common(encoding(first, "dog", "sky"), encoding(first, "sky", "=red|"))
    assert [item.place for item in result] == [
        family.family for family in first.families if family.family != RANDOM
    ]
    for common in result:
        assert (common.shared, common.first_only, common.second_only) == (
            ("sky",),
            ("dog",),
            ("=red|",),
        )
        assert common.differ
        assert common.jaccard.value == pytest.approx(1 / 3)


@pytest.mark.parametrize("ours", [1, 5, 9, 11])
@pytest.mark.parametrize("theirs", [2, 6, 11])
def test_the_range_of_chance_is_that_of_scipy(ours: int, theirs: int) -> None:
    result, oracle = by_chance(ours, theirs, 12), stats.hypergeom(12, ours, theirs)
    assert result.value == pytest.approx(oracle.mean())
    assert (result.low, result.high) == (oracle.ppf(0.025), oracle.ppf(0.975))


@pytest.mark.parametrize(("ours", "theirs", "shared"), [(0, 5, 0), (12, 5, 5), (12, 12, 12)])
def test_nothing_and_everything_leave_no_choice(ours: int, theirs: int, shared: int) -> None:
    expected = by_chance(ours, theirs, 12)
    assert (expected.value, expected.low, expected.high) == (shared, shared, shared)
    assert by_chance(5, 1, 4) == NotRun(reason="4 cannot hold 5")
    assert by_chance(0, 0, 0) == NotRun(reason="0 cannot hold 0")


def test_models_that_encode_nothing_share_nothing(first: Concepts) -> None:
    result = in_common(encoding(first), encoding(first))[0]
    assert result.shared == ()
    assert not result.differ
    assert result.jaccard == NotRun(reason="neither found any")
    assert result.by_chance.value == 0


def test_what_is_not_the_same_is_not_compared(first: Concepts) -> None:
    def reason(second: Concepts | NotRun) -> str:
        [why] = {common.not_comparable for common in in_common(first, second)}
        return why.reason

    assert (
        reason(NotRun(reason="no concept set")) == "not in the report of open_clip:RN50-quickgelu"
    )
    assert reason(first.model_copy(update={"digest": "other"})) == (
        "they differ in their images or labels"
    )
    assert reason(first.model_copy(update={"tried": 5})) == (
        "they differ in their number of concepts tried"
    )
    old = first.model_copy(update={"digest": None})
    assert reason(old) == "a report does not say its images or labels"


def test_channels_stand_in_the_order_of_numbers() -> None:
    def channels(*numbers: int) -> Overlap:
        several = tuple(outlier_channel(channel=number) for number in numbers)
        result = report(outliers=(outliers(outlier_channels=several),))
        [overlap] = overlaps(result, result)
        return overlap

    assert channels(133, 9, 1000, 20).shared == ("9", "20", "133", "1000")
