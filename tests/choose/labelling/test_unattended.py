"""What one run may answer alone by labels: order, questions, tables and predictions."""

import csv
from hashlib import sha256
from math import log
from pathlib import Path

import numpy as np
import pytest

import tuiprobe
from tests.conftest import Program
from tuiprobe.choose.labelling.label_log import NONE_OF_THESE
from tuiprobe.choose.labelling.session import open_labelling
from tuiprobe.choose.labelling.standing import label_status
from tuiprobe.errors import UsageError
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.miniature import world
from tuiprobe.show.cli.app import run_cli
from tuiprobe.show.report import read_report

STREET = ("--target", "street")


def truth(labelling, place: int) -> str:
    name = world.CLASS_NAMES[world.label("street", int(labelling.matched.ids[place]))]
    return name if name in labelling.matched.classes else NONE_OF_THESE


def test_walk_and_ties_follow_from_the_pictures_alone(label_runs: list[Path]) -> None:
    labelling = open_labelling(label_runs[:1], "street", tolerated=0.2)
    digests, certificate = labelling.matched.digests, labelling.certificate
    assert not labelling.files.json.exists()  # nothing is labelled

    def key(name: bytes, place: int) -> bytes:
        return sha256(name + bytes.fromhex(digests[place])).digest()

    start = certificate.prefixes[certificate.start].size
    rows = read_report(RunDir(label_runs[0])).predictions()
    confidence = {row.digest: row.confidence for row in rows if row.set == "street"}
    ranked = sorted(range(len(digests)), key=lambda i: (-confidence[digests[i]], key(b"tie", i)))
    walk = sorted(ranked[:start], key=lambda i: key(b"alone", i))
    assert labelling.following().index == walk[0]
    assert [picture.index for picture in labelling.upcoming(3)] == walk[:3]


def test_every_further_question_takes_more(label_runs: list[Path]) -> None:
    first = open_labelling(label_runs[:1], "street", tolerated=0.2)
    picture = first.following()
    first.label(picture.index, truth(first, picture.index))
    first.close()
    needed = []
    for run, tolerated in ((0, 0.2), (0, 0.1), (1, 0.2), (0, 0.2)):
        labelling = open_labelling([label_runs[run]], "street", tolerated=tolerated)
        needed.append((labelling.questions, labelling.certificate.needed))
        labelling.close()
    assert needed == [(0, log(20)), (1, log(20)), (2, log(40)), (0, log(20))]
    (record,) = first.files.certificates()
    assert [question.tolerated for question in record.asked] == [0.2, 0.1, 0.2]
    contest = open_labelling(label_runs, "street")  # is a question of its own
    assert (contest.asked, contest.certificate) == (0, None)
    assert first.files.certificates() == (record,)


def test_certificate_at_the_command_line_in_files_and_in_python(label_runs, tmp_path, program):
    run = str(label_runs[0])
    command = ["label", run, *STREET, "--unattended", "30%"]
    out = program(*command, "--require-decision", code=1).out
    assert "none of 40 certified for at most 30 % errors" in out
    todo = tmp_path / "todo.csv"
    assert run_cli([*command, "--todo", str(todo), "--count", "15"]) == 0
    with todo.open(newline="") as file:
        rows = list(csv.DictReader(file))
    labelling = open_labelling(label_runs[:1], "street", tolerated=0.3)
    for row in rows:
        row["class"] = truth(labelling, labelling.matched.index_of[row["sha256"]])
    with todo.open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    state = program(*command, "--answers", str(todo), "--json").json
    assert state["labelled"] == 15
    assert state["unattended"]["tolerated"] == 0.3
    state = program(*command, "--answers-from", "miniature", "--json").json
    certified = state["unattended"]["certified"]
    again = open_labelling(label_runs[:1], "street", asking=False, tolerated=0.3)
    wrong = [
        again.matched.classes[again.matched.answers[0, place]] != truth(again, place)
        for place in again.certificate.unattended.tolist()
    ]
    assert len(wrong) == certified > 0
    assert state["decided"]
    assert sum(wrong) <= state["unattended"]["most_wrong"] == int(0.3 * certified)
    assert again.following() is None
    for option in ("--todo", "--page"):
        err = program(*command, option, str(tmp_path / "more"), code=2).err
        assert "certify no more pictures" in err
    assert tuiprobe.certify(run, 0.3, "street").unattended == again.certificate.state
    pictures = read_report(RunDir(label_runs[0])).predictions()
    street = [picture for picture in pictures if picture.set == "street"]
    covered = {row.digest for row in street if row.unattended == 0.3}
    assert covered == {again.matched.digests[i] for i in again.certificate.unattended.tolist()}
    assert {row.unattended for row in street} <= {0.3, None}


def test_skipped_pictures_count_as_wrong_until_they_are_answered(label_runs: list[Path]) -> None:
    labelling = open_labelling(label_runs[:1], "street", tolerated=0.3)
    skipped = labelling.following()
    labelling.label(skipped.index, "")
    assert label_status(labelling).skipped == 1
    for _ in range(4):
        picture = labelling.following()
        assert picture.index != skipped.index
        labelling.label(picture.index, truth(labelling, picture.index))
    assert labelling.following().index == skipped.index
    labelling.close()
    again = open_labelling(label_runs[:1], "street", tolerated=0.3)
    assert again.certificate.state == labelling.certificate.state
    again.undo()
    assert len(again.certificate.labels) == 3


def test_wrong_requests(label_runs: list[Path], program: Program) -> None:
    with pytest.raises(UsageError, match="one run"):
        open_labelling(label_runs, "street", tolerated=0.05)
    for share in ("0", "60%", "five", "-1%", "nan"):
        err = program("label", str(label_runs[0]), *STREET, f"--unattended={share}", code=2).err
        assert "is no share of wrong answers" in err


def test_labels_in_doubt_certify_nothing(label_runs: list[Path], tmp_path: Path) -> None:
    run = label_runs[0]
    certificate = open_labelling([run], "street", tolerated=0.3).certificate
    matched = open_labelling([run], "street").matched
    sure, others = np.split(certificate.ranked, [18])
    labels = [*matched.answers[0, sure], *np.roll(matched.answers[0, others], -1)]
    rows = [
        f"{matched.digests[place]},{matched.classes[label]}"
        for place, label in zip(certificate.ranked, labels, strict=True)
    ]
    table = tmp_path / "slipped.csv"
    table.write_text("\n".join(["sha256,class", *rows]))

    def promised() -> set[float | None]:
        rows = read_report(RunDir(run)).predictions()
        return {row.unattended for row in rows if row.set == "street"}

    with pytest.raises(UsageError, match="--trust slip"):
        tuiprobe.certify(run, 0.3, "street", answers=table)
    state = tuiprobe.certify(run, 0.3, "street", answers=table, trust=["slip"])
    assert state.unattended.certified >= 18
    state = tuiprobe.certify(run, 0.3, "street")
    assert ([doubt.id for doubt in state.doubts], state.unattended.certified) == (["slip"], 0)
    assert promised() == {None}


def test_files_beside_runs_are_no_runs(label_runs: list[Path], program: Program) -> None:
    assert run_cli(["label", *map(str, label_runs), *STREET, "--answers-from", "miniature"]) == 0
    (label_runs[0].parent / "comparison-0123abcd.md").write_text("# Decision\n")
    names = sorted(map(str, label_runs[0].parent.iterdir()))
    assert len(names) == len(label_runs) + 3
    assert len(program("label", *names, *STREET, "--json").json["candidates"]) == len(label_runs)
    assert run_cli(["compare", *names, "--json"]) == 0
    assert run_cli(["compare", names[0], *[name for name in names if not Path(name).is_dir()]]) == 2
