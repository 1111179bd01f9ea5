import numpy as np
import pytest

from tests.report.samples import estimate, model, outliers, report
from tuiprobe.compare.differences import IncomparableError, compare, comparison_markdown, difference
from tuiprobe.errors import UsageError
from tuiprobe.results import NotRun, given


def test_a_report_does_not_differ_from_itself():
    found = compare(report(), report())
    assert found.same_outcome
    assert found.notes == found.unmatched == ()
    assert all(one.differs is not True for one in found.differences)
    assert all(one.difference.value == 0 for one in found.differences if given(one.difference))
    assert found.channels == {"val": ((133,), (), ())}


def test_a_difference_beyond_both_intervals_is_told():
    other = report(outliers=(outliers(kurtosis=estimate(4.0, 0.2)),))
    rows = {one.name: one for one in compare(report(), other).differences}
    assert rows["kurtosis"].differs
    assert rows["kurtosis"].difference.value == pytest.approx(-19.5)
    assert rows["persistence.value"].differs is False


def test_other_representation_kinds_are_refused():
    with pytest.raises(IncomparableError, match="within one kind"):
        compare(report(), report(model=model(representation="pooled")))
    assert IncomparableError("").exit_code == UsageError.exit_code


def test_what_weakens_a_comparison_is_noted():
    weights = model().weights.model_copy(update={"kind": "untrained"})
    small = report(
        model=model(width=512, weights=weights),
        data=(report().data[0].model_copy(update={"measured": 400}),),
    )
    notes = " ".join(compare(report(), small).notes)
    assert "1024 and 512" in notes
    assert "untrained" in notes
    assert "400" in notes
    assert compare(report(), small).channels == {}


def test_sets_and_taps_of_one_report_only_are_listed():
    more = report(outliers=(outliers(), outliers(tap="blocks.1", final=False)))
    assert compare(report(), more).unmatched == ("val/blocks.1",)


def test_missing_figures_are_not_run():
    found = difference(NotRun(reason="why"), estimate(1, 0.1))
    assert found.reason == "first: why"
    bare = estimate(1, 0.1).model_copy(update={"low": None, "high": None})
    assert difference(bare, estimate(2, 0.1)).low is None


def test_interval_of_a_difference_is_calibrated():
    rng, hits = np.random.default_rng(0), 0
    for _ in range(2000):
        a, b = rng.normal(0, 1), rng.normal(1, 2)
        found = difference(estimate(a, 1.96), estimate(b, 3.92))
        hits += found.low <= 1 <= found.high
    assert 0.93 < hits / 2000 < 0.97


def test_markdown_names_both_and_stays_inert():
    text = comparison_markdown(compare(report(title="<b>"), report()))
    assert r"\<b\>" in text
    assert "| `val` | `final` | kurtosis | 23.5 [23.1, 23.9]" in text
