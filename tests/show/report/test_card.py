"""Lines of the card that were wrong or had to be read twice."""

from tests.show.report.samples import data_sets, report
from tests.show.report.samples_head import (
    head_report,
    one_hot,
    targets,
)
from tuiprobe.choose.robustness.compute import Baselines, probe_robustness
from tuiprobe.results import NotRun, Report, SetSummary
from tuiprobe.results.card import card
from tuiprobe.show.report.html import html
from tuiprobe.show.report.markdown import markdown
from tuiprobe.show.report.strings import line
from tuiprobe.show.report.terminal import summary

NAMELESS = NotRun(reason="list your classes")


def lines_of(made: Report, block: str) -> list[str]:
    return [line(text) for one in card(made) if one.block == block for text in one.lines]


def test_a_reason_stands_once_on_top_and_what_was_measured_instead_is_open() -> None:
    ids = ("targets", "robustness", "directions", "calibration", "ablation")
    made = report(concepts=None, **dict.fromkeys(ids, NAMELESS))
    assert summary(made).count(NAMELESS.reason) == 1
    assert summary(made).splitlines()[2].startswith("Your images")
    assert NAMELESS.reason in lines_of(made, "your images")[0]
    assert markdown(made).count(NAMELESS.reason) == 2  # card, and all titles under Not run
    assert not any(block.folded for block in card(made))
    page = html(made)
    assert page.count(NAMELESS.reason) == 2
    assert any(block.folded for block in card(head_report()))


def test_one_labelled_set_beside_a_target_is_in_distribution() -> None:
    first, images = one_hot()
    target = SetSummary(name="photos", source="photos", images=200, measured=200, target=True)
    only = probe_robustness(first, [images], {}, Baselines())
    made = report(targets=targets(), robustness=only, data=(*data_sets(), target))
    lines = lines_of(made, "your images")
    assert lines[0].startswith("photos (")
    assert next(text for text in lines if "right on val" in text).startswith("In distribution, ")
    alone = lines_of(report(robustness=only), "your images")
    assert not any("In distribution" in text for text in alone)
