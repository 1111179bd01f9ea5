"""A directory of another version ends every command in one sentence, and stays as it is."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.measure.engine.fake_run import FakeSet, write_run
from tuiprobe.measure.run.manifest import read_manifest, write_manifest
from tuiprobe.measure.run.records import (
    FileRecord,
    Measured,
    MeasuredRecord,
    PlanRecord,
    SetRecord,
    TapRecord,
)
from tuiprobe.measure.run.results import write_results
from tuiprobe.probes.report import make_report
from tuiprobe.results.subject import StoredFile


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    run = write_run(tmp_path_factory.mktemp("version") / "run", {"val": FakeSet(rows, None)}, None)
    write_results(run, make_report(run))
    return run.path


def rewritten(run: Path, name: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes a record as another version would have written it, with a manifest that fits."""
    value = json.loads((run / name).read_text("utf-8"))
    change(value)
    content = json.dumps(value).encode()
    (run / name).write_bytes(content)
    manifest = read_manifest(run)
    assert manifest is not None
    write_manifest(run, {**manifest, name: hashlib.sha256(content).hexdigest()})


CHANGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "results.json": lambda value: value.update(schema_version=1),
    "plan.json": lambda value: value.update(leases=[]),
    "spec.json": lambda value: value.update(bundle="models.tar"),
    "measured.json": lambda value: value.pop("sets"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_it_is_refused_in_one_sentence_and_left_untouched(name, finished, tmp_path, program):
    run = shutil.copytree(finished, tmp_path / "run")
    rewritten(run, name, CHANGES[name])
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    reading = name == "results.json"
    commands = [["report"], ["compare", str(finished)]] if reading else [["reprobe"]]
    for command in commands:
        err = program(*command, str(run), code=4).err
        assert err.startswith(f"error: {run / name} ")
        assert err.count("\n") == 1
    assert {path: path.read_bytes() for path in before} == before
    assert program("runs", "--json", "--root", str(run.parent)).json["runs"][0]["name"] == "run"


def test_the_fields_of_records_change_with_the_version() -> None:
    kinds = (PlanRecord, SetRecord, TapRecord, FileRecord, StoredFile, Measured, MeasuredRecord)
    fields = json.dumps({kind.__name__: sorted(kind.model_fields) for kind in kinds})
    digest = hashlib.sha256(fields.encode()).hexdigest()
    assert digest[:16] == "c51f51c045d868e2", (
        "runs of this version are refused: raise the version, then renew this"
    )
