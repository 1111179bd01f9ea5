"""Answers of a table in place of a model: the same figures as of the model that gave them."""

import csv
import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from shutil import copyfile, copytree
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import tuiprobe
from tests.measure.engine.colors import encoder_of, to_tensor
from tuiprobe.choose.comparing.decide import decide
from tuiprobe.choose.comparing.runs import read_run, read_runs
from tuiprobe.choose.comparing.sentences import weakening
from tuiprobe.choose.labelling.reading import read_report
from tuiprobe.choose.targets.class_mix import bound_accuracy
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.per_image import read_per_image
from tuiprobe.measure.run.pictures import read_digests
from tuiprobe.measure.run.records import read_plan
from tuiprobe.models.heads import Head
from tuiprobe.models.registry import LOADERS
from tuiprobe.results import NotRun, Report
from tuiprobe.results.subject import NO_REPRESENTATION
from tuiprobe.show.cli.app import run_cli

CLASSES = ("blue", "green", "red")
EACH = 40
INSIDE = ("outliers", "ablation", "directions")


class Mean(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(2, 3))


def network(seed: int) -> tuiprobe.Encoder:
    """Tells colours apart, some of them wrongly."""
    rng = np.random.default_rng(seed)
    weight = 9 * np.eye(3)[::-1] + rng.normal(size=(3, 3))
    head = Head(torch.tensor(weight.copy(), dtype=torch.float32), None, CLASSES, source="toy")
    encoder = encoder_of(Mean(), 3, to_tensor, head)
    encoder.name = f"py:toy{seed}"
    return encoder


def paint(folder: Path, seed: int, noise: float) -> Path:
    rng = np.random.default_rng(seed)
    for place, name in enumerate(reversed(CLASSES)):
        (folder / name).mkdir(parents=True)
        for number in range(EACH):
            color = 128 + 40 * np.eye(3)[place] + noise * rng.normal(size=3)
            pixels = np.tile(color.clip(0, 255).astype(np.uint8), (8, 8, 1))
            pixels[0, 0] = number, seed, place  # no two pictures are equal
            Image.fromarray(pixels).save(folder / name / f"{number:02}.png")
    return folder


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sets, runs of two networks on them, and their exported answers."""
    folder = tmp_path_factory.mktemp("answers")
    val, new = paint(folder / "val", 1, 30), paint(folder / "new", 2, 45)
    for seed in (0, 1):
        run = folder / f"run{seed}"
        tuiprobe.probe(network(seed), val, output=run, target=new, progress=False)
        assert run_cli(["report", str(run), "--format", "predictions", "--to", str(folder)]) == 0
        (folder / "predictions.csv").rename(folder / f"toy{seed}.csv")
    return folder


@pytest.fixture
def folder(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def measured(table: Path, world: Path, output: Path, target: Path | None = None) -> Report:
    return tuiprobe.probe(
        f"answers:{table}", world / "val", output=output, target=target, progress=False
    )


def test_a_run_and_its_exported_answers_give_the_same_accuracies_and_decision(world, folder):
    runs = [RunDir(world / "run0"), RunDir(world / "run1")]
    tables = [RunDir(folder / "a"), RunDir(folder / "b")]
    for number, table in enumerate(tables):
        measured(world / f"toy{number}.csv", world, table.path, target=world / "new")
    for run, table in zip(runs, tables, strict=True):
        ours, theirs = (
            [of for of in read_report(of_run).accuracies if of.data == "val"]
            for of_run in (run, table)
        )
        assert ours[0].evidence == "measured"
        assert 0.5 < ours[0].value < 1
        assert theirs == ours
        first, second = read_per_image(run), read_per_image(table)
        for name in ("val", "new"):
            assert first[name].differs_from(second[name]) is None
            np.testing.assert_array_equal(first[name].answers.answer, second[name].answers.answer)
    by_run, by_table = (
        decide(read_runs([run.path for run in some]), "val") for some in (runs, tables)
    )
    assert by_table.take == by_run.take
    for one, other in zip(by_run.models, by_table.models, strict=True):
        assert (one.standing, one.difference) == (other.standing, other.difference)


def test_nothing_is_known_about_the_inside_of_answers(world, folder):
    report = measured(world / "toy0.csv", world, folder / "run", target=world / "new")
    parts = {part.probe: part for part in report.parts}
    for id in INSIDE:
        assert parts[id].not_run.reason == NO_REPRESENTATION.reason
    assert parts["calibration"].not_run is None
    assert parts["targets"].not_run is None
    assert report.model.weights.kind == "answers"
    assert report.timings.images_per_second is None


def answers_on_val(world: Path) -> list[dict[str, str]]:
    rows = csv.DictReader((world / "toy0.csv").read_text().splitlines())
    return [row for row in rows if row["set"] == "val"]


def table_of(world: Path, change: Callable[[dict[str, str]], object], path: Path) -> Path:
    """Writes the answers on `val` again, each row changed in place."""
    rows = answers_on_val(world)
    for row in rows:
        change(row)
    names = list(rows[0])
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    return path


def only(*names: str) -> Callable[[dict[str, str]], None]:
    def change(row: dict[str, str]) -> None:
        for name in row.keys() - set(names):
            del row[name]

    return change


def ids_of(world: Path) -> dict[str, str]:
    samples = (world / "run0" / "samples.jsonl").read_text().splitlines()
    records = map(json.loads, samples)
    return {record["path"]: str(record["id"]) for record in records if record["set"] == "val"}


def test_pictures_are_named_by_path_content_or_id(world, folder):
    ids = ids_of(world)

    def by_id(row: dict[str, str]) -> None:
        row["id"] = ids[row["path"]]
        only("id", "class", "confidence")(row)

    def by_content(row: dict[str, str]) -> None:
        row["sha256"] = row["sha256"].upper()
        only("sha256", "class", "confidence")(row)

    top1 = read_report(RunDir(world / "run0")).figure("top1", "val")
    for number, change in enumerate((only("path", "class"), by_content, by_id)):
        table = table_of(world, change, folder / f"{number}.csv")
        assert measured(table, world, folder / str(number)).figure("top1", "val") == top1


@pytest.mark.parametrize("name", ["spreadsheet", "tabs", "windows", "macos"])
def test_tables_of_spreadsheets_and_other_systems_give_the_same_accuracy(world, folder, name):
    rows = answers_on_val(world)
    images = folder / "images"
    copytree(world / "val", images)
    (images / "red" / "00.png").rename(images / "red" / "r\u00f6t.png")
    paths = [row["path"].replace("red/00", "red/r\u00f6t") for row in rows]
    cells = [[p, r["class"], r["confidence"]] for p, r in zip(paths, rows, strict=True)]
    sign, header = (
        {"spreadsheet": ";", "tabs": "\t"}.get(name, ","),
        ["Path", "Class", "Confidence"],
    )
    if name == "spreadsheet":
        cells = [[p, c, sure.replace(".", ",")] for p, c, sure in cells] + [["", "", ""]]
    if name == "windows":
        header[0] = "filename"
        cells = [[".\\" + p.replace("/", "\\"), c, sure] for p, c, sure in cells]
    if name == "macos":
        cells = [[p.replace("\u00f6", "o\u0308"), c, sure] for p, c, sure in cells]
    table = folder / "a.csv"
    with table.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, delimiter=sign).writerows([header, *cells])
    report = tuiprobe.probe(f"answers:{table}", images, output=folder / "run", progress=False)
    right = np.mean([r["class"] == r["label"] for r in rows])
    assert report.figure("top1", "images").value == pytest.approx(right)
    confidences = read_per_image(RunDir(folder / "run"))["images"].values["confidence"]
    given = [float(row["confidence"]) for row in rows]
    np.testing.assert_allclose(np.sort(confidences), np.sort(given), rtol=1e-6)


@pytest.mark.parametrize("index", ["numbers", "paths", "parquet"])
@pytest.mark.parametrize("probabilities", [False, True])
def test_the_index_of_a_table_of_pandas_is_no_class(world, folder, index, probabilities):
    pandas = pytest.importorskip("pandas")
    rows = answers_on_val(world)
    classes = sorted({row["label"] for row in rows})
    frame = pandas.DataFrame({"path": [row["path"] for row in rows]})
    if probabilities:
        for name in classes:
            frame[name] = [
                0.9 if row["class"] == name else 0.1 / (len(classes) - 1) for row in rows
            ]
    else:
        frame["class"] = [row["class"] for row in rows]
    if index != "numbers":
        frame = frame.set_index("path").rename_axis(None)
    table = folder / ("a.parquet" if index == "parquet" else "a.csv")
    frame.to_parquet(table) if index == "parquet" else frame.to_csv(table)
    right = np.mean([row["class"] == row["label"] for row in rows])
    report = measured(table, world, folder / "run")
    assert report.figure("top1", "val").value == pytest.approx(right)
    assert "not used" not in str(report.warnings)


def test_answers_without_confidences_have_neither_calibration_nor_estimates(world, folder):
    table = table_of(world, only("path", "class"), folder / "a.csv")
    report = measured(table, world, folder / "run")
    parts = {part.probe: part for part in report.parts}
    assert parts["calibration"].not_run.reason == "the answers have no confidences"
    answers = read_per_image(RunDir(folder / "run"))["val"].answers
    assert np.isnan(answers.confidence).all()
    assert {of.confidence for of in report.predictions()} == {None}
    assert set(answers.second) == {-1}


def test_answers_without_confidences_have_the_bound_by_class_mix_and_no_estimate(folder):
    rows = []
    for name, classes in (("labelled", ["a", "b", "c", "d"]), ("street", [""])):
        for n in range(160):
            label = classes[n % len(classes)]
            path = folder / name / label / f"{n}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (n, len(name), 0)).save(path)
            rows.append([name, f"{label}/{n}.png" if label else path.name, label or "a"])
    with (folder / "mix.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["set", "path", "class"], *rows])
    report = tuiprobe.probe(
        f"answers:{folder / 'mix.csv'}", folder / "labelled", target=str(folder / "street"),
        classes=list("abcd"), sample=0, output=folder / "mixed", progress=False,
    )  # fmt: skip
    bound, estimate = (report.figure(f"target.{id}") for id in ("most_right", "uncalibrated"))
    assert bound.value == pytest.approx(bound_accuracy(*np.array([[40] * 4, [160, 0, 0, 0]]))[0])
    assert 0.25 < bound.value < 0.6
    assert estimate.remedy
    assert not any(of.data == "street" for of in report.accuracies)
    run = read_run(RunDir(folder / "mixed"))
    notes = list(weakening([run, run], None))
    assert [note for note in notes if note.startswith("right on street are at most")]


@pytest.mark.parametrize("columns", ["class", "confidence", "nine", "seven", "four", "tenths"])
def test_top5_is_computed_only_from_a_table_that_ranks_five_answers(folder, columns):
    """Against a sort; with one answer an image the order of the other classes is not known."""
    rng, names = np.random.default_rng(5), [f"class{n}" for n in range(9)]
    labels = np.repeat(np.arange(9), 5)
    paths = [f"{names[label]}/{n}.png" for n, label in enumerate(labels.tolist())]
    for n, path in enumerate(paths):
        (folder / "images" / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (n, 0, 0)).save(folder / "images" / path)
    with_column = {"seven": 7, "four": 4}.get(columns, 9)
    shares = rng.dirichlet(np.full(with_column, 0.4), len(labels))
    if columns == "tenths":
        shares = np.array([rng.multinomial(10, row) for row in shares]) / 10
    first = [names[n] for n in shares.argmax(axis=1).tolist()]
    table: dict[str, Any] = {"path": paths}
    if columns in ("class", "confidence"):
        table |= {"class": first, "confidence": shares.max(axis=1).tolist()}
    else:
        table |= dict(zip(names, shares.T.tolist(), strict=False))
    if columns == "class":
        del table["confidence"]
    with (folder / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([table, *zip(*table.values(), strict=True)])
    report = tuiprobe.probe(
        f"answers:{folder / 'a.csv'}", folder / "images", output=folder / "run", progress=False
    )
    top1, top5 = report.figure("top1", "images"), report.figure("top5", "images")
    assert top1.value == pytest.approx((shares.argmax(axis=1) == labels).mean())
    if columns in ("nine", "seven"):
        best = np.argsort(-shares, axis=1)[:, :5]
        assert top5.value == pytest.approx((best == labels[:, None]).any(axis=1).mean())
    else:
        assert isinstance(top5, NotRun)


def test_probabilities_of_all_classes_are_those_of_the_run(world, folder):
    rng = np.random.default_rng(3)
    rows = {}

    def change(row: dict[str, str]) -> None:
        shares = rng.dirichlet([1, 1, 1])
        rows[row["path"]] = shares
        row |= {name: f"{share:.17g}" for name, share in zip(CLASSES, shares, strict=True)}
        only("path", *CLASSES)(row)

    measured(table_of(world, change, folder / "a.csv"), world, folder / "run")
    values = read_per_image(RunDir(folder / "run"))["val"]
    paths = {int(i): path for path, i in ids_of(world).items()}
    shares = np.array([rows[paths[i]] for i in values.ids.tolist()])
    np.testing.assert_allclose(values.values["confidence"], shares.max(axis=1), rtol=1e-6)
    np.testing.assert_array_equal(values.answers.classes[shares.argmax(1)], values.answers.answer)


def bad_tables() -> Iterator[tuple[str, Callable[[list[str]], object], str]]:
    yield "missing", lambda lines: lines.pop(5), "has no answer on"
    yield "double", lambda lines: lines.append(lines[5]), "line 122"
    yield "picture", lambda lines: lines.append("gren/05.png,blue,.5"), "green/05.png"
    yield "class", lambda lines: lines.__setitem__(7, "x,bleu,.5"), "line 8"
    yield "above", lambda lines: lines.__setitem__(7, lines[7][:-4] + "1.01"), "line 8"
    yield "below", lambda lines: lines.__setitem__(7, lines[7].rsplit(",", 1)[0] + ",-0.1"), "8"
    yield "text", lambda lines: lines.__setitem__(7, lines[7].rsplit(",", 1)[0] + ",sure"), "8"


@pytest.mark.parametrize(
    ("name", "change", "named"), bad_tables(), ids=[b[0] for b in bad_tables()]
)
def test_a_table_that_does_not_fit_is_refused_by_line(world, folder, program, name, change, named):
    table = table_of(world, only("path", "class", "confidence"), folder / f"{name}.csv")
    lines = table.read_text().splitlines()
    change(lines)
    table.write_text("\n".join(lines) + "\n")
    words = ["--headless", "--model", f"answers:{table}", "--data", str(world / "val")]
    error = program(*words, "--output", str(folder / "run"), code=4).err.strip().splitlines()[-1]
    assert named in error
    assert not (folder / "run").exists()
    (wrong,) = program(*words, "--dry-run", "--json", code=4).json["wrong"]
    assert (wrong["option"], wrong["reason"]) == ("model", error.removeprefix("error: "))


def test_equal_pictures_may_be_listed_once_or_twice_with_one_answer(world, folder, program):
    images = folder / "images"
    copytree(world / "val", images)
    copyfile(images / "red" / "00.png", images / "red" / "copy.png")
    table = table_of(world, only("sha256", "class", "confidence"), folder / "a.csv")
    lines = table.read_text().splitlines()
    digest = sha256((images / "red" / "00.png").read_bytes()).hexdigest()
    (row,) = [line for line in lines if digest in line]
    figures = []
    for number, more in enumerate(([], [row])):
        table.write_text("\n".join([*lines, *more]) + "\n")
        report = tuiprobe.probe(f"answers:{table}", images, output=folder / str(number))
        figures.append(report.figure("top1", "images"))
    assert figures[0] == figures[1]
    assert figures[0].n == 3 * EACH  # exact copies count once
    table.write_text("\n".join([*lines, f"{row}9"]) + "\n")  # another confidence
    words = ["--headless", "--model", f"answers:{table}", "--data", str(images)]
    assert f"line {len(lines) + 1}" in program(*words, "--output", str(folder / "run"), code=4).err


def test_answers_on_another_picture_are_refused(world, folder, program):
    swapped = dict.fromkeys(("path", "sha256", "class"))

    def change(row: dict[str, str]) -> None:
        only(*swapped)(row)
        row["sha256"] = "0" * 64

    table = table_of(world, change, folder / "a.csv")
    words = ["--headless", "--model", f"answers:{table}", "--data", str(world / "val")]
    err = program(*words, "--output", str(folder / "run"), code=4).err
    assert "not the picture that was answered" in err


def test_the_content_of_the_table_is_part_of_the_key(world, folder):
    table = table_of(world, only("path", "class"), folder / "a.csv")
    keys = [measured(table, world, folder / "first").key]
    table.write_text(table.read_text().replace(",red\n", ",blue\n", 1))
    keys.append(measured(table, world, folder / "second").key)
    assert len(set(keys)) == 2


def test_label_makes_runs_of_tables_and_ignores_known_labels(world, folder, program):
    tables = [str(world / "toy0.csv"), str(world / "toy1.csv")]
    words = ["label", *tables, "--data", str(world / "val")]
    state = program(*words, "--answers-from", str(world / "val"), "--json").json
    models = {row["model"] for row in state["candidates"]}
    assert models == {"answers:toy0.csv", "answers:toy1.csv"}
    runs = sorted(path for path in (folder / "runs").iterdir() if path.is_dir())
    assert len(runs) == 2
    for run in map(RunDir, runs):
        record = read_plan(run).sets[0]
        assert record.classes == ()
        assert len(read_digests(run, record)) == 3 * EACH
    assert run_cli(["label", *tables]) == 2
    assert run_cli(["label", *map(str, runs), "--data", str(world / "val")]) == 2


def test_a_dry_run_says_what_answers_tell(world, folder, program):
    words = ["--headless", "--model", f"answers:{world / 'toy0.csv'}", "--data", str(world / "val")]
    planned = program(*words, "--dry-run", "--json").json
    assert planned["head"] == "yes"
    outcomes = {probe["id"]: probe["outcome"] for probe in planned["probes"]}
    assert outcomes["calibration"] == "runs"
    assert {outcomes[id]["reason"] for id in INSIDE} == {NO_REPRESENTATION.reason}


@pytest.mark.parametrize(
    ("model", "option"),
    [("answers:{}", "checkpoint"), ("answers:{}", "dtype"), ("py:x.py:net", "checkpoint"),
     ("transformers:a/b", "checkpoint")],
)  # fmt: skip
def test_options_of_a_network_are_refused_before_the_run(world, folder, program, model, option):
    (folder / "w.pt").touch()
    words = [
        "--headless",
        "--model",
        model.format(world / "toy0.csv"),
        "--data",
        str(world / "val"),
    ]
    words += [f"--{option}", "w.pt" if option == "checkpoint" else "bfloat16"]
    assert f"--{option} " in program(*words, code=2).err
    (wrong,) = program(*words, "--dry-run", "--json", code=2).json["wrong"]
    assert (wrong["option"], wrong["exit_code"]) == (option, 2)
    loader = LOADERS.get(model.partition(":")[0])
    assert option == "dtype" or not loader.takes_checkpoint
