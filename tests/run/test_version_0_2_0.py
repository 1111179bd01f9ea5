"""A run directory that version 0.2.0 wrote: mini_clip on 30 images a set, a target and concepts.

It was made by the last commit before the changelog's next entries, in an empty folder, by
`tuiprobe --headless --sample 30 --top-k 1 --concept-sample 150 --batch-size 150`. Pictures, tables
and live files are left out.
"""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.run.test_earlier_version import same
from tuiprobe import __version__
from tuiprobe.answer import report
from tuiprobe.cli.app import run_cli
from tuiprobe.errors import RunError
from tuiprobe.files import DamagedFileError
from tuiprobe.measure.preview import preview
from tuiprobe.results import Report
from tuiprobe.results.base import RETIRED, Record
from tuiprobe.results.reproduce import provenance
from tuiprobe.run.directory import RunDir
from tuiprobe.run.records import changed_spec, read_spec
from tuiprobe.spec_commands import command_of

EARLIER = Path(__file__).with_name("version_0_2_0")
GONE_PARTS = frozenset({"population"})
"""Probes that 0.2.0 had and that are gone."""
OTHER_FIGURES = GONE_PARTS | {"targets"}
"""Its headline was the estimate as it stood, which is now scaled; its result is compared."""


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a copy that was answered again, whose spec names a bundle that is not there."""
    run = shutil.copytree(EARLIER, tmp_path_factory.mktemp("answered") / "run")
    rewrite(RunDir(run), bundle="/elsewhere/models.tar")
    assert run_cli(["verify", str(run)]) == 0
    assert run_cli(["reprobe", str(run)]) == 0
    return run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Returns a copy that a test may change."""
    return shutil.copytree(EARLIER, tmp_path / "run")


def rewrite(directory: RunDir, **changes: object) -> None:
    """Writes other fields into the spec of a run; its checksum stays the last one."""
    fields = json.loads(directory.spec_file.read_bytes(2**16))
    checksum = {"sha256": fields.pop("sha256")}
    directory.spec_file.write_json(fields | changes | checksum)


def figures(report: Report) -> dict[str, Any]:
    """Returns the figures of a report by part, id, set and place."""
    return {
        f"{part.probe} {figure.id} {figure.data} {figure.place}": figure.figure.model_dump()
        for part in report.parts
        for figure in part.figures
        if part.probe not in OTHER_FIGURES
    }


def test_it_is_read_reported_and_compared_with_itself_in_pairs(run, tmp_path, capsys):
    report = Report.read(EARLIER / "results.json")
    assert report.tuiprobe == "0.2.0"
    assert {part.probe for part in report.parts if part.result is None} == {"forecast"}
    assert len(report.parts) == 12
    for form in ("html", "md", "csv", "json"):
        command = ["report", str(run), "--format", form, "--to", str(tmp_path / form)]
        assert run_cli(command) == 0
    capsys.readouterr()
    assert run_cli(["compare", str(EARLIER), str(run), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["comparisons"][0]["differences"]
    assert len(rows) > 400
    assert {row["difference"]["value"] for row in rows if "value" in row["difference"]} == {0.0}
    assert any(row["paired"] for row in rows)


def test_it_is_verified_as_written_answered_again_and_damaged(answered, run, capsys):
    assert run_cli(["verify", str(EARLIER)]) == 0
    out = capsys.readouterr().out
    assert "not covered  manifest.json: `tuiprobe reprobe` writes one" in out
    assert "whole        statistics.safetensors" in out
    assert run_cli(["verify", str(answered)]) == 0
    assert "not covered" not in capsys.readouterr().out
    content = bytearray((run / "shards/val-00000.safetensors").read_bytes())
    content[-1] ^= 1
    (run / "shards/val-00000.safetensors").write_bytes(content)
    assert run_cli(["verify", str(run)]) == 4
    assert "damaged      shards/val-*: 1 of 1" in capsys.readouterr().out


def test_going_on_with_it_is_refused_and_leaves_it_untouched(run, capsys):
    command = "--headless --sample 30 --top-k 1 --concept-sample 150 --batch-size 150 --output"
    for gone in ((), ("results.json", "measured.json", "statistics.safetensors")):
        for name in gone:
            (run / name).unlink()
        before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
        assert run_cli([*command.split(), str(run)]) == 4
        err = capsys.readouterr().err
        assert "began" in err
        assert "tuiprobe 0.2.0" in err
        assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    result = preview(["mini_clip"], {"data": "miniature", "sample": 30}, EARLIER)
    assert "a run of tuiprobe 0.2.0 or earlier" in result.kept
    assert result.done == 0


def stopped(*_: object) -> None:
    raise RunError("the disk is full")


def test_it_is_listed_and_a_stopped_reprobe_can_be_repeated(run, monkeypatch, capsys):
    assert run_cli(["runs", "--root", str(run.parent), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"][0]["state"] == "done"
    with monkeypatch.context() as patch:
        patch.setattr(report, "write_results", stopped)
        assert run_cli(["reprobe", str(run), "--concept-share", "0.02"]) == 5
    assert run_cli(["report", str(run)]) == 4
    assert f"run `tuiprobe reprobe {run}` again" in capsys.readouterr().err
    assert run_cli(["reprobe", str(run)]) == 0
    assert run_cli(["verify", str(run)]) == 0
    assert Report.read(run / "results.json").spec["concept_share"] == 0.02


def test_reprobe_answers_with_the_figures_it_had(answered: Path) -> None:
    earlier, report = (Report.read(path / "results.json") for path in (EARLIER, answered))
    assert (report.key, report.probe_key) == (earlier.key, earlier.probe_key)
    same(figures(report), figures(earlier))
    for part in earlier.parts:
        now = report.part_of(part.probe)
        if part.probe not in GONE_PARTS:
            assert now is not None
            same(now.result, part.result)
            same(
                [fact.model_dump() for fact in now.facts],
                [fact.model_dump() for fact in part.facts],
            )
            same(
                [record.model_dump() for record in now.sets],
                [record.model_dump() for record in part.sets],
            )


def test_every_form_of_a_report_says_when_it_was_measured_and_reprobed(
    answered: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    measured = "Measured 2026-11-28 with tuiprobe 0.2.0"
    earlier, report = (Report.read(path / "results.json").timings for path in (EARLIER, answered))
    again = {"measured_by": "0.2.0", "reprobed": report.reprobed}
    assert report == earlier.model_copy(update=again)
    words = f"{measured}, reprobed {today} with tuiprobe {__version__}"
    assert provenance(Report.read(answered / "results.json")) == words
    capsys.readouterr()
    assert run_cli(["report", str(answered), "--format", "card", "--to", "-"]) == 0
    assert run_cli(["report", str(answered)]) == 0
    out = capsys.readouterr().out
    assert words in out
    assert "\nMeasured     2026-11-28 with tuiprobe 0.2.0, reprobed " in out
    for name in ("report.html", "report.md"):
        assert words in (answered / name).read_text("utf-8")
    for form in ("--html", "--json", "--all"):
        assert run_cli(["compare", str(answered), str(EARLIER), form]) == 0
        captured = " ".join(capsys.readouterr().out.split())
        assert f"{words}: mini_clip (" in captured
        assert f"{measured}: mini_clip (" in captured


def test_retired_options_are_dropped_and_other_unknown_ones_refused(run, monkeypatch):
    monkeypatch.setitem(RETIRED, "RunSpec", frozenset({"bundle", "lamp", "model"}))
    directory = RunDir(run)
    for bundle in (None, "/elsewhere/models.tar"):  # whose weights are those of a cache
        rewrite(directory, bundle=bundle)
        assert read_spec(directory).model == "mini_clip"
        assert "--sample 30" in command_of(directory.spec_json())
    rewrite(directory, lamp="green")
    assert read_spec(directory).model == "mini_clip"  # a field that a model has is no retired one
    assert "lamp" not in changed_spec(directory, {"concept_share": 0.02}).to_json()
    rewrite(directory, light="green")
    with pytest.raises(DamagedFileError, match="Unexpected keyword argument"):
        read_spec(directory)


def test_retired_fields_of_a_report_are_dropped_and_other_unknown_ones_refused(monkeypatch):
    monkeypatch.setitem(RETIRED, "Figure", frozenset({"lamp"}))

    class Figure(Record):
        value: float

    assert Figure.model_validate({"value": 1.0, "lamp": 2}).value == 1.0
    with pytest.raises(ValidationError, match="fields that are not known"):
        Figure.model_validate({"value": 1.0, "light": 2})
