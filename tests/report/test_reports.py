"""Golden reports; `TUIPROBE_RENEW=1 pytest tests/report` renews them after a wanted change."""

import csv
import io
import os
from pathlib import Path

import pytest

from tests.report.samples import estimate, in_full, model, outliers, report, without_outliers
from tuiprobe.errors import DataError
from tuiprobe.probes.outliers.channel_result import Outcome, Persistence
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


def test_strings_from_outside_stay_data():
    evil = "</td><script>alert(1)</script>|\n=cmd|' /C calc'!A0\u202e\x1b]0;x\x07"
    data = DataSet(
        name="val", source=evil, images=1, measured=1, skipped=(Skipped(path=evil, reason=evil),)
    )
    hostile = report(data=(data,), warnings=(evil,), model=model(name=evil), title=evil)
    text = markdown(hostile)
    outside_code = "".join(text.split("`")[::2])
    assert "<script>" not in outside_code
    for out in (text, summary(hostile), *tables(hostile).values()):
        assert not {"\x1b", "\x07", "\u202e"} & set(out)
    rows = list(csv.reader(io.StringIO(tables(hostile)["skipped"])))
    assert rows[1][1].startswith("</td>")
    assert len(rows) == 2


def test_csv_numbers_stay_numbers():
    rows = list(csv.DictReader(io.StringIO(tables(report())["channels"])))
    assert float(rows[0]["mean"]) == -4.2


def test_every_markdown_table_is_rectangular():
    for block in markdown(layered()).split("\n\n"):
        rows = [line for line in block.split("\n") if line.startswith("|")]
        widths = {line.replace("\\|", "").count("|") for line in rows}
        assert len(widths) <= 1, block


def test_reports_are_written_beside_the_results(tmp_path):
    run = RunDir(tmp_path)
    write_results(run, report())
    out = write_reports(run)
    assert out == summary(report())
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == markdown(report())
    assert (tmp_path / "tables" / "figures.csv").exists()
    assert read_report(run) == report()


def test_a_damaged_results_file_is_named_with_what_to_do(tmp_path):
    run = RunDir(tmp_path)
    run.results_file.write_text(report().to_json().replace('"title"', '"headline"'))
    with pytest.raises(DataError, match=r"results\.json.*reprobe"):
        read_report(run)


def test_many_skipped_images_are_cut_in_the_report_only():
    skipped = tuple(Skipped(path=f"{i}.jpg", reason="truncated") for i in range(30))
    data = DataSet(name="val", source="x", images=40, measured=10, skipped=skipped)
    assert "and 10 more" in markdown(report(data=(data,)))
    assert tables(report(data=(data,)))["skipped"].count("\n") == 31


def test_figures_without_interval_show_none():
    one = outliers(kurtosis=estimate(5, 0).model_copy(update={"low": None, "high": None}))
    assert "  Kurtosis 5; the offset explains" in summary(report(outliers=(one,)))


def test_few_images_leave_a_reason_in_every_place():
    """Everything rests on heights, which one image does not give."""
    found = layered()
    figures = {(one.place, one.id): one.figure for one in found.part_of("outliers").figures}
    reason = "needs two images that count; there are 1"
    assert figures["blocks.3", "outlier_channels"] == NotRun(reason=reason)
    assert figures["final", "outlier_channels"].value == 1
    assert f"not run: {reason}" in in_full(found)


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
