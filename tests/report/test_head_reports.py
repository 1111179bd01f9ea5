import csv
import io

import pytest

from tests.report.samples import in_full, retold
from tests.report.samples_head import head_report
from tuiprobe.probes.concepts.result import Concepts
from tuiprobe.probes.directions.result import Directions
from tuiprobe.probes.robustness.result import Robustness
from tuiprobe.report.markdown import markdown
from tuiprobe.report.tables import tables
from tuiprobe.results.report import Report


@pytest.fixture(scope="module")
def full():
    return head_report()


def rows(full, name):
    return list(csv.DictReader(io.StringIO(tables(full)[name])))


def test_the_whole_report_survives_strict_json(full):
    assert Report.parse(full.to_json().encode(), "results.json") == full


def test_every_part_has_its_section_and_tables_are_rectangular(full):
    text = markdown(full)
    for title in (
        "## Accuracy under shift",
        "## Privileged directions",
        "## Channel ablation",
        "## Concepts",
    ):
        assert title in text
    for block in text.split("\n\n"):
        lines = [line for line in block.split("\n") if line.startswith("|")]
        assert len({line.replace("\\|", "").count("|") for line in lines}) <= 1, block


def test_markdown_shows_both_intervals_and_what_is_missing(full):
    text = in_full(full)
    entry = full.part(Robustness).effective[0]
    value, wide = entry.value, entry.prediction
    assert f"| {value.with_interval()} | " in text
    assert f"| {wide.with_interval()} | yes |" in text
    assert "not run: objectnet not measured" in text
    assert r"red\|" in text
    assert "no indicator of robustness" in text


def test_csv_tables_hold_every_point(full):
    pruning = rows(full, "pruning")
    points = sum(len(c.points) for basis in full.part(Directions).bases for c in basis.curves)
    assert len(pruning) == points
    assert {row["control"] for row in pruning} == {"yes", "no"}
    exact = full.part(Directions).bases[0].curves[0].points[0].accuracy.value
    assert float(pruning[0]["value"]) == exact
    assert len(rows(full, "accuracies")) == 3 * len(full.part(Robustness).accuracies) - 2
    assert len(rows(full, "ablation")) == 2 * 17
    assert any(row["not_run_because"] for row in rows(full, "effective_robustness"))
    assert {row["family"] for row in rows(full, "concepts")} == {
        one.family for one in full.part(Concepts).families
    }


def test_tables_of_parts_that_did_not_run_are_left_out(full):
    bare = retold(full, directions=None, robustness=None, concepts=None)
    assert not {"pruning", "accuracies", "concepts"} & set(tables(bare))
    assert "## Concepts" not in markdown(bare)
