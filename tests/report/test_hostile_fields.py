"""A hostile string in every text field of a report: nothing written or printed obeys it."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt
from pydantic import BaseModel, ValidationError

from tests.report.samples import estimate, outliers
from tests.report.samples_head import head_report
from tuiprobe.cli.app import run_cli
from tuiprobe.compare.differences import compare, comparison_markdown
from tuiprobe.compare.side_by_side import side_by_side
from tuiprobe.probes.population.result import Population, Reference
from tuiprobe.probes.robustness.result import Accuracy, BaselineNotRun, OwnNames
from tuiprobe.report.formats import FORMATS, files_of
from tuiprobe.report.summary import summary
from tuiprobe.results import NotRun, Skipped
from tuiprobe.results.preflight import PreflightCheck
from tuiprobe.results.report import NotRunPart, Report
from tuiprobe.run.directory import RunDir

HARMLESS = "harmless"
HOSTILES = [
    "=1+1|<b>x</b>`*_y_*[a](http://e.example)\n# h\n\n- i",
    "\x1b[31m\u202eb\x85\x9b2J\u200f\u2066\x00\x7f",
    r"\input{/etc/passwd}^^5cinput $x$ %_#&~",
    "@x\r\n|---|\n<script>alert(1)</script> www.e.example ~~x~~ ![i](x)",
    "\t+1\t-2",
    "``` \n```",
]


def full_report() -> Report:
    """Returns a report in which every field that may hold text does."""
    whole = head_report()
    reference = Reference(
        model="m", architecture="a", weights="pretrained", data="d", n=3, width=8,
        kurtosis=estimate(3, 1), persistence=NotRun(reason="r"),
    )  # fmt: skip
    accuracy = Accuracy(
        data="v2", shift="imagenet_v2", images=3, classes=2, top1=estimate(0.5, 0.1),
        top5=NotRun(reason="r"), id_own_classes=NotRun(reason="r"),
    )  # fmt: skip
    robustness = whole.robustness
    assert robustness is not None
    robustness = robustness.model_copy(
        update={
            "not_run": (BaselineNotRun(baseline="b", target=("t",), axis="x", reason="r"),),
            "own_names": (
                OwnNames(data="r", head="h", accuracy=accuracy),
                OwnNames(data="s", head="h", accuracy=NotRun(reason="r")),
            ),
        }
    )
    data = tuple(
        one.model_copy(update={"skipped": (Skipped(path="p", reason="r"),)}) for one in whole.data
    )
    return whole.model_copy(
        update={
            "population": Population(untrained=reference, filed=(reference,)),
            "preflight": tuple(
                PreflightCheck(name="n", status=status, detail="d", fix="f", data="val")
                for status in ("pass", "warn", "fail", "skip")
            ),
            "robustness": robustness,
            "data": data,
            "not_run": (NotRunPart(part="p", reason="r"),),
            "warnings": ("w",),
            "outliers": (*whole.outliers, outliers(tap="layer1", final=False)),
        }
    )


def planted(text: str) -> tuple[Report, set[str]]:
    """Returns the report with ``text`` in every field that takes any, and these fields' names."""
    places: set[str] = set()

    def plant(value: Any) -> Any:
        if isinstance(value, BaseModel):
            return planted_model(value)
        if isinstance(value, tuple):
            return tuple(plant(one) for one in value)
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

    found = planted_model(full_report())
    assert isinstance(found, Report)
    return Report.parse(found.to_json().encode(), "planted"), places


def everything(report: Report) -> dict[str, str]:
    other = report.model_copy(update={"outliers": report.outliers[:1]})
    return {
        **files_of(report, None, list(FORMATS)),
        "summary": summary(report),
        "comparison.md": comparison_markdown(compare(report, other)),
        "side_by_side.md": side_by_side([report, other]),
    }


def inert(text: str) -> bool:
    bad = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return all(unicodedata.category(letter) not in bad for letter in set(text) - {"\n"})


def skeleton(markdown: str) -> list[str]:
    """Returns what a Markdown text is made of, without its words."""
    parser = MarkdownIt("commonmark", {"html": True, "linkify": False}).enable(
        ["table", "strikethrough"]
    )
    found = []
    for token in parser.parse(markdown):
        found.append(token.type)
        inner = [child.type for child in token.children or ()]
        found += [kind for kind in inner if kind not in ("text", "code_inline")]
        found.append(f"code {inner.count('code_inline')}")
    return found


@pytest.fixture(scope="module")
def harmless() -> dict[str, str]:
    return everything(planted(HARMLESS)[0])


def test_the_report_plants_in_every_kind_of_text_field() -> None:
    _, places = planted(HARMLESS)
    assert len(places) >= 60, places
    assert {"EffectiveRobustness.axis", "Estimate.method", "Report.spec", "TopImage.path"} <= places


@pytest.mark.parametrize("text", HOSTILES, ids=range(len(HOSTILES)))
def test_no_format_obeys_a_hostile_field(text: str, harmless: dict[str, str]) -> None:
    report, _ = planted(text)
    found = everything(report)
    assert set(found) == set(harmless)
    for name, content in found.items():
        assert inert(content), name
        if name.endswith(".md"):
            assert skeleton(content) == skeleton(harmless[name]), name
        if name.endswith(".csv"):
            check_table(name, content, harmless[name])
        if name.endswith((".svg", ".html")):
            assert elements(name, content) == elements(name, harmless[name]), name
        if name.endswith(".tex"):
            known = set(re.findall(r"\\[a-zA-Z]+", harmless[name]))
            known |= {
                r"\textbackslash", r"\textasciicircum", r"\textasciitilde", r"\textless",
                r"\textgreater", r"\textbar", r"\textquotedbl", r"\textasciigrave",
            }  # fmt: skip
            code = "\n".join(li for li in content.splitlines() if not li.startswith("%"))
            assert set(re.findall(r"\\[a-zA-Z]+", code)) <= known
            assert len(content.splitlines()) == len(harmless[name].splitlines())
    assert Report.parse(found["results.json"].encode(), "again") == report


def check_table(name: str, content: str, harmless: str) -> None:
    rows, expected = (list(csv.reader(io.StringIO(one))) for one in (content, harmless))
    assert [len(row) for row in rows] == [len(row) for row in expected], name
    for row in rows[1:]:
        for cell in row:
            number = re.fullmatch(r"-?[\d.]+(e[-+]?\d+)?", cell)
            assert number or not cell.lstrip().startswith(("=", "+", "-", "@")), (name, cell)


def elements(name: str, content: str) -> list[tuple[str, tuple[str, ...]]]:
    if name.endswith(".html"):
        tags = re.findall(r"<(/?[a-zA-Z!][a-zA-Z0-9]*)", content)
        return [(tag, ()) for tag in tags]
    return [(one.tag, tuple(sorted(one.attrib))) for one in ElementTree.fromstring(content).iter()]


@pytest.mark.parametrize("text", HOSTILES, ids=range(len(HOSTILES)))
def test_no_command_prints_a_hostile_field_raw(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        run = RunDir(tmp_path / "runs" / name)
        run.key_file.write_text("a" * 64)
        run.results_file.write_text(planted(text)[0].to_json())
    first, second = str(tmp_path / "runs/a"), str(tmp_path / "runs/b")
    root = str(tmp_path / "runs")
    for arguments in (
        ["report", first, "--format", "json", "--to", "-"],
        ["report", first, "--format", "md", "--to", "-"],
        ["report", first, "--format", "html", "--to", "-"],
        ["report", first, "--format", "tex", "--to", "-"],
        ["report", first],
        ["compare", first, second],
        ["compare", first, second, "--json"],
        ["runs", "--root", root],
        ["runs", "--root", root, "--json"],
        ["runs", "--root", root, "--correlate"],
        ["runs", "--root", root, "--correlate", "--json"],
    ):
        assert run_cli(arguments) == 0, arguments
        said = capsys.readouterr()
        assert inert(said.out + said.err), arguments
        if "--json" in arguments or "json" in arguments:
            json.loads(said.out)
