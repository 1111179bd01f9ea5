"""A hostile string in every text field of a report: nothing written or printed obeys it."""

import csv
import io
import json
import os
import re
import subprocess
import unicodedata
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt
from pydantic import BaseModel, ValidationError

from tests.measure.engine.fake_run import vouch
from tests.show.report.samples import (
    NO_RUN,
    PROBES,
    data_sets,
    estimate,
    outliers,
    report,
    retold,
)
from tests.show.report.samples_head import (
    calibration,
    head_results,
    linear,
    targets,
    unattended_answers,
)
from tests.show.report.strangers import stranger
from tests.show.report.test_formats import Page
from tuiprobe.choose.comparing.decide import decide
from tuiprobe.choose.comparing.decision_section import describe_decision
from tuiprobe.choose.comparing.differences import compare, compare_runs
from tuiprobe.choose.comparing.differences_section import describe
from tuiprobe.choose.comparing.runs import Run, with_names
from tuiprobe.choose.robustness.compute import ShiftNames
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.plaintext import plain
from tuiprobe.probes.preflight import Preflight
from tuiprobe.request import command_of
from tuiprobe.results import NotRun, Part, ProbeResult, Report
from tuiprobe.results.doubt import Doubt
from tuiprobe.results.section import Chart, Series, Strip, Table
from tuiprobe.results.set_accuracy import SetAccuracy
from tuiprobe.results.subject import Check
from tuiprobe.show.cli.app import run_cli
from tuiprobe.show.report.compare_page import compare_page
from tuiprobe.show.report.formats import RENDERED, files_of
from tuiprobe.show.report.html import card_html, sections_html
from tuiprobe.show.report.markdown import section_markdown
from tuiprobe.show.report.terminal import summary

pytestmark = pytest.mark.slow

HARMLESS = "Harmless"  # no id, as the hostile ones
EVIL = (
    "<script>window.evil = 1</script></script><script>window.evil = 1</script>"
    "\"><img src=x onerror='window.evil = 1'></script><svg onload=window.evil=1></style>"
)
"""What shows in a browser that it was obeyed."""

HOSTILES = [
    "=1+1|<b>x</b>`*_y_*[a](http://e.example)\n# h\n\n- i",
    "\x1b[31m\x1b]8;;http://e.example\x07\u202eb\x85\x9b2J\u200f\u2066\x00\x7f",
    r"\input{/etc/passwd}^^5cinput $x$ %_#&~",
    "@x\r\n|---|\n<script>alert(1)</script> www.e.example ~~x~~ ![i](x)",
    "\t+1\t-2",
    "- x",
    "    1. x",
    "---",
    "| x | y |",
    "``` \n```",
    '"><img src=x onerror=alert(1)></script><script>alert(1)</script></style>',
    '=HYPERLINK("http://e.example","x")\\input{} $\\frac{1$',
    "W" * 2_000,
]


@cache
def full_report() -> Report:
    """Returns a report of every probe, and of one that is not installed."""
    accuracy = SetAccuracy(
        data="v2", shift="imagenet_v2", images=3, classes=2, top1=estimate(0.5, 0.1),
        top5=NotRun(reason="r"), id_own_classes=NotRun(reason="r"),
    )  # fmt: skip
    robustness = head_results()["robustness"].model_copy(
        update={
            "not_run": (NotRun(reason="r"),),
            "own_names": (
                ShiftNames(data="r", head="h", accuracy=accuracy),
                ShiftNames(data="s", head="h", accuracy=NotRun(reason="r")),
            ),
        }
    )
    checks = tuple(
        Check(name="n", status=status, detail="d", fix="f", data="val")
        for status in ("pass", "warn", "fail", "skip")
    )
    nonfinite = {"nonfinite": 2, "nonfinite_images": ("p",)}
    data = tuple(item.model_copy(update=nonfinite) for item in data_sets())
    whole = report(
        **head_results()
        | {
            "robustness": robustness,
            "preflight": Preflight(checks=checks),
            "calibration": calibration(),
            "linear": linear(),
            "unattended": unattended_answers(),
            "targets": targets(),
            "outliers": (outliers(), outliers(tap="layer1", final=False)),
            "data": data,
            "doubts": (
                Doubt(id="slip", case="c", data="val", sentence="s", withholds=True),
                Doubt(id="copies", data="v2", sentence="t", trusted=True, figures={"copies": 2}),
            ),
        }
    )
    missing = Part(probe="absent", title="Absent", not_run=NotRun(reason="r", remedy="m"))
    return whole.model_copy(update={"parts": (*whole.parts, stranger(), missing)})


Planted = tuple[Any, set[str]]


def planted(value: Any, text: str) -> Planted:
    """Returns a result or report with `text` in every field that takes any, and their names."""
    places: set[str] = set()

    def plant(value: Any) -> Any:
        if isinstance(value, BaseModel):
            return planted_model(value)
        if isinstance(value, Check):
            return planted_check(value)
        if isinstance(value, tuple | list):
            return type(value)(plant(item) for item in value)
        if isinstance(value, dict):
            return {text if len(value) == 1 else f"{k}{text}": plant(v) for k, v in value.items()}
        return text if isinstance(value, str) else value

    def planted_model(value: BaseModel) -> BaseModel:
        for name in type(value).model_fields:
            new = plant(getattr(value, name))
            try:
                type(value).model_validate({**dict(value), name: new})
            except ValidationError:
                continue  # a field of fixed words
            if new != getattr(value, name):
                places.add(f"{type(value).__name__}.{name}")
            value = value.model_copy(update={name: new})
        return value

    def planted_check(value: Check) -> Check:
        for name in ("name", "detail", "fix", "data"):
            places.add(f"Check.{name}")
            value = replace(value, **{name: plant(getattr(value, name))})
        return value

    return planted_model(value), places


@cache
def in_results(text: str) -> Report:
    """Returns the report as the probes tell it of results that hold `text`."""
    whole = full_report()
    results = {id: planted(item, text)[0] for id in PROBES if (item := _result(whole, id))}
    about = whole.model_copy(update={"model": planted(whole.model, text)[0]})
    answered = retold(known(about), **results)
    return answered.model_copy(update={"parts": (*answered.parts, *whole.parts[-2:])})


def known(whole: Report) -> Report:
    """Returns a report without the parts of probes that are not installed."""
    kept = tuple(item for item in whole.parts if item.probe in PROBES)
    return whole.model_copy(update={"parts": kept})


def _result(whole: Report, id: str) -> ProbeResult | None:
    return whole.part(PROBES[id].Result)


@cache
def in_report(text: str) -> Report:
    """Returns the report with `text` in every field of its own: sections, figures, sets."""
    written, _ = planted(full_report(), text)
    return Report.parse(written.to_json().encode(), "planted")


LATEST = 128
"""Parsed texts that are kept: those that hostile ones are compared with, and the last of these."""

WAYS = {"results": in_results, "report": in_report}


def everything(report: Report) -> dict[str, str]:
    other = report.model_copy(update={"parts": report.parts[1:]})
    files = files_of(report, None, list(RENDERED))
    pair = with_names([Run(report, {}, NO_RUN), Run(other, {}, NO_RUN)])
    return {
        **files,
        "several.html": compare_page(pair, decide(pair), [compare_runs(pair, 1, 0, None)]),
        "summary": summary(report),
        "notebook.html": card_html(report),
        "comparison.md": section_markdown(describe(compare(report, report), everything=True)),
        "other.md": section_markdown(describe(compare(report, other), everything=True)),
        "compare.html": sections_html("Comparison", [describe(compare(report, other), True)]),
        "decision.md": section_markdown(describe_decision(decide(pair), pair)),
    }


def inert(text: str) -> bool:
    bad = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return all(unicodedata.category(letter) not in bad for letter in set(text) - {"\n"})


BOLD = ("strong_open", "strong_close")
"""Left out of a skeleton: a mark that should make bold does not beside some letters."""


@lru_cache(LATEST)
def bold(markdown: str) -> int:
    parsed = MarkdownIt("commonmark").enable("table").parse(markdown)
    kinds = [child.type for token in parsed for child in token.children or ()]
    return kinds.count(BOLD[0])


@lru_cache(LATEST)
def skeleton(markdown: str) -> list[str]:
    """Returns the structure of a Markdown text, without its words."""
    parser = MarkdownIt("commonmark", {"html": True, "linkify": False}).enable(
        ["table", "strikethrough"]
    )
    kinds = []
    for token in parser.parse(markdown):
        kinds.append(token.type)
        inner = [child.type for child in token.children or ()]
        kinds += [kind for kind in inner if kind not in ("text", "code_inline", *BOLD)]
        kinds.append(f"code {inner.count('code_inline')}")
    return kinds


@cache
def harmless(way: str, length: int) -> dict[str, str]:
    """Returns the files of harmless texts; what a page repeats depends on their length."""
    return everything(WAYS[way](HARMLESS.ljust(length, "s")))


def test_text_is_planted_in_every_kind_of_field() -> None:
    _, places = planted(full_report(), HARMLESS)
    assert places >= {
        "Report.title", "Report.spec", "Report.warnings", "Part.title", "Part.not_run",
        "Part.result", "Section.title", "Section.clause", "Section.warnings",
        "Section.headline", "Section.card", "Heading.text", "Prose.text", "Bullets.items",
        "Code.code", "Strong.strong", "Table.title", "Table.rows", "Column.id", "Column.title",
        "Chart.title", "Chart.x_label", "Chart.y_label", "Chart.ticks", "Chart.note",
        "Series.name", "Strip.title", "Strip.data", "StripEnd.label", "TopImage.path",
        "NamedFigure.id", "NamedFigure.name", "NamedFigure.data", "NamedFigure.place",
        "NamedFigure.about", "NamedFact.id", "NamedFact.name", "NamedFact.value", "NamedSet.id",
        "NamedSet.name", "NamedSet.data", "NamedSet.place", "NamedSet.members", "NamedSet.basis",
        "Estimate.method", "NotRun.reason", "NotRun.remedy", "SetSummary.name", "Skipped.path",
        "Model.name", "Weights.source", "Preprocessing.source", "Doubt.case", "Doubt.data",
        "Doubt.sentence",
    }  # fmt: skip
    for id in PROBES:
        assert planted(_result(full_report(), id), HARMLESS)[1], id


BY_DAY = {(0, "results"), (1, "report"), (3, "report"), (9, "report"), (10, "results")}
CASES = [
    pytest.param(
        text, way, id=f"{number} {way}",
        marks=() if (number, way) in BY_DAY else pytest.mark.nightly,
    )
    for number, text in enumerate(HOSTILES)
    for way in WAYS
]  # fmt: skip


@pytest.mark.parametrize(("text", "way"), CASES)
def test_no_format_obeys_a_hostile_field(text: str, way: str) -> None:
    report, expected = WAYS[way](text), harmless(way, len(plain(text)))
    files = everything(report)
    assert set(files) == set(expected)
    for name, content in files.items():
        assert inert(content), name
        if name.endswith(".md"):
            assert skeleton(content) == skeleton(expected[name]), name
            assert bold(content) <= bold(expected[name]), name
        if name.endswith(".csv"):
            check_table(name, content, expected[name])
        if name.endswith((".svg", ".html")):
            assert elements(name, content) == elements(name, expected[name]), name
    starts = [
        [row[:1] == " " for row in item["summary"].splitlines()].count(False)
        for item in (files, expected)
    ]
    assert starts[0] == starts[1]  # no text begins a row of its own
    assert Report.parse(files["results.json"].encode(), "again") == report


@pytest.mark.parametrize("text", [*HOSTILES, "", "../x", "a/b", "A", "x" * 65])
def test_no_hostile_string_can_name_a_file_or_a_probe(text: str) -> None:
    line = Series(name="s", x=(0.0,), y=(0.0,))
    for make in (
        lambda: Table(id=text, columns=(), rows=()),
        lambda: Chart(id=text, title="", x_label="", y_label="", series=(line,)),
        lambda: Strip(id=text, title=(), data="d", ends=()),
        lambda: Part(probe=text, title="t"),
    ):
        with pytest.raises(ValidationError, match="pattern"):
            make()


@pytest.mark.parametrize("text", HOSTILES, ids=range(len(HOSTILES)))
def test_a_copied_command_is_one_command(text: str) -> None:
    spec = {"model": text, "data": text, "checkpoint": text}
    line = command_of(spec)
    assert inert(line)
    assert "\n" not in line
    words, expected = in_shell(line), in_shell(command_of(dict.fromkeys(spec, HARMLESS)))
    assert words[1::2] == expected[1::2]
    assert len(words) == len(expected)
    if "\0" not in text:
        assert words[2::2] == [text] * 3


def in_shell(line: str) -> list[str]:
    """Returns the arguments that a shell passes to the program, `--name=value` as two."""
    script = f"tuiprobe() {{ printf '%s\\0' \"$@\"; }}; {line}"
    done = subprocess.run(["bash", "-c", script], capture_output=True)
    assert done.stderr == b""
    words = done.stdout.decode("utf-8", "surrogateescape").removesuffix("\0").split("\0")
    pairs = (item.partition("=") if item.startswith("--") else (item, "", "") for item in words)
    return [part for name, sign, value in pairs for part in ([name, value] if sign else [name])]


def check_table(name: str, content: str, harmless: str) -> None:
    rows, expected = (list(csv.reader(io.StringIO(item))) for item in (content, harmless))
    assert [len(row) for row in rows] == [len(row) for row in expected], name
    for row in rows[1:]:
        for cell in row:
            number = re.fullmatch(r"-?[\d.]+(e[-+]?\d+)?", cell)
            assert number or not cell.lstrip().startswith(("=", "+", "-", "@")), (name, cell)


@lru_cache(LATEST)
def elements(name: str, content: str) -> list[tuple[str, tuple[str, ...]]]:
    """Returns elements with their attributes, but for those that the length of a name decides.

    Those are terms that are mentioned, places where a long name may break, the class of a long
    heading, and the slant of long names below an axis.
    """
    page = Page(content).tags
    if name.endswith(".svg"):
        page = [(item.tag, {**item.attrib}) for item in ElementTree.fromstring(content).iter()]
    links = [link for _, of in page for name in ("href", "src") if (link := of.get(name))]
    assert all(link.startswith(("#", "tables/", "data:image/jpeg;base64,")) for link in links), name
    return [
        (
            tag,
            tuple(
                sorted(attributes.keys() - {"transform"} - ({"class"} if tag == "th" else set()))
            ),
        )
        for tag, attributes in page
        if tag not in ("a", "wbr")
    ]


NAMES = [
    b"--fresh\n\x1b[31mb" + "\u202eb\u2066".encode() + b"$(touch x)`y`", b"\xff\xfe[bold red]x[",
    b"=1+1<script>alert(1)<script>", b"W" * 255,
]  # fmt: skip
COMMANDS = [
    *(f"report {{0}} --format {kind} --to -" for kind in ("json", "md", "html")),
    "report {1}", "report {missing}", "verify {0}", "label {0} {1}", "compare {0} {1}",
    "compare {0} {1} --json", "compare {0} {1} {2} {3}", "compare {3} {2} {1} --json",
    "runs --root {root}", "runs --root {root} --json",
]  # fmt: skip


def test_no_command_prints_a_hostile_field_or_name_of_a_directory_raw(tmp_path, capsys):
    written = in_report("".join(HOSTILES[:-1])).model_copy(update={"key": "cd" * 32})
    root = tmp_path / "runs"
    paths = [root / os.fsdecode(name) for name in NAMES]
    for run in map(RunDir, paths):
        run.key_file.write_text("cd" * 32)
        run.results_file.write_text(written.to_json())
        vouch(run)
    places = {"root": root, "missing": paths[0] / "gone"}
    for command in COMMANDS:
        code = run_cli([word.format(*paths, **places) for word in command.split()])
        message = capsys.readouterr()
        refused = "missing" in command or command.startswith(("label", "verify"))  # of no engine
        assert code == (4 if refused else 0), (command, message.err)
        assert inert(message.out + message.err), command
        if "json" in command:
            json.loads(message.out)
    assert not Path("x").exists()
