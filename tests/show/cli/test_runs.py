"""`tuiprobe runs` and the list behind it, on small run directories with hostile names."""

import fcntl
import json
import os
import re
import shutil

import pytest

from tests.measure.engine.fake_run import vouch
from tests.show.report.samples import estimate, outliers, report
from tests.show.report.strangers import strange_report
from tests.show.report.test_hostile_fields import full_report
from tuiprobe.files import DamagedFileError
from tuiprobe.measure.run import results
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.listing import list_runs
from tuiprobe.measure.run.locks import held_locks, is_running
from tuiprobe.measure.run.results import write_results
from tuiprobe.results import NotRun
from tuiprobe.results.doubt import Doubt, ordered
from tuiprobe.show.cli.app import run_cli
from tuiprobe.show.report import read_report

EVIL = "[red]a\u202eb"


def make(root, name, result=None, key="cd" * 32):
    run = RunDir(root / name)
    run.key_file.write_text(key + "\n")
    run.spec_file.write_json({"model": EVIL, "data": "miniature"})
    if result is not None:
        write_results(run, result)
    return run


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "runs"
    make(root, "first", report())
    make(root, "group/second", report(outliers=(outliers(kurtosis=estimate(4.0, 0.2)),)))
    make(root, "half", report(partial=True))
    make(root, EVIL)
    (root / "no run").mkdir()
    for number, name in enumerate(("half", "group/second", "first")):
        os.utime(root / name / "results.json", (1000 + number, 1000 + number))
    os.utime(root / EVIL / "key", (1, 1))
    return root


def by_name(root):
    return {row.name: row for row in list_runs(root)}


def test_a_folder_without_runs_is_no_mistake(tmp_path, monkeypatch, program):
    monkeypatch.chdir(tmp_path)
    assert "`--root .`" in program("runs", ".").err
    assert program("runs", "--json").json["runs"] == []
    assert "Traceback" in program("runs", "--root", "elsewhere", "--debug", code=2).err
    (tmp_path / "runs").write_text("")
    assert run_cli(["runs"]) == 2


def test_figures_in_doubt_are_listed_with_the_doubt_until_it_is_overruled(root, program):
    doubts = tuple(Doubt(id=name, sentence="no", withholds=True) for name in ("at-chance", "slip"))
    for trust in ((), ("slip",), ("slip", "at-chance")):
        left = [doubt.id for doubt in doubts if doubt.id not in trust]
        write_results(RunDir(root / "first"), report(doubts=ordered(doubts, trust)))
        printed = program("runs", "--root", str(root), "first").out
        assert [doubt.id for doubt in doubts if doubt.id in printed] == left
        printed = program("runs", "--root", str(root), "first", "--json").json
        assert printed["runs"][0]["doubts"] == left


@pytest.mark.parametrize("edit", ["a figure", "no manifest", "a figure, restored time"])
def test_edited_results_are_refused_by_the_list_as_by_every_reader(root, edit, capsys):
    run = RunDir(root / "first")
    file, written = run.results_file, run.results_file.modified() or 0
    text = file.read_text().replace("22.0 % of the energy", "99.0 % of the energy")
    assert text != file.read_text()
    if edit == "no manifest":
        run.at("manifest.json").unlink()
    file.path.write_text(text)
    if "restored" in edit:
        os.utime(file.path, ns=(written, written))
    assert by_name(root)["first"].state == "damaged"
    assert isinstance(by_name(root)["first"].summary.kurtosis, NotRun)
    with pytest.raises(DamagedFileError, match=r"checksum|no manifest"):
        read_report(run)
    assert run_cli(["verify", str(run.path)]) != 0
    assert "results.json" in capsys.readouterr().out


def test_a_row_comes_from_the_summary_or_from_results_without_one(root, monkeypatch):
    run = RunDir(root / "first")
    write_results(run, report())
    with monkeypatch.context() as patch:
        patch.setattr(results, "read_results", None)
        assert results.summary(run).kurtosis == outliers().kurtosis
    run.summary_file.unlink()
    assert by_name(root)["first"].summary.kurtosis == outliers().kurtosis
    other = report(outliers=(outliers(kurtosis=estimate(4.0, 0.2)),))
    write_results(run, other)
    assert by_name(root)["first"].summary.kurtosis.value == 4.0


@pytest.mark.parametrize("kind", ["altered", "no summary", "link"])
def test_a_summary_that_cannot_be_read_is_not_used(root, kind):
    file = RunDir(root / "first").summary_file
    content = {
        "altered": file.read_text().replace('"title": "', '"title": "not '),
        "no summary": json.dumps({"images": -1}),
    }
    file.unlink()
    if kind == "link":
        file.path.symlink_to(root / "half/summary.json")
    else:
        file.path.write_text(content[kind])
        if kind != "altered":
            vouch(RunDir(root / "first"))
    row = by_name(root)["first"]
    assert (row.state, row.summary.title, row.summary.images) == (
        "done",
        report().title,
        report().data[0].measured,
    )


def test_verify_compares_the_summary_with_the_results(root, capsys):
    run = RunDir(root / "first")
    tree = json.loads(run.summary_file.read_bytes())
    for title, state in ((tree["title"], "whole"), ("of somebody else", "damaged")):
        run.summary_file.write_json({**tree, "title": title})
        run_cli(["verify", str(run.path), "--json"])
        files = json.loads(capsys.readouterr().out)["files"]
        assert {file["file"]: file["state"] for file in files}["summary.json"] == state


@pytest.mark.parametrize(
    ("copied", "message"),
    [
        (["results.json"], "belongs to another run or merge"),
        (["results.json", "summary.json"], "belongs to another run or merge"),
        (["results.json", "summary.json", "manifest.json"], "key is damaged"),
    ],
)
def test_results_of_another_run_are_refused_by_the_list_as_by_every_reader(
    root, copied, message, program
):
    run = RunDir(root / "first")
    other = make(root, "other", report(key="b" * 64), "b" * 64)
    for name in copied:
        shutil.copy(other.path / name, run.path / name)
    row = by_name(root)["first"]
    assert row.state == "damaged"
    assert isinstance(row.summary.kurtosis, NotRun)
    for command in (["report", str(run.path), "--to", "-", "--format", "md"],
                    ["compare", str(other.path), str(run.path)]):  # fmt: skip
        assert message in program(*command, code=4).err
    assert run_cli(["verify", str(run.path)]) == 4


def test_states_and_figures_come_from_the_directories_and_links_are_not_followed(root, tmp_path):
    make(root, "strange", strange_report())  # a part of an unknown probe disturbs nothing
    make(root, "torn", report()).results_file.write_text("{}")
    make(tmp_path / "elsewhere", "run", report())
    (root / "link").symlink_to(tmp_path / "elsewhere" / "run")
    rows = by_name(root)
    assert {name: row.state for name, row in rows.items()} == {
        "first": "done", "group/second": "done", "half": "partial", EVIL: "unfinished",
        "strange": "done", "torn": "damaged",
    }  # fmt: skip
    assert rows["first"].summary.kurtosis == rows["strange"].summary.kurtosis == outliers().kurtosis
    assert rows["group/second"].summary.kurtosis.value == 4.0
    assert rows[EVIL].summary.model == EVIL
    assert isinstance(rows[EVIL].summary.kurtosis, NotRun)
    assert "results.json" in rows["torn"].summary.title


def test_a_held_lock_means_running_and_looking_never_takes_it(root, tmp_path):
    run, nowhere = RunDir(root / EVIL), held_locks(tmp_path / "none")
    assert not is_running(run.path, held_locks())
    assert nowhere is None  # without a list of locks the process is asked
    with run.locked():
        assert is_running(run.path, held_locks())
        assert is_running(run.path, nowhere)
        assert by_name(root)[EVIL].state == "running"
    assert by_name(root)[EVIL].state == "unfinished"
    with (run.path / "lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        is_running(run.path, held_locks())
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    ended = os.fork()
    if not ended:
        os._exit(0)
    os.waitpid(ended, 0)
    text = (run.path / "lock").read_text()
    run.at("lock").write_text(text.replace(str(os.getpid()), str(ended)))
    assert not is_running(run.path, nowhere)
    run.at("lock").write_text(f"process {os.getpid()} on another-host\n")
    assert not is_running(run.path, nowhere)


def test_the_table_has_the_columns_that_say_something_and_fit(root, program, monkeypatch):
    make(root, "strange", strange_report())
    headings = {}
    for width in (200, 100, 60):
        monkeypatch.setenv("COLUMNS", str(width))
        lines = program("runs", "--root", str(root)).out.splitlines()
        assert max(map(len, lines[:2])) <= width  # later ones end with a reason
        headings[width] = re.split(" {2,}", lines[0].strip())
    assert {"run", "model", "state"} <= set(headings[60]) < set(headings[200])
    assert "date" in set(headings[200]) - set(headings[60])


def test_a_narrow_terminal_keeps_name_and_accuracy_and_a_pipe_has_whole_names(
    root, program, monkeypatch
):
    name = f"a-library-and-a-long-name-of-a-model-{'x' * 30}-0123abcd"
    make(root, name, full_report())
    monkeypatch.setenv("COLUMNS", "80")
    heading, row, *_ = program("runs", "0123abcd", "--root", str(root)).out.splitlines()
    assert {"run", "on your pictures"} <= set(re.split(" {2,}", heading))
    assert row.split()[0].endswith("x-0123abcd")
    assert max(len(heading), len(row.partition("  in doubt")[0])) <= 80  # a reason may wrap
    monkeypatch.delenv("COLUMNS")
    assert program("runs", "0123abcd", "--root", str(root)).out.splitlines()[1].split()[0] == name


def test_the_table_is_inert_and_words_filter_and_sort(root, tmp_path, program):
    out = program("runs", "--root", str(root)).out
    lines = out.splitlines()
    assert re.split(" {2,}", lines[0]) == ["run", "model", "data", "state", "date"]
    assert [line.split()[0] for line in lines[1:]] == [
        "first", "group/second", "half", "[red]a\\u202eb",
    ]  # fmt: skip
    assert re.search(r"done +\d{4}-\d\d-\d\d \d\d:\d\d$", lines[1])
    assert "\u202e" not in out
    printed = program("runs", "done", "RN50", "--root", str(root), "--sort", "kurtosis").out
    names = [line.split()[0] for line in printed.splitlines()[1:]]
    assert names == ["first", "group/second"]
    assert run_cli(["runs", "--root", str(root), "--sort", "beauty"]) == 2
    assert "--root" in program("runs", "--root", str(tmp_path / "none"), code=2).err
    content = program("runs", "--root", str(root), "--json").json
    assert content["schema_version"] == 2
    assert content["runs"][0]["kurtosis"]["value"] == 23.5
    assert content["runs"][3]["kurtosis"] == {"reason": "no results yet", "remedy": ""}


def test_delete_takes_words_and_a_yes_and_no_running_run(root, capsys, program):
    assert run_cli(["runs", "--delete", "--yes", "--root", str(root)]) == 2
    assert run_cli(["runs", "group", "--delete", "--root", str(root)]) == 2  # no terminal
    assert (root / "group/second/key").exists()
    out = program("runs", "group", "--delete", "--yes", "--root", str(root)).out
    assert str(root / "group" / "second") in out
    assert not (root / "group/second").exists()
    with RunDir(root / "first").locked():
        assert run_cli(["runs", "first", "--delete", "--yes", "--root", str(root)]) == 2
    assert "still running" in capsys.readouterr().err
    assert (root / "first/key").exists()
