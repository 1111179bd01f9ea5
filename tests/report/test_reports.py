"""Golden reports; `TUIPROBE_RENEW=1 pytest tests/report` renews them after a wanted change."""

import csv
import io
import os
from pathlib import Path

import pytest

from tests.report.samples import estimate, model, outliers, report, without_outliers
from tests.report.samples_head import head_report
from tuiprobe.errors import DataError
from tuiprobe.probes.concepts.result import Concepts
from tuiprobe.probes.directions.result import Directions
from tuiprobe.probes.outliers.channel_result import Outcome, Persistence
from tuiprobe.probes.robustness.result import Robustness
from tuiprobe.report import read_report, write_reports
from tuiprobe.report.markdown import markdown
from tuiprobe.report.summary import summary
from tuiprobe.report.tables import tables
from tuiprobe.results import DataSet, NotRun, Skipped
from tuiprobe.results.card import card
from tuiprobe.run.directory import RunDir
from tuiprobe.run.glance import write_results

GOLDEN = Path(__file__).parent / "golden"


def layered():
    nothing = NotRun(reason="needs two images that count; there are 1")
    inner = outliers(
        tap="blocks.3", kind="token", tokens="all", final=False, top_images=(),
        persistence=Persistence(value=nothing, null_high=nothing, self_share=nothing,
        cross_share=nothing, effective_channels=nothing), heights=nothing,
    )  # fmt: skip
    return report(outliers=(inner, outliers()))


def untrained():
    weights = model().weights.model_copy(update={"kind": "untrained", "source": "random"})
    withheld = outliers(**without_outliers(Outcome.WITHHELD, "the network is untrained"))
    return report(model=model(weights=weights), outliers=(withheld,))


@pytest.mark.parametrize("make", [report, layered, untrained])
def test_markdown_is_as_agreed(make):
    path = GOLDEN / f"{make.__name__}.md"
    found = markdown(make())
    rectangular(found)
    if os.environ.get("TUIPROBE_RENEW"):
        path.write_text(found, encoding="utf-8")
    assert found == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", tables(report()))
def test_tables_are_as_agreed(name):
    path = GOLDEN / f"{name}.csv"
    found = tables(layered())[name]
    if os.environ.get("TUIPROBE_RENEW"):
        path.write_text(found, encoding="utf-8")
    assert found == path.read_text(encoding="utf-8")


def test_untrained_is_said_in_the_title_and_the_summary():
    assert markdown(untrained()).startswith("# UNTRAINED")
    assert summary(untrained()).startswith("UNTRAINED")
    assert "**The weights are random.**" in markdown(untrained())


def rectangular(text):
    """Fails if a table has rows of unlike width."""
    for block in text.split("\n\n"):
        rows = [line for line in block.split("\n") if line.startswith("|")]
        assert len({line.replace("\\|", "").count("|") for line in rows}) <= 1, block


def test_reports_are_written_beside_the_results(tmp_path):
    run = RunDir(tmp_path)
    write_results(run, report())
    out = write_reports(run)
    assert out == summary(report())
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == markdown(report())
    assert (tmp_path / "tables" / "figures.csv").exists()
    assert read_report(run) == report()
    run.results_file.write_text(report().to_json().replace('"title"', '"headline"'))
    with pytest.raises(DataError, match=r"results\.json.*reprobe"):
        read_report(run)


def test_csv_tables_hold_every_point_as_numbers():
    def rows(name):
        return list(csv.DictReader(io.StringIO(tables(full)[name])))

    full = head_report()
    bases = full.part(Directions).bases
    assert len(rows("pruning")) == sum(len(c.points) for basis in bases for c in basis.curves)
    assert {row["control"] for row in rows("pruning")} == {"yes", "no"}
    assert float(rows("pruning")[0]["value"]) == bases[0].curves[0].points[0].accuracy.value
    assert len(rows("accuracies")) == 3 * len(full.part(Robustness).accuracies) - 2
    assert len(rows("ablation")) == 2 * 17
    assert any(row["not_run_because"] for row in rows("effective_robustness"))
    assert {row["family"] for row in rows("concepts")} == {
        one.family for one in full.part(Concepts).families
    }
    rectangular(markdown(full))


def test_many_skipped_images_are_cut_in_the_report_only():
    skipped = tuple(Skipped(path=f"{i}.jpg", reason="truncated") for i in range(30))
    data = DataSet(name="val", source="x", images=40, measured=10, skipped=skipped)
    assert "and 10 more" in markdown(report(data=(data,)))
    assert tables(report(data=(data,)))["skipped"].count("\n") == 31


def test_figures_without_interval_show_none():
    one = outliers(kurtosis=estimate(5, 0).model_copy(update={"low": None, "high": None}))
    assert "  Kurtosis 5; the offset explains" in summary(report(outliers=(one,)))


def test_the_summary_is_the_card():
    found = report()
    lines = summary(found).splitlines()
    assert lines[0] == found.title
    assert lines[1] == "warning: 1 image skipped"
    blocks = card(found)
    assert [one.block for one in blocks] == ["inside", "how sure"]
    told = [line for line in lines[2:] if not line.startswith(" ")]
    assert told == ["Inside:", "How sure:"]
    assert "  Not known: Concepts: no concept set (pass --concepts broden:DIR)." in lines
    assert len(lines) == 2 + sum(1 + len(one.lines) for one in blocks)
