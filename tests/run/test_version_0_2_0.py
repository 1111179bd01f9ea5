"""A run directory that version 0.2.0 wrote: mini_clip on 30 images a set, a target and concepts.

It was made by the last commit before the changelog's next entries, in an empty folder, by
`tuiprobe --headless --sample 30 --top-k 1 --concept-sample 150 --batch-size 150`. Pictures, tables
and live files are left out.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.run.test_earlier_version import same
from tuiprobe.answer import report
from tuiprobe.cli.app import run_cli
from tuiprobe.errors import RunError
from tuiprobe.files import DamagedFileError
from tuiprobe.measure.preview import preview
from tuiprobe.results import Report
from tuiprobe.results.base import RETIRED, Record
from tuiprobe.run.directory import RunDir
from tuiprobe.run.records import changed_spec, read_spec
from tuiprobe.spec import command_of

EARLIER = Path(__file__).with_name("version_0_2_0")
GONE_PARTS = frozenset({"population"})
"""Probes that 0.2.0 had and that are gone."""

Run = Callable[..., int]


@pytest.fixture(scope="module")
def written() -> Path:
    """Returns the run as it was written; tests read it only."""
    return EARLIER


@pytest.fixture(scope="module")
def answered(written: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a copy that was answered again, whose spec names a bundle that is not there."""
    run = shutil.copytree(written, tmp_path_factory.mktemp("answered") / "run")
    rewrite(RunDir(run), bundle="/elsewhere/models.tar")
    assert run_cli(["verify", str(run)]) == 0
    assert run_cli(["reprobe", str(run)]) == 0
    return run


@pytest.fixture
def run(written: Path, tmp_path: Path) -> Path:
    """Returns a copy that a test may change."""
    return shutil.copytree(written, tmp_path / "run")


def rewrite(directory: RunDir, **changes: object) -> None:
    """Writes other fields into the spec of a run; its checksum stays the last one."""
    fields = json.loads(directory.spec_file.read_bytes(2**16))
    checksum = {"sha256": fields.pop("sha256")}
    directory.spec_file.write_json(fields | changes | checksum)


def figures(report: Report) -> dict[str, Any]:
    """Returns the figures of a report by part, id, set and place."""
    return {
        f"{part.probe} {one.id} {one.data} {one.place}": one.figure.model_dump()
        for part in report.parts
        for one in part.figures
        if part.probe not in GONE_PARTS
    }


def test_it_opens_with_every_part_that_0_2_0_answered(written: Path) -> None:
    report = Report.read(written / "results.json")
    assert report.tuiprobe == "0.2.0"
    assert {part.probe for part in report.parts if part.result is None} == {"forecast"}
    assert len(report.parts) == 12


@pytest.mark.parametrize("form", ["html", "md", "csv", "json"])
def test_it_is_reported(form: str, run: Path, tmp_path: Path) -> None:
    assert run_cli(["report", str(run), "--format", form, "--to", str(tmp_path / "out")]) == 0


def test_it_is_compared_with_itself_in_pairs(
    written: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(["compare", str(written), str(run), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["comparisons"][0]["differences"]
    assert len(rows) > 400
    assert {row["difference"]["value"] for row in rows if "value" in row["difference"]} == {0.0}
    assert any(row["paired"] for row in rows)


def test_it_is_verified_as_written_and_when_it_was_answered_again(
    written: Path, answered: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(["verify", str(written)]) == 0
    said = capsys.readouterr().out
    assert "not covered  manifest.json: `tuiprobe reprobe` writes one" in said
    assert "whole        statistics.safetensors" in said
    assert run_cli(["verify", str(answered)]) == 0
    assert "not covered" not in capsys.readouterr().out


def test_its_arrays_are_compared_with_their_checksum(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytearray((run / "shards/val-00000.safetensors").read_bytes())
    content[-1] ^= 1
    (run / "shards/val-00000.safetensors").write_bytes(content)
    assert run_cli(["verify", str(run)]) == 4
    assert "damaged      shards/val-*: 1 of 1" in capsys.readouterr().out


@pytest.mark.parametrize("finished", [True, False])
def test_going_on_with_it_is_refused_and_leaves_it_untouched(
    finished: bool, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not finished:
        for name in ("results.json", "measured.json", "statistics.safetensors"):
            (run / name).unlink()
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    command = "--headless --sample 30 --top-k 1 --concept-sample 150 --batch-size 150 --output"
    assert run_cli([*command.split(), str(run)]) == 4
    said = capsys.readouterr().err
    assert "began" in said
    assert "tuiprobe 0.2.0" in said
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_the_setup_says_that_it_cannot_go_on(written: Path) -> None:
    found = preview(["mini_clip"], {"data": "miniature", "sample": 30}, {}, written)
    assert "a run of tuiprobe 0.2.0 or earlier" in found.kept
    assert found.done == 0


def stopped(*_: object) -> None:
    raise RunError("the disk is full")


def test_it_is_listed_and_a_stopped_reprobe_can_be_repeated(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
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


def test_reprobe_answers_with_the_figures_it_had(written: Path, answered: Path) -> None:
    earlier, report = (Report.read(one / "results.json") for one in (written, answered))
    assert (report.key, report.probe_key) == (earlier.key, earlier.probe_key)
    same(figures(report), figures(earlier))
    for part in earlier.parts:
        now = report.part_of(part.probe)
        if part.probe not in GONE_PARTS:
            assert now is not None
            same(now.result, part.result)
            same([one.model_dump() for one in now.facts], [one.model_dump() for one in part.facts])
            same([one.model_dump() for one in now.sets], [one.model_dump() for one in part.sets])


@pytest.mark.parametrize("bundle", [None, "/elsewhere/models.tar"])
def test_a_bundle_in_its_spec_is_data(bundle: str | None, run: Path) -> None:
    """Weights of a bundle are those of a cache, so no figure depends on where they came from."""
    directory = RunDir(run)
    rewrite(directory, bundle=bundle)
    assert read_spec(directory).model == "mini_clip"
    assert "--sample 30" in command_of(directory.spec_json())


def test_retired_options_are_dropped_and_other_unknown_ones_refused(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RETIRED, "RunSpec", frozenset({"bundle", "lamp", "model"}))
    directory = RunDir(run)
    rewrite(directory, lamp="green")
    assert read_spec(directory).model == "mini_clip"  # a field that a model has is no retired one
    assert "lamp" not in changed_spec(directory, {"concept_share": 0.02}).to_json()
    rewrite(directory, light="green")
    with pytest.raises(DamagedFileError, match="Unexpected keyword argument"):
        read_spec(directory)


def test_retired_fields_of_a_report_are_dropped_and_other_unknown_ones_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(RETIRED, "Figure", frozenset({"lamp"}))

    class Figure(Record):
        value: float

    assert Figure.model_validate({"value": 1.0, "lamp": 2}).value == 1.0
    with pytest.raises(ValidationError, match="fields that are not known"):
        Figure.model_validate({"value": 1.0, "light": 2})
