"""`tuiprobe label`: decisions, exit codes, tables of pictures, labels of folders."""

import csv
import hashlib
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tuiprobe.choose.labelling.label_log import LabelFiles
from tuiprobe.choose.labelling.session import open_labelling
from tuiprobe.errors import RunError
from tuiprobe.files import Entry
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.locks import MERGE_LOCK
from tuiprobe.measure.run.results import read_summary, summary
from tuiprobe.measure.run.verify import verify
from tuiprobe.miniature import world
from tuiprobe.show.cli.app import run_cli
from tuiprobe.show.report import formats, read_report
from tuiprobe.show.report.formats import export

PICTURES = 40


def command(runs: list[Path], *options: object) -> list[str]:
    return ["label", *map(str, runs), *map(str, options)]


def test_labels_of_the_demonstration_lead_to_a_decision(label_runs, capsys, program):
    street = ("--target", "street")
    assert "\nUndecided" in program(*command(label_runs, *street, "--require-decision"), code=1).out
    labels = ("--answers-from", "miniature", "--json")
    state = program(*command(label_runs, *street, *labels, "--require-decision")).json
    assert state["decided"]
    assert state["verdict"] in ("best", "equal")
    assert state["decision"]["verdict"] == state["verdict"]
    assert state["decision"]["labels"] == state["labelled"]
    assert state["decisions"][-1]["labels"] == state["labelled"] <= PICTURES
    assert any("a demonstration" in note for note in state["notes"])
    assert run_cli(command(label_runs, *street)) == 0  # kept beside the runs
    out = capsys.readouterr().out
    assert f"\n- {state['labelled']} pictures of {PICTURES} labelled\n" in out
    verdict = " ".join(state["decision"]["sentence"].split())
    assert " ".join(out.split()).startswith(f"Labels on street ================ {verdict}")
    assert "tuiprobe label" not in out
    assert len(out.splitlines()) < 30  # progress and verdict, and no card of a run
    after = program(*command(label_runs, *street, *labels, "--difference")).json
    value, low, high = next(row["difference"] for row in after["candidates"] if row["difference"])
    assert low == value == high  # all pictures on which they differ are labelled
    err = program(*command(label_runs, "--target", "photos", *labels), code=2).err
    assert "has labels only for the demonstration" in err
    printed = program(*command(label_runs[:1], *street, "--answers-from", "miniature")).out
    assert "known to ±5 points\n" in printed


def files(run: Path) -> dict[str, bytes]:
    names = ("results.json", "summary.json", "manifest.json", "report.html", "report.md",
             "predictions.csv", "tables/figures.csv")  # fmt: skip
    return {name: (run / name).read_bytes() for name in names}


def test_labels_renew_the_reports_of_every_candidate_once(label_runs, capsys, program, monkeypatch):
    for run in label_runs:
        assert run_cli(["report", str(run), "--format", "predictions"]) == 0
        assert run_cli(["report", str(run)]) == 0
    before = {run: files(run) for run in label_runs}
    assert run_cli(command(label_runs, "--target", "street", "--json")) == 0
    assert {run: files(run) for run in label_runs} == before  # nothing was labelled
    renewed = []
    monkeypatch.setattr(formats, "export", lambda *a: renewed.append(a[1].path) or export(*a))
    labels = ("--target", "street", "--answers-from", "miniature", "--json")
    capsys.readouterr()
    assert run_cli(command(label_runs, *labels)) == 0
    assert renewed == label_runs
    state = json.loads(capsys.readouterr().out)
    file = LabelFiles(label_runs[0].parent, "street")
    given = {line.digest: line.label for line in file.lines()}
    for run in label_runs:
        after, report = files(run), read_report(RunDir(run))
        same = {name for name in after if after[name] == before[run][name]}
        assert same == {"results.json"}
        assert report.title in after["report.md"].decode().replace("\\_", "_")
        assert f"labels of {state['labelled']} pictures" in report.title or (
            f"measured on {state['labelled']} pictures" in report.title
        )
        manifest = json.loads(after["manifest.json"])
        assert manifest["summary.json"] == hashlib.sha256(after["summary.json"]).hexdigest()
        assert json.loads(after["summary.json"])["title"] == report.title
        assert read_summary(RunDir(run)).title == report.title
        rows = list(csv.DictReader(after["predictions.csv"].decode().splitlines()))
        street = {row["sha256"]: row["label"] for row in rows if row["set"] == "street"}
        assert {digest: label for digest, label in street.items() if label} == given
        assert report.predictions() == read_report(RunDir(run)).predictions()
        assert verify(RunDir(run))
    for name in ("csv", "questions.json"):
        (label_runs[0].parent / f"labels-street.{name}").unlink()
    assert "by labels" not in program("runs", "--root", str(label_runs[0].parent)).out


def test_a_run_that_another_process_writes_keeps_its_reports_and_its_label(label_runs, capsys):
    with RunDir(label_runs[0]).locked(MERGE_LOCK):
        labels = ("--target", "street", "--answers-from", "miniature")
        assert run_cli(command(label_runs, *labels)) == 0
    assert f"the reports of {label_runs[0]} do not show the labels: " in capsys.readouterr().err
    assert read_summary(RunDir(label_runs[1])).title == read_report(RunDir(label_runs[1])).title


@pytest.mark.parametrize("stopped", range(1, 4))
def test_a_stop_while_a_summary_is_renewed_leaves_a_run_that_reads(
    label_runs, stopped, monkeypatch
):
    labelling = open_labelling(label_runs, "street")
    picture = labelling.following()
    labelling.label(picture.index, "(none of these)")
    labelling.close()
    run, publish, calls = RunDir(label_runs[0]), Entry.write_bytes, []

    def until(entry, content):
        calls.append(entry.name)
        if len(calls) == stopped:
            raise RunError("stopped")
        publish(entry, content)

    with monkeypatch.context() as patch:
        patch.setattr(Entry, "write_bytes", until)
        assert formats.renew_labelled([run])
    assert read_report(run).title
    assert summary(run).title
    assert formats.renew_labelled([run]) == []
    assert read_summary(run).title == read_report(run).title


def test_pictures_go_out_and_answers_come_back(label_runs, tmp_path, program):
    todo, photos = tmp_path / "todo.csv", ("--target", "photos")
    first = program(*command(label_runs, *photos, "--todo", todo, "--count", 5))
    printed = program(*command(label_runs, *photos, "--todo", todo), code=2).err
    assert "exists and may hold answers" in printed
    assert f"{todo}: 5 pictures of imagefolder:" in first.err
    assert f"fill in the column class, and read it with --answers {todo}\n" in first.err
    head, *rows = todo.read_text().splitlines()
    assert len(rows) == 5
    answers = ["(unsure)", "", "(none of these)", "(unsure)", ""]
    table = [row.replace(",,", f",{label},", 1) for row, label in zip(rows, answers, strict=True)]
    todo.write_text("\n".join([head, *table]).replace(",", ";"))  # as some spreadsheets write it
    out, err = program(*command(label_runs, *photos, "--answers", todo, "--json"))
    state = json.loads(out)
    assert err.startswith("answers: 3 new, 1 skipped")
    assert [state[key] for key in ("labelled", "unsure", "skipped")] == [3, 2, 1]
    again = tmp_path / "again.csv"
    assert run_cli(command(label_runs, *photos, "--todo", again, "--count", PICTURES)) == 0
    left = [row.split(",")[1] for row in again.read_text().splitlines()[1:]]
    digests = [row.split(",")[1] for row in rows]
    assert len(left) == PICTURES - 3
    assert left[0] == digests[1]  # what was skipped comes first
    todo.write_text("\n".join([head, *table[1:]]))
    printed = program(*command(label_runs, *photos, "--answers", todo), code=2).err
    assert "has other rows than the batch" in printed


def test_after_a_table_is_written_the_next_step_is_its_answers(
    runs_on_targets, tmp_path, program, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    names = [path.name for path in sorted((runs_on_targets / "photos").glob("*.png"))]
    for table, right in (("a.csv", "cat"), ("b.csv", "dog")):
        rows = [f"{name},{'cat' if number % 2 else right}" for number, name in enumerate(names)]
        Path(table).write_text("\n".join(["path,class", *rows]))
    words = ["label", "a.csv", "b.csv", "--data", str(runs_on_targets / "photos")]
    decision = program(*words, "--todo", "todo.csv", "--json").json["decision"]
    assert decision["verdict"] == "undecided"
    assert decision["command"] == " ".join(["tuiprobe", *words, "--answers", "todo.csv"])


def test_runs_on_different_pictures_cannot_be_labelled_together(
    runs_on_targets, tmp_path, program, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    pictures = sorted((runs_on_targets / "photos").glob("*.png"))
    for name, some in (("all", pictures), ("some", pictures[:30])):
        Path(name).mkdir()
        for path in some:
            shutil.copy(path, name)
        rows = [f"{path.name},{'cat' if number % 2 else 'dog'}" for number, path in enumerate(some)]
        Path(f"{name}.csv").write_text("\n".join(["path,class", *rows]))
        assert run_cli(["label", f"{name}.csv", "--data", name, "--json"]) == 0
    runs = sorted(map(str, Path("runs").glob("answers-*")))
    decision = program("compare", *runs, "--json").json["decision"]
    assert decision["command"] == ""
    assert "10 of 40 are only in the first, 0 of 30 only in the second" in decision["obstacle"]
    assert " ".join(decision["obstacle"].split()) in " ".join(program("compare", *runs).out.split())
    Path("same").mkdir()
    for path in pictures:
        shutil.copy(path, "same")
    Path("all2.csv").write_text(Path("all.csv").read_text().replace("cat", "dog", 3))
    program("label", "all2.csv", "--data", "same", "--json")
    same = sorted(map(str, Path("runs").glob("answers-all*")))
    decision = program("compare", *same, "--json").json["decision"]
    assert (decision["command"], decision["obstacle"]) == (f"tuiprobe label {' '.join(same)}", "")


def test_rows_of_other_pictures_are_ignored_unless_most_of_a_table_is_about_them(
    label_runs, runs_on_targets, tmp_path, capsys
):
    names = [path.name for path in sorted((runs_on_targets / "photos").glob("*.png"))]
    table, photos = tmp_path / "truth.csv", ("--target", "photos", "--json")

    def labelled(known: int, others: int) -> int:
        rows = [f"{name},(none of these)" for name in names[:known]]
        rows += [f"elsewhere/{number}.png,unicorn" for number in range(others)]
        table.write_text("\n".join(["path,class", *rows]))
        return run_cli(command(label_runs[:1], *photos, "--answers-from", table))

    assert labelled(known=19, others=60) == 2
    assert "line 21: 'elsewhere/0.png'" in capsys.readouterr().err
    assert labelled(known=0, others=1) == 2
    capsys.readouterr()
    assert labelled(known=5, others=5) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["labelled"] == 5
    assert "not used: 5 rows of other pictures" in err
    assert labelled(known=PICTURES, others=2 * PICTURES) == 0
    assert "not used: 80 rows of other pictures" in capsys.readouterr().err
    assert run_cli(command(label_runs[:1], *photos, "--answers", table)) == 2


def test_tables_of_labels_are_read_as_those_of_data_are(
    label_runs, runs_on_targets, tmp_path, program
):
    names = [path.name for path in sorted((runs_on_targets / "photos").glob("*.png"))][:6]
    table, photos = tmp_path / "truth.CSV", ("--target", "photos", "--json")
    for header, start in (("Filename\tLabel", ".\\"), ("image_path\tClass", "./")):
        rows = [f"{start}{name}\t(none of these)" for name in names]
        table.write_text("\n".join([header, *rows, "\t"]))
        printed = program(*command(label_runs[:1], *photos, "--answers-from", table)).json
        assert printed["labelled"] == len(names)
    rows = [
        f"{name},{world.CLASS_NAMES[0]},{world.CLASS_NAMES[n % 2]}" for n, name in enumerate(names)
    ]
    table.write_text("\n".join(["path,label,class", *rows]))  # as of predictions.csv
    err = program(*command(label_runs[:1], *photos, "--answers-from", table), code=4).err
    assert "'class' and 'label' hold different labels" in err


def test_class_folders_are_labels(label_runs, runs_on_targets, tmp_path, program):
    folder, photos = tmp_path / "sorted", ("--target", "photos")
    pictures = sorted((runs_on_targets / "photos").glob("*.png"))
    for path in pictures:
        name = world.CLASS_NAMES[world.label("street", int(path.stem))]
        (folder / name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / name)
    some = tmp_path / "some"
    for path in pictures[:7]:
        name = world.CLASS_NAMES[world.label("street", int(path.stem))]
        (some / name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, some / name)
    out, err = program(*command(label_runs, *photos, "--answers-from", some, "--json"))
    assert json.loads(out)["labelled"] == 7
    assert f"has labels of 7 of {PICTURES} pictures: all of them are used" in err
    for path in (other := shutil.copytree(some, tmp_path / "other")).rglob("*.png"):
        Image.open(path).rotate(90).save(path)
    printed = program(*command(label_runs, *photos, "--answers-from", other), code=4).err
    assert f"holds none of the {PICTURES} pictures" in printed
    assert (
        run_cli(command(label_runs, *photos, "--answers-from", folder, "--require-decision")) == 0
    )
    first, second, *_ = sorted(folder.iterdir())
    double = shutil.copy(next(first.iterdir()), second / "double.png")
    printed = program(*command(label_runs[:1], *photos, "--answers-from", folder), code=2).err
    assert "are the same picture in two classes" in printed
    Path(double).unlink()
    first.rename(folder / "unicorn")
    printed = program(*command(label_runs[:1], *photos, "--answers-from", folder), code=2).err
    assert "'unicorn' is no class of these runs" in printed
