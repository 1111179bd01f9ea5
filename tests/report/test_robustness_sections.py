"""What a reader sees of effective robustness: every baseline, axis, interval and reason."""

import csv
import io

import pytest
from tuiprobe.report.charts import charts
from tuiprobe.report.markdown_robustness import robustness_sections

from tests.report.samples import report
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


def test_markdown_has_a_table_a_baseline(found):
    text = "\n".join(robustness_sections(found))
    assert text.count("Baseline `standard`:") == text.count("Baseline `own`:") == 1
    assert "validation images of the shift's own classes (**extrapolated**)" in text
    assert "(2 left out)" in text
    assert "| yes |" in text
    assert r"not run, because b: \*six\* models" in text
    assert "`r`, by its own class names | not run: too long" in text
    assert "`val` on the same classes" in text


def test_the_summary_names_one_entry_a_baseline(found):
    lines = [line for line in summary(report(robustness=found)).splitlines() if "effective" in line]
    assert [line.partition(":")[0] for line in lines] == [
        "effective robustness by standard (1 shift)",
        "effective robustness by standard_and_low (1 shift)",
        "effective robustness by own (1 shift)",
    ]  # fmt: skip
    assert "prediction [" in lines[0]
    assert "baseline" in lines[0]


def test_a_reason_stands_in_for_effective_robustness():
    head, one = one_hot()
    bare = probe_robustness(head, [one], {}, Baselines(reason="six *runs*"))
    assert "Not run, because six \\*runs\\*." in "\n".join(robustness_sections(bare))
    said = "effective robustness: not run, because six *runs*"
    assert said not in summary(report(robustness=bare))  # one set: nothing to compare
    two = probe_robustness(head, [one, one], {}, Baselines(reason="six *runs*"))
    assert said in summary(report(robustness=two))


def test_tables_hold_the_alternative(found):
    rows = list(csv.DictReader(io.StringIO(tables(report(robustness=found))["accuracies"])))
    alternative = [row for row in rows if row["figure"] == "top1_own_names"]
    assert [float(row["value"]) for row in alternative] == [found.accuracies[1].top1.value]


def test_one_chart_a_baseline_and_the_miniatures_axis_is_drawn(found):
    mine = found.effective[0].model_copy(update={"axis": "val", "baseline": "miniature"})
    drawn = charts(report(robustness=found.model_copy(update={"effective": (mine,)})))
    names = [one.name for one in drawn if one.name.startswith("robustness")]
    assert names == ["robustness_0"]
    assert isinstance(mine.value, Estimate)
    several = charts(report(robustness=found))
    assert len([one for one in several if one.name.startswith("robustness")]) == 3
