"""What a reader sees of effective robustness: every baseline, axis, interval and reason."""

import csv
import io

import pytest

from tests.report.samples import charts, in_full, report
from tests.report.samples_head import one_hot, robustness
from tuiprobe.probes.robustness.compute import Baselines, probe_robustness
from tuiprobe.probes.robustness.result import BaselineNotRun, OwnNames
from tuiprobe.report.summary import summary
from tuiprobe.report.tables import tables
from tuiprobe.results import Estimate, NotRun


@pytest.fixture(scope="module")
def found():
    plain = robustness()
    entries = list(plain.effective)
    prediction = entries[0].prediction  # type: ignore[attr-defined]
    entries.append(
        entries[0].model_copy(  # type: ignore[attr-defined]
            update={"axis": "own classes", "left_out": 2, "extrapolated": True, "above": True}
        )
    )
    entries.append(entries[0].model_copy(update={"baseline": "own", "prediction": prediction}))  # type: ignore[attr-defined]
    own = OwnNames(data="r", head="own|names", accuracy=plain.accuracies[1])
    return plain.model_copy(
        update={
            "effective": tuple(entries),
            "not_run": (
                BaselineNotRun(baseline="b", target=("r",), axis="val", reason="b: *six* models"),
            ),
            "own_names": (own, OwnNames(data="r", head="", accuracy=NotRun(reason="too long"))),
        }
    )


def test_markdown_has_a_row_an_entry(found):
    text = in_full(report(robustness=found))
    rows = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    entries = [
        row for row in rows if row[0].strip(" |`") in ("standard", "standard_and_low", "own")
    ]
    assert [row[0].strip() for row in entries] == [
        "`standard`", "`standard_and_low`", "`standard`", "`own`",
    ]  # fmt: skip
    assert [row[4] for row in entries] == ["0", "0", "2", "0"]
    extrapolated = "**validation images of the shift's own classes, extrapolated**"
    full = "full validation set"
    assert [row[2] for row in entries] == [full, full, extrapolated, full]
    assert [row[7] for row in entries] == ["yes", "-", "yes", "yes"]
    assert r"- not run: b: \*six\* models" in text
    own = [row for row in rows if row[0].strip() == "`r`" and row[2] == "its own"]
    assert own[0][3] == "75 % (66 to 82)"
    assert own[1][3] == "not run: too long"
    assert "| `val` on the same classes |" in text


def test_the_card_names_the_first_baseline_alone(found):
    card = " ".join(summary(report(robustness=found)).split())
    first = found.effective[0]
    wide = first.prediction.with_interval().removesuffix(")").split(" (")
    assert f"{wide[0]} above the line of {first.models} supervised models ({wide[1]} with" in card
    assert card.count("the line of") == 1
    far = found.model_copy(update={"effective": (first.model_copy(update={"nearest": 0.03}),)})
    own = round(100 * found.accuracies[0].top1.value)
    card = " ".join(summary(report(robustness=far)).split())
    assert f"; none of them is near {own} %." in card
    bare = first.model_copy(update={"above": False, "nearest": 0.02})
    within = found.model_copy(update={"effective": (bare,)})
    card = " ".join(summary(report(robustness=within)).split())
    assert "Not above the line of" in card
    assert "near" not in card.partition("Not above")[2].partition(".")[0]


def test_both_accuracies_stand_where_a_set_has_a_part_of_the_classes(found):
    first, shift, *rest = found.accuracies
    masked = shift.model_copy(update={"top1_all": shift.top1, "classes": 2, "head_classes": 1000})
    named = found.model_copy(update={"accuracies": (first, masked, *rest)})
    card = " ".join(summary(report(robustness=named)).split())
    value = shift.top1.alone()
    assert (
        "Answers among a set's own classes, not all 1,000 of the head: "
        f"{shift.data} 2: {value}, among all {value}." in card
    )


def test_a_reason_stands_in_for_effective_robustness():
    head, one = one_hot()
    bare = probe_robustness(head, [one], {}, Baselines(reason="six *runs*"))
    assert "\nnot run: six \\*runs\\*\n" in in_full(report(robustness=bare))
    assert "six" not in summary(report(robustness=bare))


def test_tables_hold_the_alternative(found):
    rows = list(csv.DictReader(io.StringIO(tables(report(robustness=found))["accuracies"])))
    alternative = [row for row in rows if row["names"] == "its own" and row["figure"] == "top1"]
    assert [row["value"] for row in alternative] == [str(found.accuracies[1].top1.value), ""]
    assert alternative[1]["not_run_because"] == "too long"


def test_one_chart_a_baseline_and_the_miniatures_axis_is_drawn(found):
    mine = found.effective[0].model_copy(update={"axis": "val", "baseline": "miniature"})
    drawn = charts(report(robustness=found.model_copy(update={"effective": (mine,)})))
    names = [one.id for one in drawn if one.id.startswith("robustness")]
    assert names == ["robustness_0"]
    assert isinstance(mine.value, Estimate)
    several = charts(report(robustness=found))
    assert len([one for one in several if one.id.startswith("robustness")]) == 3
