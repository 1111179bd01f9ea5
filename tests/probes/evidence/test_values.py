"""Honest mistakes with tables, lists, loaders and vectors: none of them gives a wrong figure."""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from torchvision.datasets import ImageFolder

import tuiprobe
from tests.conftest import Program
from tests.vectors.conftest import Run, measure
from tuiprobe.datasets.hugging_face import HuggingFaceSet
from tuiprobe.datasets.list_files import labelled
from tuiprobe.datasets.load import load_dataset
from tuiprobe.datasets.python_images import PythonImages
from tuiprobe.errors import DataError, UsageError
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.status import read_status
from tuiprobe.probes.evidence.values import other_lengths
from tuiprobe.results import Report
from tuiprobe.results.doubt import Doubt
from tuiprobe.show.cli.app import run_cli
from tuiprobe.show.report import read_report

__all__ = ["measure"]

CLASSES = ("bus", "bus stop", "car", "tree")
EACH = 25


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of four classes, no two of which are equal."""
    root = tmp_path_factory.mktemp("street") / "street"
    for label, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for number in range(EACH):
            picture = Image.new("RGB", (8, 8), (number, 60 * label, 90))
            picture.save(root / name / f"{number:02}.png")
    return root


@pytest.fixture(scope="module")
def truth(street: Path) -> dict[str, str]:
    return {path.relative_to(street).as_posix(): path.parent.name for path in street.rglob("*.png")}


def answers_of(truth: Mapping[str, str], right: float, seed: int = 0) -> dict[str, str]:
    """Returns answers of which an exact share is right."""
    names, rng = sorted(set(truth.values())), np.random.default_rng(seed)
    wrong = set(rng.permutation(len(truth))[: round((1 - right) * len(truth))].tolist())
    return {
        path: names[(names.index(of) + 1) % len(names)] if n in wrong else of
        for n, (path, of) in enumerate(sorted(truth.items()))
    }


def table(path: Path, columns: Mapping[str, Sequence[object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *zip(*columns.values(), strict=True)])
    return path


Reported = Callable[..., Report]
Refused = Callable[..., str]


@pytest.fixture
def reported(street: Path, tmp_path: Path) -> Reported:
    """Makes a function that reports a table of answers with these columns."""

    def report(
        columns: Mapping[str, Any], data: Path | str = street, output: str = "run"
    ) -> Report:
        model = f"answers:{table(tmp_path / 'a.csv', columns)}"
        return tuiprobe.probe(model, data, output=tmp_path / output, progress=False)

    return report


@pytest.fixture
def refused(street: Path, tmp_path: Path, program: Program) -> Refused:
    """Makes a function for the sentence with which a run, and a dry run, refuse such a table."""

    def reason(columns: Mapping[str, Any], data: Path | str = street) -> str:
        model, output = f"answers:{table(tmp_path / 'a.csv', columns)}", tmp_path / "refused"
        words = ["--headless", "--model", model, "--data", str(data)]
        (wrong,) = program(*words, "--dry-run", "--json", code=4).json["wrong"]
        assert wrong["reason"] in program(*words, "--output", str(output), code=4).err
        assert not output.exists()
        return str(wrong["reason"])

    return reason


def withheld(report: Report) -> list[str]:
    return [doubt.id for doubt in report.doubts if doubt.withholds]


# Loaders


@pytest.mark.parametrize("order", ["one by one", "in batches", "first ones"])
def test_of_a_loader_the_images_count_that_its_sampler_names(street: Path, order: str) -> None:
    data = ImageFolder(str(street))
    chosen = list(range(30)) if order == "first ones" else [3, 4, 60, 61, 99]
    sampler: Any = SubsetRandomSampler(chosen)
    if order == "in batches":
        loader = DataLoader(data, batch_sampler=BatchSampler(sampler, 2, drop_last=False))
    else:
        sampler = SequentialSampler(chosen) if order == "first ones" else sampler
        loader = DataLoader(data, sampler=sampler)
    state = torch.random.get_rng_state()
    images = PythonImages(loader)
    assert torch.equal(state, torch.random.get_rng_state())
    assert [CLASSES[sample.label or 0] for sample in images.samples] == [
        CLASSES[data.targets[i]] for i in chosen
    ]
    for sample, i in zip(images.samples, chosen, strict=True):
        assert images.read(sample).image().tobytes() == data[i][0].tobytes()


def test_a_loader_that_shuffles_all_gives_all_and_says_what_it_does_not_use(street: Path) -> None:
    data = ImageFolder(str(street))
    shuffled = DataLoader(data, batch_size=8, shuffle=True, drop_last=True)
    assert len(PythonImages(shuffled).samples) == len(data)
    other = DataLoader(data, collate_fn=lambda items: items)
    assert PythonImages(other).notes == ("not used: collate_fn of the DataLoader",)


@pytest.mark.parametrize(
    "sampler",
    [
        WeightedRandomSampler([1.0] * 100, 60),
        RandomSampler(range(100), replacement=True),
        RandomSampler(range(100), num_samples=40),
    ],
    ids=lambda sampler: type(sampler).__name__,
)
def test_a_loader_that_draws_other_images_each_time_is_refused(street: Path, sampler: Any) -> None:
    with pytest.raises(UsageError, match="Subset"):
        PythonImages(DataLoader(ImageFolder(str(street)), sampler=sampler))


@pytest.mark.parametrize("sampler", [[True, False] * 50, [], [1, 100], [-1]])
def test_a_mask_and_numbers_of_no_image_are_refused(street: Path, sampler: list[int]) -> None:
    data = ImageFolder(str(street))
    with pytest.raises((UsageError, DataError), match=r"mask|names none"):
        PythonImages(DataLoader(data, sampler=sampler))
    if len(sampler) == len(data):
        with pytest.raises(UsageError, match="mask"):
            PythonImages(Subset(data, sampler))


# Parts of the data


@pytest.mark.parametrize(
    ("column", "values"),
    [("split", ("train", "holdout")), ("Fold", ("0", "1")), ("is_valid", ("False", "True")),
     ("usage", ("Training", "PublicTest")), ("set", ("train", "val")),
     ("cv_fold", ("0", "1")), ("train", ("1", "0")), ("data_set", ("tr", "va"))],
)  # fmt: skip
def test_a_list_of_several_parts_is_refused_and_one_can_be_chosen(street, truth, column, values):
    paths = sorted(truth)
    parts = [values[n % 5 == 0] for n in range(len(paths))]
    columns = {"path": paths, "label": [truth[path] for path in paths], column: parts}
    file = table(street / "list.csv", columns)
    with pytest.raises(DataError, match=rf"column {column} \({values[0]} 80, {values[1]} 20\)"):
        load_dataset(f"csv:{file}")
    with pytest.raises(DataError, match=r"csv:list.csv@split=test"):
        labelled(load_dataset(f"imagefolder:{street}"), file)
    chosen = load_dataset(f"csv:{file}@{column}={values[1]}")
    assert [sample.path for sample in chosen.samples] == paths[::5]
    assert chosen.notes == ()
    assert load_dataset(chosen.source).samples == chosen.samples
    with pytest.raises(DataError, match="which holds"):
        load_dataset(f"csv:{file}@{column}=dev")
    one = table(street / "list.csv", {**columns, column: [values[1]] * len(paths)})
    assert len(labelled(load_dataset(f"imagefolder:{street}"), one).samples) == len(paths)
    file.unlink()


def test_a_list_to_fit_and_to_test_on_is_refused_for_a_head_that_is_not_fitted(
    street, truth, tmp_path, refused, reported
):
    answers = answers_of(truth, 0.8)
    parts = ["test" if n % 5 == 0 else "train" for n in range(len(answers))]
    labels = [truth[path] for path in answers]
    paths = [str(street / path) for path in answers]
    data = table(tmp_path / "list.csv", {"path": paths, "label": labels, "split": parts})
    columns = {"path": paths, "class": [*answers.values()]}
    assert "split (train 80, test 20)" in refused(columns, f"csv:{data}")
    clip = ["--headless", "--model", "mini_clip", "--classes", ",".join(CLASSES)]
    assert run_cli([*clip, "--data", f"csv:{data}", "--output", str(tmp_path / "clip")]) == 4
    shift = ["--data", "miniature", "--target", f"csv:{data}"]
    assert run_cli([*clip[:3], *shift, "--output", str(tmp_path / "shift")]) == 4
    tested = {name: values[::5] for name, values in columns.items()}
    report = reported(tested, f"csv:{data}@split=test")
    right = np.mean([a == t for a, t in zip(tested["class"], labels[::5], strict=True)])
    assert report.figure("top1", "list-test").value == right


def test_metadata_and_folders_of_several_parts_are_refused(street, truth, tmp_path):
    paths = sorted(truth)
    file = table(
        street / "metadata.csv",
        {"file_name": paths, "split": ["train" if n % 2 else "test" for n in range(len(paths))]},
    )
    with pytest.raises(DataError, match=r"split \(test 50, train 50\)"):
        load_dataset(f"imagefolder:{street}")
    file.unlink()
    for part in ("train", "test"):
        copytree(street, tmp_path / part)
    with pytest.raises(DataError, match="give one of these folders"):  # its head is not fitted
        tuiprobe.probe("mini_clip", tmp_path, output=tmp_path / "run", progress=False)
    (tmp_path / "train").rename(tmp_path / "val")
    (tmp_path / "test").rename(tmp_path / "holdout")
    with pytest.raises(DataError, match="give one of these folders"):
        _ = load_dataset(f"imagefolder:{tmp_path}").classes


def test_rows_of_hugging_face_of_several_parts_are_refused(tmp_path: Path, street: Path) -> None:
    datasets = pytest.importorskip("datasets")
    pictures = [
        {"bytes": path.read_bytes(), "path": None} for path in sorted(street.rglob("*/0[0-3].png"))
    ]
    content = {"image": pictures, "label": ["a", "b"] * 8, "split": ["train"] * 12 + ["test"] * 4}
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.Value("string"),
            "split": datasets.Value("string"),
        }
    )
    rows = datasets.Dataset.from_dict(content, features=features)
    rows.to_parquet(tmp_path / "x.parquet")
    both = load_dataset(f"parquet:{tmp_path / 'x.parquet'}")
    assert isinstance(both, HuggingFaceSet)
    assert both.tested == [False] * 12 + [True] * 4  # for a head that is fitted
    with pytest.raises(DataError, match=r"split \(train 12, test 4\)"):
        tuiprobe.probe("mini_clip", both.source, output=tmp_path / "run", progress=False)
    chosen = load_dataset(f"parquet:{tmp_path / 'x.parquet'}@split=test")
    assert len(chosen.samples) == len(load_dataset(chosen.source).samples) == 4
    with pytest.raises(DataError, match=r"rows.filter"):
        tuiprobe.probe("mini_clip", rows, output=tmp_path / "run", progress=False)


def test_answers_on_pictures_of_several_parts_are_refused(truth, refused, reported):
    answers = answers_of(truth, 0.8)
    columns: dict[str, Any] = {
        "path": [*answers],
        "class": [*answers.values()],
        "split": ["test" if n % 4 == 0 else "train" for n in range(len(answers))],
    }
    assert "split (train 75, test 25)" in refused(columns)
    columns |= {"split": ["test"] * 100, "fold": [*range(5)] * 20, "confidence": [0.9] * 100}
    assert reported(columns).figure("top1", "street").value == 0.8


# Columns of a table of answers


@pytest.mark.parametrize("name", ["pred", "Predicted Class", "y_pred", "prediction"])
def test_answers_beside_labels_are_those_of_the_column_of_predictions(truth, reported, name):
    answers = answers_of(truth, 0.87)
    columns: dict[str, Any] = {
        "path": [*answers],
        "class": [truth[path] for path in answers],
        name: [*answers.values()],
        "confidence": [0.9] * len(answers),
    }
    assert reported(columns).figure("top1", "street").value == 0.87


def test_labels_that_pass_for_answers_or_contradict_the_folders_are_refused(
    truth, refused, reported
):
    answers = answers_of(truth, 0.87)
    columns = {"path": [*answers], "class": [truth[path] for path in answers]}
    output = [*answers.values()]
    assert "call the answers prediction" in refused({**columns, "output": output})
    right = [int(answers[path] == truth[path]) for path in answers]
    marked = {**columns, "correct": right, "confidence": [0.9] * len(answers)}
    assert "correct says otherwise" in refused(marked)
    versioned = {**columns, "output": ["v2"] * len(answers)}
    assert reported(versioned).figure("top1", "street").value == 1
    other = [truth[path] for path in answers]
    other[7] = "tree"
    assert "line 9" in refused({"path": [*answers], "class": output, "label": other})


@pytest.mark.parametrize("folders", ["bus stop", "bus_stop"])
def test_ids_in_an_order_that_torchvision_has_otherwise_are_refused(
    street, truth, tmp_path, refused, reported, folders
):
    for name in CLASSES:
        (tmp_path / "s" / name.replace("bus stop", folders)).parent.mkdir(exist_ok=True)
        (tmp_path / "s" / name.replace("bus stop", folders)).symlink_to(street / name)
    paths = [
        Path(path).relative_to(tmp_path / "s").as_posix()
        for path, _ in ImageFolder(str(tmp_path / "s")).samples
    ]
    answers = answers_of({path: path.split("/")[0] for path in paths}, 0.88)
    columns = {"id": range(len(paths)), "class": [answers[path] for path in paths]}
    if folders == "bus stop":  # a blank sorts before the sign between folders
        assert "id 0 is bus stop/00.png" in refused(columns, tmp_path / "s")
    else:
        assert reported(columns, tmp_path / "s").figure("top1", "s").value == 0.88


def test_ids_of_an_unsorted_list_are_refused(street, truth, tmp_path, refused):
    paths = sorted(truth)[::-1]
    columns = {"path": [str(street / p) for p in paths], "label": [truth[p] for p in paths]}
    table(tmp_path / "list.csv", columns)
    numbered = {"id": range(100), "class": [truth[p] for p in paths]}
    assert "by a column path" in refused(numbered, f"csv:{tmp_path / 'list.csv'}")


# Confidences


def two_classes(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    root = tmp_path / "pair"
    for name in ("benign", "malign"):
        (root / name).mkdir(parents=True)
        for number in range(50):
            Image.new("RGB", (8, 8), (number, len(name) * 9, name == "malign")).save(
                root / name / f"{number:02}.png"
            )
    return root, {p.relative_to(root).as_posix(): p.parent.name for p in root.rglob("*.png")}


@pytest.mark.parametrize("positive", ["malign", "benign"])
def test_a_probability_of_one_of_two_classes_is_read_as_that(tmp_path, reported, positive):
    root, truth = two_classes(tmp_path)
    answers, rng = answers_of(truth, 0.8), np.random.default_rng(1)
    sure = 0.5 + 0.5 * rng.beta(2, 1, len(answers))
    columns: dict[str, Any] = {"path": [*answers], "class": [*answers.values()]}
    of_class = [s if a == positive else 1 - s for s, a in zip(sure, answers.values(), strict=True)]
    expected = None
    for number, confidence in enumerate((sure.tolist(), of_class)):
        report = reported({**columns, "confidence": confidence}, root, str(number))
        figures = {part.probe: part for part in report.parts}["calibration"].figures
        values = [getattr(named.figure, "value", None) for named in figures]
        assert report.figure("top1", "pair").value == 0.8
        assert expected is None or values == pytest.approx(expected)
        expected = values
    assert any(f"as the probability of {positive}" in warning for warning in report.warnings)


def test_a_confidence_that_cannot_be_that_of_the_answer_is_refused(truth, refused, reported):
    answers, rng = answers_of(truth, 0.8), np.random.default_rng(1)
    sure = 0.5 + 0.5 * rng.beta(3, 1, len(answers))
    columns: dict[str, Any] = {"path": [*answers], "class": [*answers.values()]}
    columns["confidence"] = [*(1 - sure)]
    assert "its difference from 1 would fit" in refused(columns)
    assert "column max_prob would fit" in refused({**columns, "max_prob": [*sure]})
    columns["confidence"] = [*(sure / 100)]
    assert "100 times as much would fit" in refused(columns)
    columns["confidence"] = ["0.2", *sure[1:]]  # one of a hundred may be odd
    assert reported(columns).figure("top1", "street").value == 0.8


def test_permuted_columns_of_probabilities_withhold(truth, reported):
    answers, names = answers_of(truth, 0.87), sorted(set(truth.values()))
    columns: dict[str, Any] = {"path": [*answers]}
    for name, header in zip(names, [names[2], names[0], names[3], names[1]], strict=True):
        columns[header] = [0.7 if of == name else 0.1 for of in answers.values()]
    assert withheld(reported(columns)) == ["other-order"]


def test_rounded_confidences_are_accepted(truth, reported):
    columns = {"path": [*truth], "class": [*truth.values()], "confidence": ["0,2"] * len(truth)}
    assert reported(columns)


# Answers that are missing


def test_many_empty_answers_are_unknown_and_withhold_decisions(truth, tmp_path, reported):
    answers = answers_of(truth, 0.8)
    kept = [path for n, path in enumerate(answers) if n % 2]
    right = sum(answers[path] == truth[path] for path in kept)
    cells = [answers[path] if path in kept else "" for path in answers]
    report = reported({"path": [*answers], "class": cells})
    top1 = report.figure("top1", "street")
    assert top1.value == right / len(kept)
    assert top1.low < right / 100
    assert top1.high > (right + 50) / 100
    assert withheld(report) == ["no-answer"]
    live = read_status(RunDir(tmp_path / "run"), 0).answers["street"].accuracy("street")
    assert (live.value, live.low, live.high) == (top1.value, top1.low, top1.high)
    cells = [answers[path] if n % 25 else "" for n, path in enumerate(answers)]
    few = reported({"path": [*answers], "class": cells}, output="few")
    assert few.figure("top1", "street").value == sum(
        a == t for a, t in zip(cells, map(truth.get, answers), strict=True)
    ) / len(answers)
    assert withheld(few) == []


def test_labels_decide_nothing_between_answers_that_are_often_missing(
    street, truth, tmp_path, program, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    right, worse = answers_of(truth, 0.95), answers_of(truth, 0.4, 1)
    for name, empty in (("a", 3), ("b", 1000)):
        answers = right if name == "a" else worse
        cells = [of if (n + 1) % empty else "" for n, of in enumerate(answers.values())]
        table(tmp_path / f"{name}.csv", {"path": [*answers], "class": cells})
    table(tmp_path / "truth.csv", {"path": [*truth], "class": [*truth.values()]})
    words = ["label", "a.csv", "b.csv", "--data", str(street), "--answers-from", "truth.csv"]
    state = program(*words, "--require-decision", "--json", code=1).json
    assert [doubt["id"] for doubt in state["doubts"] if doubt["withholds"]] == ["no-answer"]
    assert not state["decided"]


# Vectors


def vectors(seed: int = 0, n: int = 400) -> tuple[np.ndarray, ...]:
    """Returns vectors, labels, weight and bias of a head by least squares."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 4
    x = rng.normal(size=(n, 16)) + 3 * np.eye(4, 16)[labels] + 6 * np.linspace(0, 1, 16)
    design = np.concatenate([x, np.ones((n, 1))], axis=1)
    solved, *_ = np.linalg.lstsq(design, np.eye(4)[labels], rcond=None)
    return (
        x.astype(np.float32),
        labels,
        solved[:-1].T.astype(np.float32, order="C"),
        solved[-1].astype(np.float32),
    )


def test_vectors_of_other_lengths_than_those_of_the_head_are_in_doubt() -> None:
    x, labels, weight, bias = vectors()
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    right = ((x @ weight.T + bias).argmax(axis=1) == labels).mean()
    (doubt,) = other_lengths("x", unit, weight, bias, labels)
    assert isinstance(doubt, Doubt)
    assert doubt.withholds
    assert doubt.figures["right"] < right - 0.1
    assert abs(doubt.figures["right_rescaled"] - right) < 0.1
    assert not list(other_lengths("x", x, weight, bias, labels))


def test_honest_heads_on_vectors_are_in_no_doubt() -> None:
    for seed in range(40):
        x, labels, weight, bias = vectors(seed, 200)
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        design = np.concatenate([unit, np.ones((len(x), 1))], axis=1)
        penalty = 10.0 ** (seed % 5 - 3)
        gram = design.T @ design + penalty * np.diag([1.0] * 16 + [0])
        fitted = np.linalg.solve(gram, design.T @ np.eye(4)[labels]).astype(np.float32)
        doubts = [*other_lengths("x", unit, fitted[:-1].T, fitted[-1], labels)]
        doubts += other_lengths("x", x, weight, bias, labels)
        assert not any(doubt.withholds for doubt in doubts)


def test_a_run_of_normalised_vectors_withholds(tmp_path: Path, measure: Run) -> None:
    x, labels, weight, bias = vectors()
    np.save(tmp_path / "x.npy", x / np.linalg.norm(x, axis=1, keepdims=True))
    np.savetxt(tmp_path / "y.txt", labels, fmt="%d")
    save_file({"weight": weight, "bias": bias}, tmp_path / "head.safetensors")
    options = {"labels": str(tmp_path / "y.txt"), "head": str(tmp_path / "head.safetensors")}
    outcome = measure(tmp_path / "x.npy", **options)
    assert "other-lengths" in withheld(read_report(outcome.directory))
    np.save(tmp_path / "x.npy", x)
    outcome = measure(tmp_path / "x.npy", output="raw", **options)
    assert withheld(read_report(outcome.directory)) == []


def test_labels_of_vectors_of_several_parts_are_refused(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", vectors()[0])
    parts = ["train"] * 300 + ["test"] * 100
    table(tmp_path / "y.csv", {"label": vectors()[1].tolist(), "split": parts})
    monkeypatch.chdir(tmp_path)
    words = ["--headless", "--embeddings", "x.npy", "--labels", "y.csv"]
    assert run_cli([*words, "--output", "run"]) == 4
    assert not Path("run").exists()
