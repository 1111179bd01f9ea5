"""Two reports side by side, figure by figure."""

import numpy as np
import pytest

from tests.report.samples import estimate, model, outliers, report
from tests.report.strangers import strange_report
from tuiprobe.compare.differences import IncomparableError, compare, comparison_markdown, difference
from tuiprobe.compare.side_by_side import side_by_side
from tuiprobe.errors import UsageError
from tuiprobe.results import NotRun, given


def test_a_report_does_not_differ_from_itself():
    found = compare(report(), report())
    fact = found.fact("outcome")
    assert (fact.name, fact.first, fact.second) == (
        "outlier features",
        "outlier channels",
        "outlier channels",
    )
    assert found.notes == found.unmatched == ()
    assert all(one.differs is not True for one in found.differences)
    assert all(one.difference.value == 0 for one in found.differences if given(one.difference))
    [one] = found.overlaps
    assert (one.id, one.data, one.shared, one.differ) == ("channels", "val", ("133",), False)


def test_a_difference_beyond_both_intervals_is_told():
    other = report(outliers=(outliers(kurtosis=estimate(4.0, 0.2)),))
    rows = {one.id: one for one in compare(report(), other).differences}
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
        outliers=(outliers(channels=512),),
        model=model(width=512, weights=weights),
        data=(report().data[0].model_copy(update={"measured": 400}),),
    )
    notes = " ".join(compare(report(), small).notes)
    assert "1024 and 512" in notes
    assert "untrained" in notes
    assert "400" in notes
    assert "- outlier channels on `val`: they differ in their width" in comparison_markdown(
        compare(report(), small)
    )


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
    assert (
        "| `val` | `final` | kurtosis | `kurtosis` | 23.5 (23.1 to 23.9) | 23.5 (23.1 to 23.9) | "
        "0 (-0.5657 to 0.5657) | no |" in text
    )
    assert "- outlier features: outlier channels, then outlier channels" in text
    assert "- outlier channels on `val`: shared 133; only in the first none; " in text


def test_a_probe_that_is_not_installed_is_compared():
    other = strange_report(value=0.3, found="square", members=("b", "c"))
    text = comparison_markdown(compare(strange_report(), other))
    assert "- shape of edges: round, then square" in text
    assert "- strong edges on `val`, stem: shared b; only in the first a; only in the" in text
    assert (
        "| `val` | `final` | texture bias | `texture` | 0.62 (0.57 to 0.67) | 0.3 (0.25 to 0.35) | "
        "-0.32 (-0.3907 to -0.2493) | yes |" in text
    )
    alone = compare(report(), other)
    assert alone.unmatched == ("val/stem", "val/textures")
    assert "strong edges on `val`, stem: not in the first report" in comparison_markdown(alone)
    assert "- shape of edges: -, then square" in comparison_markdown(alone)


def test_models_of_one_command_stand_side_by_side():
    text = side_by_side([report(), strange_report()])
    assert (
        "| model | representation | outlier features | shape of edges | kurtosis | kurtosis after "
        "centring | persistence | texture bias |" in text
    )
    figures = "23.5 (23.1 to 23.9) | 3.1 (3 to 3.2) | 0.93 (0.91 to 0.95)"
    name = r"| open\_clip:RN50-quickgelu | projected | present"
    assert f"{name} | - | {figures} | not run: not in this report |" in text
    assert f"{name} | round | {figures} | 0.62 (0.57 to 0.67) |" in text
    assert text.count(r": concepts: not run: no concept set (pass --concepts broden:DIR)") == 2
