"""`tuiprobe report` in every format."""

import json

import pytest

from tests.report.samples import report
from tuiprobe.answer.schema import json_schema
from tuiprobe.cli.app import run_cli
from tuiprobe.run.directory import RunDir


@pytest.fixture
def run(tmp_path):
    run = RunDir(tmp_path / "run")
    run.results_file.write_text(report().to_json())
    return run.path


def test_by_default_all_reports_are_written_beside_the_results(run, capsys):
    assert run_cli(["report", str(run)]) == 0
    assert "Kurtosis" in capsys.readouterr().out
    for name in ("report.html", "report.md", "tables/figures.csv", "figures/shares.svg"):
        assert (run / name).is_file()


def test_formats_go_where_they_are_asked_to(run, tmp_path, capsys):
    to = tmp_path / "out"
    assert (
        run_cli(["report", str(run), "--format", "tex", "--format", "html", "--to", str(to)]) == 0
    )
    assert capsys.readouterr().out.splitlines() == [str(to / "report.tex"), str(to / "report.html")]
    assert sorted(path.name for path in to.iterdir()) == ["report.html", "report.tex"]


def test_one_file_can_be_printed(run, capsys):
    assert run_cli(["report", str(run), "--format", "json", "--to", "-"]) == 0
    assert capsys.readouterr().out == report().to_json()
    assert run_cli(["report", str(run), "--format", "csv", "--to", "-"]) == 2
    assert run_cli(["report", str(run), "--format", "pdf"]) == 2
    assert run_cli(["report"]) == 2


def test_the_schema_can_be_printed(capsys):
    assert run_cli(["report", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json_schema()
