"""Lines of the card that were wrong or had to be read twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.probes.calibrated import calibrated, head
from tests.report.samples import data_sets, outliers, report, without_outliers
from tests.report.samples_head import (
    ablation,
    concepts,
    directions,
    head_report,
    one_hot,
    quantisation,
    targets,
)
from tuiprobe.probes.ablation.compute import ChannelAblations
from tuiprobe.probes.calibration.compute import probe_calibration
from tuiprobe.probes.neighbours import LabelledRows, classify
from tuiprobe.probes.outliers.describe import PAPER
from tuiprobe.probes.outliers.result import Outcome
from tuiprobe.probes.quantisation.compute import AnswersChanged
from tuiprobe.probes.robustness.compute import Baselines, probe_robustness
from tuiprobe.report.html import html
from tuiprobe.report.markdown import markdown
from tuiprobe.report.terminal import summary
from tuiprobe.report.text import line
from tuiprobe.results import DataSet, Estimate, NotRun, Report
from tuiprobe.results.card import card

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


def test_the_paper_is_named_where_an_outlier_channel_was_found_alone() -> None:
    (found,) = lines_of(report(), "inside")
    (none,) = lines_of(report(outliers=(outliers(**without_outliers(Outcome.OFFSET)),)), "inside")
    assert PAPER in found
    assert PAPER not in none


def test_directions_of_the_head_and_of_the_concepts_are_two_lines() -> None:
    made = report(directions=directions(), concepts=concepts(), ablation=ablation())
    lines = lines_of(made, "inside")
    assert len([text for text in lines if "importance" in text and "without its mean row" in text])
    assert not any("importance" in text and "concepts" in text for text in lines)


def test_the_control_of_an_ablation_says_how_much_energy_it_has() -> None:
    result = ablation()
    lost = replace_difference(result)
    made = report(ablation=lost)
    text = next(text for text in lines_of(made, "inside") if "set to zero" in text)
    assert f"{100 * result.matched_energy:.0f} % of it" in text


def replace_difference(result: ChannelAblations) -> ChannelAblations:
    """Returns an ablation whose channels cost more than random ones."""
    rows = tuple(
        row.model_copy(
            update={
                "difference": points(-0.2, -0.25, -0.15),
                "random_difference": points(-0.01, -0.02, 0.0),
                "matched_difference": points(-0.1, -0.12, -0.08),
            }
        )
        for row in result.ablations
    )
    return result.model_copy(update={"ablations": rows, "stand_out": True})


def points(value: float, low: float, high: float) -> Estimate:
    return Estimate(value=value, low=low, high=high, unit="points", n=200, method="planted")


@pytest.mark.parametrize(("low", "shown"), [(-0.002, False), (0.0001, True)])
def test_a_change_within_its_interval_is_no_number(low: float, shown: bool) -> None:
    changed = AnswersChanged(
        data="val", scheme="tensor", top1=points(0.0025, low, 0.005),
        changed=Estimate(value=0.01, low=0.005, high=0.02, unit="share", n=2000, method="Wilson"),
    )  # fmt: skip
    made = report(quantisation=quantisation().model_copy(update={"answers": (changed,)}))
    (text, *_) = lines_of(made, "deploy")
    assert ("+0.2" in text) == shown
    assert ("no measurable change" in text) != shown


def test_confidence_that_scaling_leaves_alone_is_said_once() -> None:
    result = probe_calibration(head(), [calibrated("rows", n=4000, seed=1)], list("0123456789"))
    text = next(one for one in lines_of(report(calibration=result), "how sure") if "Conf" in one)
    assert text.count("rows") == 1
    off = replace(head(), weight=head().weight * 3)
    twice = probe_calibration(off, [calibrated("rows", n=4000, seed=1)], list("0123456789"))
    text = next(one for one in lines_of(report(calibration=twice), "how sure") if "Conf" in one)
    assert text.count("rows") == 2


def test_neighbours_of_one_labelled_set_are_on_the_users_images() -> None:
    rng = np.random.default_rng(0)
    rows = LabelledRows(
        "rows", rng.normal(size=(60, 4)).astype("f4"), np.arange(60) % 3, tuple("abc")
    )
    alone, shifted = classify([rows], 0), classify([rows, replace(rows, name="v2")], 0)
    no_head = {"targets": NAMELESS, "robustness": NAMELESS}
    assert "nearest" in lines_of(report(neighbours=alone, **no_head), "your images")[0]
    assert not lines_of(report(neighbours=alone, **no_head), "shifts")
    assert "nearest" in lines_of(report(neighbours=shifted, **no_head), "shifts")[0]
    target = (*data_sets(), DataSet(name="t", source="t", images=9, measured=9, target=True))
    made = report(neighbours=alone, data=target, **no_head)
    assert lines_of(made, "your images")[0].endswith(f"{NAMELESS.reason}.")


def test_one_labelled_set_beside_a_target_is_in_distribution() -> None:
    first, images = one_hot()
    target = DataSet(name="photos", source="photos", images=200, measured=200, target=True)
    only = probe_robustness(first, [images], {}, Baselines())
    made = report(targets=targets(), robustness=only, data=(*data_sets(), target))
    lines = lines_of(made, "your images")
    assert lines[0].startswith("photos (")
    assert next(text for text in lines if "right on val" in text).startswith("In distribution, ")
    alone = lines_of(report(robustness=only), "your images")
    assert not any("In distribution" in text for text in alone)
