"""Honest mistakes end in the truth, a refusal, or a decision that is withheld."""

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save_file

import tuiprobe
from tests.conftest import Program
from tuiprobe import miniature
from tuiprobe.errors import UsageError
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.results.doubt import Doubt
from tuiprobe.show.cli.app import run_cli
from tuiprobe.show.report import read_report

PICTURES = 300
CLASSES = ("ant", "bee", "cat", "dog")


def ids(doubts: Sequence[Doubt]) -> list[str]:
    return [doubt.id for doubt in doubts if doubt.stops]


def write_table(path: Path, classes: NDArray[np.int64]) -> Path:
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "class"))
        rows.writerows((f"{i:03}.png", CLASSES[c]) for i, c in enumerate(classes))
    return path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with pictures, their truth, and answers of A (70 %) and B (87 %)."""
    root, rng = tmp_path_factory.mktemp("mistakes"), np.random.default_rng(0)
    (root / "photos").mkdir()
    for i in range(PICTURES):
        noise = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(noise).save(root / f"photos/{i:03}.png")
    truth = rng.integers(0, 4, PICTURES)
    np.save(root / "truth.npy", truth)
    write_table(root / "truth.csv", truth)
    write_table(root / "other.csv", rng.integers(0, 4, PICTURES))
    for name, share in (("A", 0.7), ("B", 0.87)):
        wrong = (truth + rng.integers(1, 4, PICTURES)) % 4
        write_table(root / f"{name}.csv", np.where(rng.random(PICTURES) < share, truth, wrong))
    return root


@pytest.fixture
def here(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(world, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


LABEL = ("label", "A.csv", "B.csv", "--data", "photos")


def decided(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict]:
    code = run_cli([*LABEL, *words, "--json", "--require-decision"])
    printed = capsys.readouterr()
    return code, json.loads(printed.out) if printed.out else {"error": printed.err}


def test_right_labels_decide(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, state = decided(capsys, "--answers-from", "truth.csv")
    assert (code, state["doubts"]) == (0, [])
    winner = state["decision"]["models"][0]
    assert (winner["standing"], "B" in winner["model"]) == ("take", True)


def test_a_list_filled_one_row_off_is_refused(here, capsys):
    truth = np.load("truth.npy")
    assert run_cli([*LABEL, "--todo", "todo.csv", "--count", "100"]) == 0
    with Path("todo.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    right = [CLASSES[truth[int(row["image"][:3])]] for row in rows]
    for row, name in zip(rows, [*right[1:], right[0]], strict=True):
        row["class"] = name
    with Path("todo.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    capsys.readouterr()
    code, state = decided(capsys, "--answers", "todo.csv")
    assert code == 2
    assert "--trust slip" in state["error"]
    assert not list(Path("runs").glob("labels-*.csv"))
    trust = ("--trust", "slip", "--trust", "at-chance")
    code, state = decided(capsys, "--answers", "todo.csv", *trust)
    assert [doubt["trusted"] for doubt in state["doubts"] if doubt["id"] == "slip"] == [True]
    code, state = decided(capsys)  # the same labels without an overruling
    assert (code, state["verdict"], state["decision"]["verdict"]) == (1, "open", "undecided")


def test_labels_do_not_decide_between_models_that_answer_alike(here, capsys, program):
    for name, scores in (("A", "0.1,0.1,0.7,0.1"), ("B", "0.1,0.1,0.6,0.2")):
        rows = [f"{i:03}.png,{scores}\n" for i in range(PICTURES)]
        (here / f"{name}.csv").write_text("path,ant,bee,cat,dog\n" + "".join(rows))
    truth = (here / "truth.csv").read_text().splitlines(keepends=True)
    (here / "six.csv").write_text("".join(truth[:7]))
    for labels in ((), ("--answers-from", "six.csv")):
        code, state = decided(capsys, *labels)
        assert (code, state["decided"], state["verdict"]) == (1, False, "open")
        assert [doubt["id"] for doubt in state["doubts"]] == ["equal-answers", "one-answer"]
        assert state["decision"]["verdict"] == "undecided"
    runs = [f"runs/{row['run']}" for row in state["candidates"]]
    decision = program("compare", *runs, "--json").json["decision"]
    assert (decision["verdict"], decision["command"], decision["labels"]) == ("undecided", "", 6)
    assert [doubt["id"] for doubt in decision["doubts"]] == ["one-answer", "equal-answers"]
    for gate, expected in (("< -0.02", 0), (">= 0", 1), ("< -2", 2)):  # no accuracy is stated yet
        assert run_cli(["compare", *runs, "--fail-if", f"labelled {gate}"]) == expected
    for run in runs:
        (doubt,) = [of for of in read_report(RunDir(Path(run))).doubts if of.id == "one-answer"]
        assert (doubt.withholds, doubt.figures["pictures"]) == (False, PICTURES)
    assert [doubt.id for doubt in tuiprobe.certify(runs[0], 0.05).doubts] == ["one-answer"]


def test_labels_that_were_there_before_are_named(here: Path, program: Program) -> None:
    header, *rows = (here / "truth.csv").read_text().splitlines(keepends=True)
    wrong = "dog" if "dog" not in rows[0] else "cat"
    (here / "one.csv").write_text(f"{header}000.png,{wrong}\n")
    (here / "most.csv").write_text("".join((header, *rows[:-1])))
    assert "had a label before" not in program(*LABEL, "--answers-from", "one.csv").err
    err = program(*LABEL, "--answers-from", "most.csv").err
    assert f"1 of {PICTURES} pictures had a label before, in " in err
    assert "; 1 of them with another class, which stays" in err
    assert "; 1 more to be labelled" in err
    printed = program(*LABEL, "--answers-from", "truth.csv").err
    assert f"{PICTURES - 1} of {PICTURES} pictures had a label before" in printed


def test_answers_of_a_candidate_are_refused_as_labels(here, capsys):
    code, state = decided(capsys, "--answers-from", "A.csv")
    assert code == 2
    assert "--trust answers-as-labels" in state["error"]
    code, state = decided(capsys, "--answers-from", "A.csv", "--trust", "answers-as-labels")
    assert code == 0


def test_answers_of_a_candidate_as_the_labels_of_a_run_decide_nothing(here, program):
    for name in "AB":
        command = ["--headless", "--model", f"answers:{name}.csv", "--data", "photos"]
        assert run_cli([*command, "--labels", "A.csv", "--output", f"runs/{name}"]) == 0
    decision = program("compare", "runs/A", "runs/B", "--json").json["decision"]
    assert [(d["id"], d["withholds"]) for d in decision["doubts"]] == [("answers-as-labels", True)]
    assert decision["verdict"] == "undecided"


def slipped(source: Path, to: str) -> None:
    """Writes a table in random order of rows, with the classes of rows 51 to 200 one row off."""
    head, *lines = source.read_text().splitlines()
    rows = [lines[i].split(",") for i in np.random.default_rng(7).permutation(PICTURES)]
    names = [name for _, name in rows]
    names[50:200] = [*names[51:200], names[50]]
    moved = (f"{path},{name}" for (path, _), name in zip(rows, names, strict=True))
    Path(to).write_text("\n".join([head, *moved]))


def run_doubts(answers: str, labels: str) -> Sequence[Doubt]:
    return tuiprobe.probe(
        f"answers:{answers}", "imagefolder:photos", labels=labels, output="run", threads=1
    ).doubts


@pytest.mark.parametrize(
    ("answers", "labels", "shift"), [("moved.csv", "truth.csv", -1), ("B.csv", "moved.csv", 1)]
)
def test_a_slip_in_a_table_in_another_order_than_the_pictures_is_found(
    here: Path, answers: str, labels: str, shift: int
) -> None:
    slipped(Path("B.csv" if answers == "moved.csv" else "truth.csv"), "moved.csv")
    (doubt,) = [doubt for doubt in run_doubts(answers, labels) if doubt.id == "slip"]
    assert (doubt.withholds, doubt.figures["shift"]) == (True, shift)
    assert "of moved.csv" in doubt.sentence
    assert [doubt.figures[end] for end in ("first", "last")] == pytest.approx([51, 199], abs=10)


def test_a_slip_in_a_table_of_answers_is_found_by_labels(here, capsys):
    slipped(Path("B.csv"), "B.csv")
    code, state = decided(capsys, "--answers-from", "truth.csv")
    assert code == 2
    assert "of answers:B.csv the labels fit the answers 1 row earlier" in state["error"]
    assert "--trust slip" in state["error"]


def test_at_chance_names_rows_of_a_table_in_another_order(here: Path) -> None:
    head, *lines = Path("other.csv").read_text().splitlines()
    Path("other.csv").write_text("\n".join([head, *lines[::-1]]))
    (doubt,) = [doubt for doubt in run_doubts("B.csv", "other.csv") if doubt.id == "at-chance"]
    assert "rows of other.csv may have slipped" in doubt.sentence


def test_labels_of_other_pictures_with_the_same_names_decide_nothing(here, capsys):
    code, state = decided(capsys, "--answers-from", "other.csv", "--difference")
    assert code == 1
    assert [doubt["id"] for doubt in state["doubts"] if doubt["withholds"]] == ["at-chance"]
    assert state["decision"]["doubts"][0]["id"] == "at-chance"
    assert state["decision"]["models"][0]["standing"] == "undecided"


@pytest.fixture(scope="module")
def copied_shift(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Returns two runs with a shift that is a link to the in-distribution set."""
    root = tmp_path_factory.mktemp("copied")
    miniature.export(root, sets=("val",), layouts=("imagefolder",), images=60)
    (root / "again").symlink_to(root / "imagefolder/val")
    suite = root / "suite.toml"
    suite.write_text(
        f'id = "imagefolder:{root}/imagefolder/val"\n[shifts]\nagain = "imagefolder:{root}/again"\n'
    )
    runs = [root / model for model in ("mini_clip", "mini_supervised")]
    for run in runs:
        tuiprobe.probe(
            run.name, f"suite:{suite}", output=str(run), sample=0, concepts="none", threads=1,
            workers=0, target=(),
        )  # fmt: skip
    return runs


def test_a_shift_that_is_the_in_distribution_set_decides_nothing(copied_shift: list[Path]) -> None:
    report = read_report(RunDir(copied_shift[0]))
    (doubt,) = [doubt for doubt in report.doubts if doubt.id == "same-content"]
    assert (doubt.data, doubt.withholds, doubt.figures["shared"]) == ("again", True, 60)
    assert report.title.startswith("IN DOUBT: ")
    assert f"same-content: {doubt.sentence}" in str(report)
    decision = tuiprobe.compare(copied_shift)
    assert (decision.take, ids(decision.doubts)) == (None, ["same-content"])
    trusted = tuiprobe.compare(copied_shift, trust=["same-content"])
    assert trusted.doubts[0].trusted or trusted.doubts[-1].trusted
    with pytest.raises(UsageError, match="--trust"):
        tuiprobe.compare(copied_shift, trust=["nonsense"])


def test_gates_over_one_measurement_or_in_doubt_do_not_pass(copied_shift, program):
    first, second = map(str, copied_shift)
    gate = ("--fail-if", "val: top1 < -0.9")
    assert "the same measurement" in program("compare", first, first, *gate, code=1).err
    assert run_cli(["compare", first, second, *gate]) == 0
    printed = program("compare", first, second, "--fail-if", "again: top1 < -0.9", code=1).err
    assert "gate withheld" in printed
    err = program("compare", first, second, "--fail-if", "again: top1 > -0.9", code=1).err
    assert ("gate withheld" in err, "gate tripped" in err) == (True, False)
    overruled = ("--fail-if", "again: top1 < -0.9", "--trust", "same-content")
    assert run_cli(["compare", first, second, *overruled]) == 0
    assert run_cli(["compare", first, second, "--fail-if", "top1 < -2"]) == 2


@pytest.mark.parametrize("id_column", [None, "id"])
def test_a_slip_in_labels_of_stored_vectors_is_found(tmp_path: Path, id_column: str | None) -> None:
    """A vector is lost; or rows 51 to 200 of a table in random order have slipped."""
    rng = np.random.default_rng(1)
    truth, rows = rng.integers(0, 5, 300), rng.permutation(300)
    vectors = (np.eye(5)[truth] * 4 + rng.normal(size=(300, 5))).astype(np.float32)
    data, labels, moved = tmp_path / "x.npy", tmp_path / "y.npy", truth[rows]
    np.save(data, np.delete(vectors, 120, axis=0))
    np.save(labels, truth[:-1])
    if id_column:
        data, labels = data.with_suffix(".parquet"), labels.with_suffix(".csv")
        columns = {"v": vectors.tolist(), "id": list(map(str, range(300)))}
        pyarrow.parquet.write_table(pyarrow.table(columns), data)
        moved[50:200] = [*moved[51:200], moved[50]]
        labels.write_text("id,label\n" + "".join(f"{i},{moved[n]}\n" for n, i in enumerate(rows)))
    save_file({"weight": np.eye(5, dtype=np.float32)}, tmp_path / "head.safetensors")
    report = tuiprobe.probe(
        None, f"vectors:{data}", labels=str(labels), id_column=id_column,
        head=str(tmp_path / "head.safetensors"), output=str(tmp_path / "run"), threads=1,
    )  # fmt: skip
    (doubt,) = [doubt for doubt in report.doubts if doubt.id == "slip"]
    assert doubt.figures["first"] == pytest.approx(51 if id_column else 121, abs=10)
    assert doubt.withholds


def test_a_head_that_was_fitted_to_these_pictures_is_in_doubt(tmp_path: Path) -> None:
    miniature.export(tmp_path, sets=("val",), layouts=("imagefolder",), images=60)
    data, heads = f"imagefolder:{tmp_path / 'imagefolder/val'}", []
    for head in ("probe", str(tmp_path / "probe/head.safetensors")):
        heads.append(
            tuiprobe.probe(
                "mini_clip", data, head=head, output=str(tmp_path / Path(head).stem),
                concepts="none", target=(), threads=1, workers=0, sample=0,
            )
        )  # fmt: skip
    assert [ids(report.doubts) for report in heads] == [[], ["same-content"]]
    assert "was fitted to" in heads[1].doubts[0].sentence
