"""No run is left out in silence: other pictures, no labels, the same measurement, equal answers."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from shutil import copyfile, copytree

import numpy as np
import pytest
from PIL import Image

import tuiprobe
from tuiprobe.choose.comparing.decide import decide
from tuiprobe.choose.comparing.decision import Decision
from tuiprobe.choose.comparing.decision_section import describe_decision
from tuiprobe.choose.comparing.runs import read_runs
from tuiprobe.results.section import Table

CLASSES = ("blue", "green", "red")
EACH = 20


def paint(folder: Path, seed: int, labelled: bool = True) -> Path:
    """Makes pictures of three classes, other ones for each seed."""
    for place, name in enumerate(CLASSES):
        inside = folder / name if labelled else folder
        inside.mkdir(parents=True, exist_ok=True)
        for n in range(EACH):
            pixels = np.full((8, 8, 3), place, np.uint8)
            pixels[0, 0] = n, seed, place
            Image.fromarray(pixels).save(inside / f"{place}{n:02}.png")
    return folder


def answer(table: Path, images: Mapping[str, Path], right: float, seed: int) -> Path:
    """Writes a table of answers on some sets; `right` is the share that is right."""
    rng = np.random.default_rng(seed)
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["set", "path", "class"])
        for name, folder in images.items():
            for path in sorted(folder.rglob("*.png")):
                true = int(path.name[0])
                other = (true + 1 + int(rng.integers(2))) % 3
                chosen = CLASSES[true if rng.random() < right else other]
                writer.writerow([name, path.relative_to(folder).as_posix(), chosen])
    return table


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models on one folder; others on an equally named, another and an unlabelled one."""
    root = tmp_path_factory.mktemp("left")
    photos, same_name = paint(root / "a" / "photos", 1), paint(root / "b" / "photos", 2)
    others, plain = paint(root / "others", 3), paint(root / "plain", 4, labelled=False)
    runs = {
        "first": (photos, 0.9), "second": (photos, 0.6), "namesake": (same_name, 0.8),
        "other": (others, 0.7), "plain": (plain, 0.7),
    }  # fmt: skip
    for seed, (name, (images, right)) in enumerate(runs.items()):
        table = answer(root / f"{name}.csv", {images.name: images}, right, seed)
        tuiprobe.probe(
            f"answers:{table}", images, output=root / "runs" / name, classes=list(CLASSES),
            progress=False,
        )  # fmt: skip
    tuiprobe.probe(
        f"answers:{root / 'first.csv'}", photos, output=root / "runs" / "again", progress=False,
        classes=list(reversed(CLASSES)),
    )  # fmt: skip
    copytree(root / "runs" / "first", root / "runs" / "copy")
    return root / "runs"


def decided(world: Path, *names: str) -> Decision:
    return decide(read_runs([world / name for name in names]))


def reasons(decision: Decision) -> dict[str, str]:
    return {Path(of.run).name: of.reason for of in decision.not_compared}


def test_every_run_is_compared_or_left_out_with_its_reason(world: Path) -> None:
    names = ("first", "namesake", "other", "copy", "second", "plain", "first")
    decision = decided(world, *names)
    assert reasons(decision) == {
        "copy": "same measurement", "first": "same measurement",
        "namesake": "other pictures", "other": "no such set", "plain": "no such set",
    }  # fmt: skip
    standing = {Path(row.run).name: row.standing for row in decision.models}
    left_out = {name for name, of in standing.items() if of == "not compared"}
    assert left_out == {"namesake", "other", "plain"}
    assert {row.place for row in decision.models} == {0, 1, 2, 4, 5}
    assert {of.place for of in decision.not_compared} == {1, 2, 3, 5, 6}
    assert all(names[of.place] == Path(of.run).name for of in decision.not_compared)


@pytest.mark.parametrize("again", ["first", "copy"])
def test_one_measurement_given_twice_is_no_tie(world: Path, program, again: str) -> None:
    decision = decided(world, "first", again)
    assert (decision.verdict, decision.take, len(decision.models)) == ("undecided", None, 1)
    assert reasons(decision) == {again: "same measurement"}
    for form in ([], ["--json"], ["--html"]):
        printed = program("compare", str(world / "first"), str(world / again), *form).out
        if form == ["--json"]:
            (left_out,) = json.loads(printed)["decision"]["not_compared"]
            assert (left_out["place"], left_out["reason"]) == (1, "same measurement")
        else:
            assert "not compared" in printed


def test_equal_answers_of_two_measurements_are_noted(world: Path) -> None:
    decision = decided(world, "first", "second", "again")
    assert not decision.not_compared
    (doubt,) = [doubt for doubt in decision.doubts if doubt.id == "equal-answers"]
    models = {Path(row.run).name: row.model for row in decision.models}
    assert doubt.sentence.endswith(f"{3 * EACH} pictures: {models['first']} and {models['again']}")
    assert not any(of.id == "equal-answers" for of in decided(world, "first", "second").doubts)


def test_accuracies_on_other_pictures_share_no_column(world: Path) -> None:
    names = ("first", "second", "namesake", "other", "plain")
    runs = read_runs([world / name for name in names])
    decision = decide(runs)
    table = next(
        piece for piece in describe_decision(decision, runs).content if isinstance(piece, Table)
    )
    order = [Path(row.run).name for row in decision.models]
    columns = {
        frozenset(name for name, cell in zip(order, cells, strict=True) if cell is not None)
        for column, *cells in zip(table.columns, *table.rows, strict=True)
        if column.id.startswith(("labels", "measured"))
    }
    assert columns == {
        frozenset({"first", "second"}),
        frozenset({"namesake"}),
        frozenset({"other"}),
    }
    headings = [column.title for column in table.columns]
    assert len({*headings}) == len(headings)


def test_paths_tell_runs_apart_of_which_reports_keep_the_last_part(world, tmp_path):
    images = {folder: world.parent / folder / "photos" for folder in "ab"}
    for folder in "ab":
        (tmp_path / folder).mkdir()
        answer(tmp_path / folder / "t.csv", {"photos": images[folder]}, 0.9, 1)
    runs = {}
    for number, (table, folder) in enumerate((("a", "a"), ("b", "b"), ("a", "b"))):
        run = runs[table + folder] = tmp_path / f"t-0000000{number}"  # as the program names them
        tuiprobe.probe(
            f"answers:{tmp_path / table / 't.csv'}", images[folder], output=run, progress=False
        )

    def names(*some: str) -> list[str]:
        return [run.report.model.name for run in read_runs([runs[name] for name in some])]

    assert names("aa", "bb") == ["answers:a/t.csv", "answers:b/t.csv"]
    assert names("aa", "ab") == ["answers:t.csv (on a/photos)", "answers:t.csv (on b/photos)"]


def test_runs_on_the_same_pictures_without_labels_or_with_others_are_left_out(world, tmp_path):
    """The same files, in one folder without classes, and with two pictures in another class."""
    photos, names = world.parent / "a" / "photos", {}
    for kind in ("flat", "moved"):
        folder = tmp_path / kind / "photos"
        if kind == "flat":
            folder.mkdir(parents=True)
            for path in photos.rglob("*.png"):
                copyfile(path, folder / path.name)
        else:
            copytree(photos, folder)
            for name in ("000.png", "001.png"):
                (folder / CLASSES[0] / name).rename(folder / CLASSES[1] / name)
        table = answer(tmp_path / f"{kind}.csv", {"photos": folder}, 0.8, 5)
        names[kind] = tmp_path / f"run-{kind}"
        tuiprobe.probe(
            f"answers:{table}", folder, output=names[kind], classes=list(CLASSES), progress=False
        )
    decision = decide(read_runs([world / "first", names["flat"], world / "second", names["moved"]]))
    assert decision.evidence == "pictures"
    assert reasons(decision) == {"run-flat": "no labels", "run-moved": "other labels"}
