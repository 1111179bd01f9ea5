"""`tuiprobe report` in every format."""

import errno
import os
from pathlib import Path

import pytest

from tests.show.report.samples import report
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.results import write_results
from tuiprobe.show.cli.app import run_cli
from tuiprobe.show.report.formats import RENDERED, json_schema
from tuiprobe.show.report.markdown import markdown
from tuiprobe.show.report.terminal import summary


@pytest.fixture
def run(tmp_path):
    run = RunDir(tmp_path / "run")
    write_results(run, report())
    return run.path


def test_what_is_there_is_replaced_only_when_asked(run, tmp_path, program):
    to = tmp_path / "out"
    to.mkdir()
    (to / "report.html").write_text("mine")
    arguments = ["report", str(run), "--format", "html", "--format", "md", "--to", str(to)]
    err = program(*arguments, code=2).err
    assert f"{to / 'report.html'} would be replaced; --replace allows it" in err
    assert [path.name for path in to.iterdir()] == ["report.html"]
    assert (to / "report.html").read_text() == "mine"
    assert run_cli([*arguments, "--replace"]) == 0
    assert (to / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert run_cli(arguments) == 0  # the same content replaces nothing
    (tmp_path / "file").write_text("mine")
    printed = program("report", str(run), "--to", str(tmp_path / "file"), "--replace", code=2).err
    assert "it is a file, not a directory" in printed
    assert (tmp_path / "file").read_text() == "mine"


def test_a_file_is_no_folder_to_write_to(run, tmp_path, capsys):
    for name in ("x.html", "x.md", "x.json"):
        assert run_cli(["report", str(run), "--to", str(tmp_path / name)]) == 2
        assert not (tmp_path / name).exists()
    assert "--format json --to - > " in capsys.readouterr().err
    (tmp_path / "v1.html").mkdir()
    assert run_cli(["report", str(run), "--to", str(tmp_path / "v1.html")]) == 0


def test_a_full_disk_is_told_in_one_sentence(run, tmp_path, capsys, monkeypatch):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    code = run_cli(["report", str(run), "--format", "md", "--to", str(tmp_path / "out")])
    monkeypatch.undo()
    message = capsys.readouterr().err
    assert code not in (0, 2)
    assert "No space left on device" in message
    assert "Traceback" not in message
    assert not (tmp_path / "out" / "report.md").exists()


def test_reports_for_elsewhere_hold_no_pictures(run, tmp_path, program):
    folder = run / "thumbs" / "val"
    folder.mkdir(parents=True)
    (folder / "3.jpg").write_bytes(b"\xff\xd8\xffpicture")
    assert run_cli(["report", str(run), "--to", str(tmp_path / "all")]) == 0
    assert "data:image/jpeg" in (tmp_path / "all" / "report.html").read_text()
    to = tmp_path / "private"
    every = [word for name in RENDERED for word in ("--format", name)]
    assert run_cli(["report", str(run), *every, "--no-pictures", "--to", str(to)]) == 0
    files = [path for path in to.rglob("*") if path.is_file()]
    assert {"report.html", "report.md", "results.json"} <= {path.name for path in files}
    assert not [path for path in files if "data:image" in path.read_text("utf-8")]
    assert "--to" in program("report", str(run), "--no-pictures", code=2).err


def test_formats_go_where_they_are_asked_to(run, tmp_path, program):
    assert program("report", str(run)).out == summary(report(), str(run))  # beside the results
    assert (run / "report.md").read_text("utf-8") == markdown(report())
    for name in ("report.html", "tables/figures.csv", "figures/heights.svg"):
        assert (run / name).is_file()
    results, to = (run / "results.json").stat(), tmp_path / "out"
    every = [word for name in RENDERED for word in ("--format", name)]
    written = program("report", str(run), *every, "--to", str(tmp_path / "all")).out.splitlines()
    assert program("report", str(run), *every, "--to", str(run)).out
    assert (run / "results.json").stat().st_ino == results.st_ino  # not written again
    assert {"report.html", "report.md", "figures.csv", "heights.svg", "results.json"} <= {
        Path(file).name for file in written
    }
    assert all(Path(file).is_file() for file in written)
    out = program("report", str(run), "--format", "md", "--format", "html", "--to", str(to)).out
    assert out.splitlines() == [str(to / "report.md"), str(to / "report.html")]
    assert sorted(path.name for path in to.iterdir()) == ["report.html", "report.md"]
    assert program("report", str(run), "--format", "json", "--to", "-").out == report().to_json()
    assert program("report", "--schema").json == json_schema()
    assert run_cli(["report", str(run), "--format", "csv", "--to", "-"]) == 2
    assert "html, md" in program("report", str(run), "--format", "pdf", code=2).err
    (run / "results.json").write_text(report().to_json().replace('"title"', '"headline"'))
    assert "tuiprobe reprobe" in program("report", str(run), code=4).err
