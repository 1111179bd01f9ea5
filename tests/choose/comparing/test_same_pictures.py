"""Runs on the same labelled pictures: matched by content, id or row, from their directories."""

import json
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file
from sklearn.linear_model import Ridge

import tuiprobe
from tests.choose.comparing.test_not_compared import CLASSES, answer, paint
from tests.conftest import Program
from tuiprobe.choose.comparing.decide import decide
from tuiprobe.choose.comparing.decision import Decision
from tuiprobe.choose.comparing.decision_section import describe_decision
from tuiprobe.choose.comparing.differences import compare_runs
from tuiprobe.choose.comparing.runs import read_runs
from tuiprobe.choose.comparing.same_pictures import shared_pictures
from tuiprobe.measure.arrays.ridge import fit_ridge
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.pictures import differing
from tuiprobe.numbers import NORMAL_95
from tuiprobe.probes.intervals import paired_difference
from tuiprobe.results import NotRun, is_known
from tuiprobe.show.report.compare_page import compare_page
from tuiprobe.show.report.decision_file import write_decision
from tuiprobe.show.tui.compared import Compared
from tuiprobe.show.tui.screens.pictures import PictureSets

ROWS = 90


def measure(root: Path, table: Path, images: Path, *targets: Path) -> Path:
    """Runs a table of answers on labelled pictures."""
    output = root / "runs" / table.stem
    tuiprobe.probe(
        f"answers:{table}", images, output=output, classes=list(CLASSES), progress=False,
        target=[str(target) for target in targets],
    )  # fmt: skip
    return output


def vectors(root: Path, name: str, right: float, labels: NDArray[np.int64], **changes: Any) -> Path:
    """Runs stored vectors whose largest channel is the answer; `lost` rows are not finite.

    With `order` the rows are stored in another order and named by an id column.
    """
    rng = np.random.default_rng(len(name))
    x = np.full((ROWS, 3), 0.1, np.float32) + rng.random((ROWS, 3), np.float32) / 100
    x[np.arange(ROWS), [(of + (rng.random() >= right)) % 3 for of in labels]] = 1
    x[np.array(changes.get("lost", []), dtype=int)] = np.nan
    folder = root / name
    folder.mkdir()
    save_file({"weight": np.eye(3, dtype=np.float32)}, folder / "head.safetensors")
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    options: dict[str, Any] = {}
    if (order := changes.get("order")) is None:
        np.save(folder / "x.npy", x)
        source, table = folder / "x.npy", folder / "labels.txt"
        table.write_text("\n".join(CLASSES[of] for of in labels))
    else:
        source, table = folder / "x.parquet", folder / "labels.csv"
        pq.write_table(pa.table({"v": list(x[order]), "id": [f"p{n}" for n in order]}), source)
        rows = [f"p{n},{CLASSES[of]}" for n, of in enumerate(labels)]
        table.write_text("\n".join(["id,class", *rows]))
        options["id_column"] = "id"
    tuiprobe.probe(
        embeddings=source, labels=table, classes=folder / "classes.txt", progress=False,
        head=folder / "head.safetensors", output=folder / "run", **options,
    )  # fmt: skip
    return folder / "run"


@pytest.fixture(scope="module")
def labels() -> NDArray[np.int64]:
    return np.random.default_rng(0).integers(0, 3, ROWS)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("same")


def decided(*runs: Path) -> Decision:
    return decide(read_runs(runs))


def lead(decision: Decision) -> float:
    change = decision.models[1].difference
    assert is_known(change)
    return change.value


def test_pictures_of_another_folder_are_the_same_by_content(root: Path, program: Program) -> None:
    photos = paint(root / "photos", 1)
    copytree(photos, root / "elsewhere")
    first = measure(root, answer(root / "first.csv", {"photos": photos}, 0.95, 0), photos)
    second = measure(
        root, answer(root / "second.csv", {"elsewhere": root / "elsewhere"}, 0.5, 1),
        root / "elsewhere",
    )  # fmt: skip
    decision = decided(second, first)
    assert (decision.evidence, decision.verdict) == ("pictures", "best")
    assert (decision.pictures, decision.left_out, decision.paired_by) == (60, 0, "contents")
    assert [row.place for row in decision.models] == [1, 0]
    assert tuiprobe.compare([second, first]) == decision
    file, text, written = write_decision([RunDir(second), RunDir(first)], root)  # of several models
    assert written == decision
    assert "60 labelled pictures" in " ".join(text.split())
    assert "60 labelled pictures" in file.read_text()
    paths = [str(second), str(first)]
    for form in ([], ["--json"], ["--html"]):
        printed = program("compare", *paths, *form).out
        if form == ["--json"]:
            content = json.loads(printed)["decision"]
            assert (content["evidence"], content["question"]) == ("pictures", "photos")
        else:
            assert "60 labelled pictures" in " ".join(printed.split())
            assert "found least often" in " ".join(printed.split())


@pytest.mark.slow
def test_vectors_are_paired_by_row_number_and_one_lost_row_is_counted(root, labels):
    a = vectors(root, "a", 0.9, labels)
    b = vectors(root, "bb", 0.4, labels)
    every = decided(b, a)
    assert (every.evidence, every.pictures, every.paired_by) == ("pictures", ROWS, "rows")
    assert every.verdict == "best"
    assert not any(doubt.id == "other-pictures" for doubt in every.doubts)
    c = vectors(root, "ccc", 0.4, labels, lost=[7, 8])
    some = decided(c, a)
    assert (some.verdict, some.pictures, some.left_out) == ("best", ROWS - 2, 2)
    runs = read_runs([c, a])
    (top1,) = [of for of in compare_runs(runs, 0, 1, None).differences if of.id == "top1"]
    assert top1.paired
    assert is_known(top1.difference)
    assert top1.difference.n == ROWS - 2
    assert top1.difference.value == pytest.approx(lead(some))


@pytest.mark.slow
def test_vectors_are_paired_by_their_id_column_in_any_order(root, labels):
    straight = vectors(root, "d", 0.9, labels, order=np.arange(ROWS))
    turned = vectors(root, "ee", 0.4, labels, order=np.random.default_rng(1).permutation(ROWS))
    plain = vectors(root, "xx", 0.4, labels, order=np.arange(ROWS))  # the same answers as "ee"
    decision = decided(straight, turned)
    assert (decision.paired_by, decision.pictures) == ("ids", ROWS)
    assert lead(decision) == lead(decided(straight, plain))
    ranges = [decided(straight, other).models[1].difference for other in (turned, plain)]
    assert ranges[0] == ranges[1]


@pytest.mark.slow
def test_rows_with_other_labels_are_not_paired(root: Path, labels: NDArray[np.int64]) -> None:
    a = vectors(root, "f", 0.9, labels)
    b = vectors(root, "gg", 0.4, np.roll(labels, 1))
    decision = decided(a, b)
    assert (decision.evidence, decision.verdict) == ("none", "undecided")
    assert [of.reason for of in decision.not_compared] == ["other labels"]


def test_class_folders_of_a_target_are_the_next_step(root: Path, program: Program) -> None:
    train, target = paint(root / "train", 5), paint(root / "field", 6)
    runs = []
    for name, right in (("first-field", 0.95), ("second-field", 0.5)):
        table = answer(root / f"{name}.csv", {"train": train, "field": target}, right, 2)
        runs.append(measure(root, table, train, target))
    decision = decided(*runs)
    assert (decision.evidence, decision.target) == ("none", "field")
    assert decision.answers_from == str(target)
    command = decision.command.split()
    assert command == ["tuiprobe", "label", *map(str, runs), "--answers-from", str(target)]
    program(*command[1:])
    labelled = decided(*runs)
    assert (labelled.evidence, labelled.verdict) == ("labels", "best")
    assert labelled.answers_from == ""


@pytest.mark.slow
def test_pictures_that_differ_are_shown_of_runs_with_other_rows(root, labels):
    """One run lost two rows, the other has them in another order."""
    turned = np.random.default_rng(1).permutation(ROWS)
    paths = [
        vectors(root, "h", 0.9, labels, order=np.arange(ROWS), lost=[7, 8]),
        vectors(root, "ii", 0.4, labels, order=turned),
    ]
    runs = read_runs(paths)
    ((name, (first, second)),) = shared_pictures(runs).items()
    pairs = list(zip(first.at(first.everything()), second.at(second.everything()), strict=True))
    assert len(pairs) == ROWS - 2
    assert all(one.path == other.path and one.label == other.label for one, other in pairs)
    places = differing([first, second])
    assert len(places) == sum(one.answer != other.answer for one, other in pairs) > 0
    assert all(one.answer != other.answer for one, other in zip(
        first.at(places), second.at(places), strict=True
    ))  # fmt: skip
    decision = decide(runs)
    page = compare_page(runs, decision, []).replace("\xa0", " ")
    assert f"Where they differ, {len(places)} of {ROWS - 2}" in page
    (row,) = Compared.read(paths).rows
    assert (row.data, row.differ) == (name, len(places))
    rows = {of.name: of for of in PictureSets(paths, data=name).rows}
    assert len(rows["models differ"].indices) == len(places)


@pytest.mark.slow
def test_heads_fitted_to_the_labels_decide_where_one_run_has_no_head_that_answers(root, labels):
    """The right answers are those of explicit refits without each row."""
    paths = [vectors(root, "kk", 0.9, labels), vectors(root, "lll", 0.5, labels)]
    first, second = read_runs(paths)
    right: list[NDArray[np.bool_]] = []
    for run, path in zip((first, second), paths, strict=True):
        x = np.load(path.parent / "x.npy")
        fit = fit_ridge(x, labels, 3)
        assert not isinstance(fit, NotRun)
        answers = []
        for i in range(ROWS):
            others = np.arange(ROWS) != i
            ridge = Ridge(alpha=fit.penalty, solver="svd")
            ridge.fit(x[others], np.eye(3)[labels[others]])
            answers.append(ridge.predict(x[i : i + 1]).argmax() == labels[i])
        right.append(np.array(answers))
        assert run.images["rows"].values["linear"].tolist() == answers
    own = decide([first, second])
    assert not own.fitted
    images = replace(second.images["rows"], values={"linear": right[1]}, answers=None)
    decision = decide([first, second._replace(images={"rows": images})])
    assert (decision.evidence, decision.fitted, decision.not_compared) == ("pictures", True, ())
    right = [right[row.place] for row in decision.models]
    gained, lost = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    expected, change = paired_difference(gained, lost, ROWS, 1.35 * NORMAL_95), decision.models[1]
    assert is_known(change.difference)
    assert (change.difference.low, change.difference.high) == pytest.approx(
        (expected.low, expected.high)
    )
    for row, each in zip(decision.models, right, strict=True):
        assert not isinstance(row.accuracy, NotRun)
        assert row.balanced is not None
        assert row.least_found is not None
        assert row.accuracy.value == pytest.approx(each.mean())
    table = describe_decision(decision, [first, second]).content[1]
    assert {"labels", "measured", "balanced"} <= {column.id for column in table.columns}


def test_pictures_that_a_sample_left_out_are_named_with_the_option_that_measures_them(root):
    photos = paint(root / "many", 3)
    runs = []
    for n, name in enumerate(("one-many", "two-many")):
        table = answer(root / f"{name}.csv", {"many": photos}, 0.6, n)
        runs.append(root / "runs" / name)
        tuiprobe.probe(
            f"answers:{table}", photos, output=runs[-1], classes=list(CLASSES), progress=False,
            sample=40,
        )  # fmt: skip
    decision = decided(*runs)
    assert (decision.verdict, decision.pictures, decision.unmeasured) == ("undecided", 40, 20)
    assert "--sample 0" in decision.sentence
