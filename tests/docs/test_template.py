"""The probe that CONTRIBUTING.md shows: it is built as it stands, and answers a run."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tuiprobe.inside
import tuiprobe.probes
from tests.docs.blocks import ROOT, blocks
from tuiprobe import plugins
from tuiprobe.choose.comparing.differences import compare
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.options import PROBE_GROUP
from tuiprobe.probes import BUILT_IN, BuiltIn, registry
from tuiprobe.probes.hooks import HOOKS
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import Report
from tuiprobe.show.cli.app import run_cli
from tuiprobe.show.tui.screens.results import parts_by_tab

LINE = BuiltIn("Lengths", "tuiprobe.inside.lengths:Lengths")


@pytest.fixture
def template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the file of the template, once it and its line are there."""
    page = ROOT / "CONTRIBUTING.md"
    assert f'`"lengths": BuiltIn("{LINE.title}", "{LINE.import_path}"),`' in page.read_text("utf-8")
    (text,) = (block.text for block in blocks(page) if block.language == "py")
    file = tmp_path / "inside/lengths/__init__.py"
    file.parent.mkdir(parents=True)
    file.write_text(text, "utf-8")
    monkeypatch.setattr(
        tuiprobe.inside, "__path__", [*tuiprobe.inside.__path__, str(tmp_path / "inside")]
    )
    monkeypatch.setitem(BUILT_IN, "lengths", LINE)
    paths = {id: probe.import_path for id, probe in BUILT_IN.items()}
    monkeypatch.setattr(
        tuiprobe.probes, "PROBES", plugins.Registry(PROBE_GROUP, "probe", type, paths)
    )
    registry.cache_clear()
    return file


def test_the_template_answers_a_run_and_is_announced(template, runs_on_targets, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(runs_on_targets / "runs/mini_clip_soft", run)
    try:
        assert run_cli(["reprobe", str(run)]) == 0
        assert HOOKS.announced()[len(BUILT_IN) - 1].title == "Lengths"
    finally:
        registry.cache_clear()
        for name in [name for name in sys.modules if name.startswith("tuiprobe.inside.lengths")]:
            del sys.modules[name]
    report = Report.read(RunDir(run).results_file.path)
    part = report.part_of("lengths")
    assert part.section is not None
    (figure,) = part.figures
    features = RunReader(RunDir(run)).features("val")["features"]
    assert figure.figure.value == pytest.approx(np.linalg.norm(features, axis=1).mean(), rel=1e-5)
    assert (figure.id, figure.data, figure.place) == ("length", "val", "lengths")
    assert "Lengths" in (run / "report.md").read_text("utf-8")
    assert part in parts_by_tab(report)["inside"]
    compared = compare(report, report)
    assert "length" in {row.id for row in compared.differences}


def test_the_template_is_short_and_passes_the_linter(template: Path) -> None:
    assert len(template.read_text("utf-8").splitlines()) <= 41
    pytest.importorskip("ruff", reason="run by .ci/lint, which installs it")
    ruff = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "-q",
        "--ignore=I001",
        "--extend-select=ANN",  # as mypy asks
        f"--config={ROOT / 'pyproject.toml'}",
    ]
    done = subprocess.run([*ruff, template], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
