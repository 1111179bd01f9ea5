"""Two reports side by side, figure by figure."""

import numpy as np
import pytest

from tests.measure.engine.fake_run import FakeSet, vouch, write_run
from tests.show.report.samples import estimate, model, outliers, report
from tests.show.report.samples_head import head_report
from tuiprobe.choose.comparing.differences import ESTIMATES, Comparison, compare, compare_runs
from tuiprobe.choose.comparing.differences_section import describe
from tuiprobe.choose.comparing.inference import second_minus_first
from tuiprobe.choose.comparing.runs import read_run
from tuiprobe.measure.run.results import write_results
from tuiprobe.probes.report import make_report
from tuiprobe.results import NotRun, Part, is_known
from tuiprobe.results.figures import TARGET
from tuiprobe.results.section import NamedFigure
from tuiprobe.show.report.markdown import section_markdown

MINUS = "\N{MINUS SIGN}"


def markdown_of(result: Comparison) -> str:
    return section_markdown(describe(result, everything=True))


def test_a_report_does_not_differ_from_itself():
    comparison = compare(report(), report())
    fact = comparison.fact("outcome")
    assert (fact.name, fact.first, fact.second) == (
        "outlier features",
        "outlier channels",
        "outlier channels",
    )
    assert comparison.notes == comparison.unmatched == ()
    assert all(row.differs is not True for row in comparison.differences)
    assert all(
        row.difference.value == 0 for row in comparison.differences if is_known(row.difference)
    )
    [row] = comparison.overlaps
    assert (row.id, row.data, row.shared, row.differ) == (
        "channels",
        "val",
        ("133",),
        False,
    )


def test_a_difference_beyond_both_intervals_is_told():
    other = report(outliers=(outliers(kurtosis=estimate(4.0, 0.2)),))
    rows = {row.id: row for row in compare(report(), other).differences}
    assert rows["kurtosis"].differs
    assert rows["kurtosis"].difference.value == pytest.approx(-19.5)
    assert rows["persistence"].differs is False


def test_over_kinds_of_representation_only_answers_are_compared():
    pooled = head_report().model_copy(update={"model": model(representation="pooled")})
    comparison = compare(head_report(), pooled)
    assert {"top1", "mean_shift"} <= {row.id for row in comparison.differences}
    assert not {"kurtosis", "height", "offset.share"} & {row.id for row in comparison.differences}
    assert not comparison.facts
    assert not comparison.overlaps
    assert "not figures of channels" in comparison.notes[0]


def test_what_weakens_a_comparison_is_noted():
    weights = model().weights.model_copy(update={"kind": "untrained"})
    small = report(
        outliers=(outliers(channels=512),),
        model=model(width=512, weights=weights),
        data=(report().data[0].model_copy(update={"measured": 400}),),
    )
    weaker = compare(report(), small)
    notes = " ".join(weaker.notes)
    assert "1024 and 512" in notes
    assert "UNTRAINED" in notes
    assert any("400" in doubt.sentence for doubt in weaker.doubts)
    assert "- outlier channels on `val`: they differ in their width" in markdown_of(
        compare(report(), small)
    )


def test_sets_and_taps_of_one_report_only_are_listed():
    more = report(outliers=(outliers(), outliers(tap="blocks.1", final=False)))
    assert compare(report(), more).unmatched == ("val/blocks.1",)


def test_estimates_without_labels_have_no_difference():
    """Their ranges hold errors that both runs share, and no sampling that a test could draw on."""
    figure = NamedFigure(
        id="target", name="estimated accuracy", data="photos", place="estimate",
        figure=estimate(0.5, 0.01), headline=TARGET.headline, role="estimate",
    )  # fmt: skip
    first, second = (
        report().model_copy(update={"parts": (Part(probe="p", title="P", figures=(row,)),)})
        for row in (figure, figure.model_copy(update={"figure": estimate(0.9, 0.01)}))
    )
    [row] = compare(first, second).headlines()
    assert row.difference == ESTIMATES
    assert row.differs is None
    text = markdown_of(compare(first, second))
    assert "0.500 (0.490 to 0.510)" in text  # with its range
    assert "0.40" not in text


def test_missing_figures_are_not_run():
    change = second_minus_first(NotRun(reason="why"), estimate(1, 0.1))
    assert change.reason == "first: why"
    bare = estimate(1, 0.1).model_copy(update={"low": None, "high": None})
    assert second_minus_first(bare, estimate(2, 0.1)).low is None


def test_headline_figures_come_first_and_the_rest_on_request():
    comparison = compare(head_report(), head_report())
    names = [headline.name for headline in comparison.headlines()]
    assert names == [
        "top-1", "mean of shifts", "effective robustness",
        "highest channel", "offset share", "kurtosis",
    ]  # fmt: skip
    first = section_markdown(describe(comparison))
    assert "| top-1 on val |" in first
    assert "more figures: --all shows them." in first
    assert "residual.kurtosis" not in first
    assert "| `residual.kurtosis` | `val` |" in markdown_of(comparison)
    others = markdown_of(comparison).partition("All other figures")[2]
    rest = [row for row in comparison.differences if row.headline is None]
    kinds = [row.endswith(("| separate |", "| - |")) for row in others.splitlines()]
    assert sum(kinds) == len(rest)


def planted(path, seed=0, moved=False):
    """Returns a run of a linear head whose images lie in one of two folders."""
    rng = np.random.default_rng(seed)
    labels = np.random.default_rng(5).integers(0, 3, 200)
    features = np.eye(3, 8)[labels] + rng.normal(0, 0.6, (200, 8))
    source = "imagefolder:/moved" if moved else "imagefolder:/data"
    sets = {"val": FakeSet(features.astype(np.float32), labels, source=source)}
    run = write_run(path, sets, np.eye(3, 8))
    write_results(run, make_report(run))
    return run


def test_runs_on_the_same_images_are_compared_in_pairs(tmp_path):
    first, second = planted(tmp_path / "a"), planted(tmp_path / "b", seed=1, moved=True)
    comparison = compare_runs([read_run(first), read_run(second)], 0, 1, None)
    headlines = {headline.id: headline for headline in comparison.headlines()}
    # 8 channels are too few for heights
    assert set(headlines) == {"top1", "kurtosis"}
    top1, kurtosis = headlines["top1"], headlines["kurtosis"]
    assert top1.paired
    assert kurtosis.paired
    assert (comparison.notes, comparison.doubts) == ((), ())  # a moved folder holds the same images
    assert "| paired |" in markdown_of(comparison)
    second.per_image_file.unlink()
    vouch(second)
    earlier = compare_runs([read_run(first), read_run(second)], 0, 1, None)
    assert not any(row.paired for row in earlier.differences)
    assert {doubt.id for doubt in earlier.doubts} == {"other-pictures"}
    assert earlier.headlines()[0].difference.value == top1.difference.value


def test_other_images_are_compared_by_separate_intervals(tmp_path):
    first, second = planted(tmp_path / "a"), planted(tmp_path / "b", seed=1)
    lines = second.samples_file.path.read_text().replace("17.png", "seventeen.png")
    second.samples_file.write_text(lines)
    vouch(second)
    write_results(second, make_report(second))
    comparison = compare_runs([read_run(first), read_run(second)], 0, 1, None)
    assert not any(row.paired for row in comparison.differences)
    assert [(of.id, of.data) for of in comparison.doubts] == [("other-pictures", "val")]
    assert "| separate |" in markdown_of(comparison)
