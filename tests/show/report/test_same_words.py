"""Terminal, JSON, page, notebook and Markdown give the same words and numbers."""

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.show.report.samples import estimate, outliers, report, without_outliers
from tests.show.report.samples_head import calibration, head_results, targets
from tuiprobe.choose.labelling.reading import read_report
from tuiprobe.inside.outliers.result import Outcome
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.results import Estimate, Report
from tuiprobe.results.card import card
from tuiprobe.results.section import Table
from tuiprobe.show.report.html import html
from tuiprobe.show.report.markdown import markdown, section_markdown
from tuiprobe.show.report.strings import line
from tuiprobe.show.report.terminal import section_text, summary

BLOCK_TAGS = r"</?(?:p|div|li|ul|ol|td|th|tr|dt|dd|h\d|br|section|summary|details|figure)\b[^>]*>"

RUNS: dict[str, Callable[[], Report]] = {
    "outliers": report,
    "head": lambda: report(**head_results()),
    "all probes": lambda: report(
        **head_results(),
        calibration=calibration(),
        targets=targets(),
    ),
    "no outlier": lambda: report(outliers=(outliers(**without_outliers(Outcome.OFFSET)),)),
    "moving": lambda: report(outliers=(outliers(**without_outliers(Outcome.MOVING)),)),
    "small kurtosis": lambda: report(outliers=(outliers(kurtosis=estimate(4.0, 0.2)),)),
    "layers": lambda: report(outliers=(outliers(), outliers(tap="layer1", final=False))),
}
"""Reports that need no run."""


def words(text: str) -> str:
    """Returns text with every run of white space as one blank."""
    return " ".join(text.split())


def words_of_page(page: str) -> str:
    """Returns the visible text of a page."""
    body = re.sub(r"<(script|style|svg)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return words(unescape(re.sub(r"<[^>]+>", "", re.sub(BLOCK_TAGS, " ", body))))


def words_of_markdown(text: str) -> str:
    """Returns the visible text of rendered Markdown."""
    return words(re.sub(r"\\(.)", r"\1", text.replace("**", "").replace("`", "")))


def in_all(phrases: list[str], texts: dict[str, str]) -> None:
    """Asserts that every text has every phrase."""
    assert phrases
    lost = {name: [p for p in phrases if words(p) not in text] for name, text in texts.items()}
    assert {name: these[:3] for name, these in lost.items() if these} == {}


def check_run(whole: Report) -> None:
    """Asserts that the card of a report and its figures are the same in all forms."""
    read = Report.parse(whole.to_json().encode(), "results.json")
    texts = {
        "terminal": words(" ".join(row[13:] for row in summary(whole).splitlines())),
        "page": words_of_page(html(whole)),
        "markdown": words_of_markdown(markdown(whole)),
        "notebook": words_of_page(whole._repr_html_()),
    }
    printed: list[str] = []
    whole._repr_pretty_(SimpleNamespace(text=printed.append), False)
    assert "".join(printed) == summary(whole).rstrip("\n")
    in_all([line(text).replace("`", "") for block in card(read) for text in block.lines], texts)
    shown = {name: text for name, text in texts.items() if name != "terminal"}
    in_all([read.title], {"terminal": words(summary(whole)), **shown})
    tables = [
        piece
        for part in read.parts
        if part.section is not None
        for piece in part.section.content
        if isinstance(piece, Table) and piece.reading and not piece.folded
    ]
    headings = [line(column.title) for table in tables[:1] for column in table.columns]
    in_all([heading for heading in headings if heading], {"page": texts["page"]})


@pytest.mark.parametrize("name", RUNS)
def test_a_report_says_the_same_in_all_forms(name: str) -> None:
    check_run(RUNS[name]())


def test_runs_say_the_same_in_all_forms(runs_on_targets: Path) -> None:
    for run in sorted((runs_on_targets / "runs").iterdir()):
        check_run(read_report(RunDir(run)))


@pytest.mark.parametrize("order", [1, -1])
def test_a_comparison_says_the_same_in_all_forms(order, runs_on_targets, program):
    from tuiprobe.choose.comparing.decide import decide
    from tuiprobe.choose.comparing.decision_section import describe_decision
    from tuiprobe.choose.comparing.runs import read_runs

    paths = [str(run) for run in sorted((runs_on_targets / "runs").iterdir())[::order]]
    content = program("compare", *paths, "--json").json
    runs = read_runs([Path(path) for path in paths])
    section = describe_decision(decide(runs), runs)
    texts = {
        "terminal": words(program("compare", *paths).out),
        "page": words_of_page(program("compare", *paths, "--html").out),
        "markdown": words_of_markdown(section_markdown(section)),
    }
    names = [row["model"] for row in content["decision"]["models"]]
    in_all([content["decision"]["sentence"].rstrip("."), *names], texts)
    rows = [row for pair in content["comparisons"] for row in pair["differences"]]
    phrases = [written(row) for row in rows if written(row)]
    in_all(phrases, {"page": texts["page"]})
    # A table of a terminal may break a cell between its words.
    in_all([word for phrase in phrases for word in phrase.split()], {"terminal": texts["terminal"]})
    in_all([word for word in section_text(section).split() if word[0].isdigit()], texts)


def written(row: dict[str, Any]) -> str:
    """Returns the difference of a headline figure as it is written, from its numbers."""
    if row["headline"] is None or "value" not in row["difference"]:
        return ""
    return Estimate(**row["difference"]).with_interval(signed=True)
