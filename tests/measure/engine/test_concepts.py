"""Concepts through the whole engine, on images whose content and encoding are known."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from tests.datasets.broden_tree import write_index, write_labels, write_map, write_picture
from tests.measure.engine.conftest import small_job
from tests.parts import part
from tuiprobe import probe
from tuiprobe.files import DamagedFileError
from tuiprobe.inside.concepts.compute import Concepts
from tuiprobe.inside.outliers.result import OutlierResult
from tuiprobe.measure.run.arrays import read_arrays, write_arrays
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.measurements import read_labels
from tuiprobe.results.report import Report
from tuiprobe.show.cli.app import run_cli

MODEL = "py:tests.measure.engine.colors:build"
IMAGES = 240
LABELS = (
    (1, "red-c", "color(120)"), (2, "green-c", "color(120)"), (260, "ball", "object(120)"),
    (7, "nowhere", "object(0)"), (8, "everywhere", "object(240)"), (9, "street-s", "scene(90)"),
)  # fmt: skip


def write_planted(root: Path) -> Path:
    """Red or green pictures with maps; "ball" and "street" are drawn without regard to pixels."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(IMAGES):
        red, ball, street = rng.random(3) < 0.5
        shade = int(rng.integers(120, 250))
        color = (shade, 40, int(rng.integers(0, 255))) if red else (40, shade, 128)
        write_picture(root / "images" / f"set/{i:03d}.jpg", color)
        write_map(root / "images" / f"set/{i:03d}_color.png", np.full((8, 8), 1 if red else 2))
        things = np.full((8, 8), 8)
        things[:2, :4] = 260 if ball else 8
        write_map(root / "images" / f"set/{i:03d}_object.png", things)
        scene = "" if i % 8 == 0 else "9" if street else ""
        rows.append(
            (f"set/{i:03d}.jpg", "train" if i % 2 else "val", 16, 16, 8, 8,
             f"set/{i:03d}_color.png", f"set/{i:03d}_object.png", "", "", scene, "")
        )  # fmt: skip
    write_index(root, rows)
    write_labels(root, LABELS)
    return root


@pytest.fixture(scope="module")
def broden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_planted(tmp_path_factory.mktemp("data") / "broden1_224")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    for i in range(8):
        write_picture(root / f"{i}.png", (30 * i, 90, 20))
    return root


def run(photos: Path, source: str, output: Path, **options: Any) -> Report:
    options = {"workers": 0, "threads": 1, "batch_size": 16, **options}
    return probe(MODEL, f"imagefolder:{photos}", output=str(output), concepts=source, **options)


@pytest.fixture(scope="module")
def planted(broden: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "run"
    run(photos, f"broden:{broden}", output)
    return output


def concepts_of(report: Report) -> Concepts:
    return part(report, Concepts)


def family(result: Concepts, name: str):
    return next(f for f in result.families if f.family == name)


@pytest.mark.slow
def test_what_is_planted_is_found_and_what_is_not_is_not(planted: Path) -> None:
    report = Report.read(planted / "results.json")
    concepts = concepts_of(report)
    assert set(family(concepts, "channels").encoded) == {"red-c", "green-c"}
    # on every image, on none, and without a negative among the annotated
    assert (concepts.tried, concepts.left_out) == (3, 3)
    assert (concepts.train, concepts.val) == (120, 120)
    assert "no head" in concepts.excess.reason or "class names" in concepts.excess.reason
    assert concepts.random_space == "representation"
    assert [dataset.name for dataset in report.data] == [report.data[0].name, "broden1_224"]
    assert {tap.data for tap in part(report, OutlierResult).taps} == {report.data[0].name}
    assert "Concept set: `broden1_224`." in (planted / "report.md").read_text()
    assert (planted / "tables" / "best_concepts.csv").exists()


def test_average_precision_equals_sklearn_on_the_stored_files(planted: Path) -> None:
    concepts = concepts_of(Report.read(planted / "results.json"))
    arrays, _ = read_arrays(RunDir(planted).features_file("broden1_224"))
    labels = read_labels(RunDir(planted))
    assert labels.ids.tolist() == arrays["ids"].tolist()
    red = labels.shares.toarray()[:, labels.names.index("red-c")] > 0
    best = max(
        min(
            average_precision_score(red[side], sign * arrays["features"][side, channel])
            for side in (labels.train, ~labels.train)
        )
        for channel in range(5)
        for sign in (1, -1)
    )
    curve = {p.threshold: p.concepts.value for p in family(concepts, "channels").curve}
    assert best > 0.98
    assert curve[0.98] == 2
    pictures = {path.stem for path in (planted / "thumbs" / "broden1_224").iterdir()}
    displayed = [i for c in concepts.top for i in (*c.largest, *c.smallest)]
    assert {str(image.sample_id) for image in displayed} == pictures
    assert all(image.path.startswith("set/") for image in displayed)


def test_everything_is_computed_again_from_files_alone(broden, photos, tmp_path):
    root = shutil.copytree(broden, tmp_path / "broden1_224")
    output = tmp_path / "run"
    first = concepts_of(run(photos, f"broden:{root}", output))
    shutil.rmtree(root)
    assert run_cli(["reprobe", str(output)]) == 0
    assert concepts_of(Report.read(output / "results.json")) == first


def test_a_resumed_run_gives_the_same_and_changed_labels_what_a_new_run_gives(
    broden, photos, planted, tmp_path
):
    output = shutil.copytree(planted, tmp_path / "run")
    directory = RunDir(output)
    directory.shard_file("broden1_224", 3).unlink()
    directory.concepts_file.unlink()
    directory.results_file.unlink()
    again = run(photos, f"broden:{broden}", output)
    assert concepts_of(again) == concepts_of(Report.read(planted / "results.json"))
    changed = shutil.copytree(broden, tmp_path / "broden1_224")
    write_labels(changed, ((1, "scarlet-c", "color(120)"), *LABELS[1:]))
    again = run(photos, f"broden:{changed}", output)
    assert "scarlet-c" in family(concepts_of(again), "channels").encoded
    assert concepts_of(again) == concepts_of(run(photos, f"broden:{changed}", tmp_path / "new"))


def test_bad_input_ends_with_code_4_and_names_the_file(broden, photos, tmp_path, program):
    command = small_job(photos, tmp_path / "run", "--concepts")
    err = program(*command, "imagenet", code=2).err
    assert {"miniature", "broden:DIR", "csv:FILE", "none"} <= set(re.split(r"[ ,;\n]+", err))
    for place, spoil, message in (
        (
            "images/set/017_color.png",
            lambda file: write_map(file, np.full((8, 8), 300)),
            "017_color.png: a pixel has label number 300",
        ),
        (
            "images/set/017_object.png",
            Path.unlink,
            "017_object.png: the file is gone; it is the object map of set/017.jpg",
        ),
    ):
        root = shutil.copytree(broden, tmp_path / Path(place).stem / "broden1_224")
        spoil(root / place)
        assert message in program(*command, f"broden:{root}", code=4).err
        assert not (tmp_path / "run" / "results.json").exists()


def test_a_folder_with_a_csv(broden: Path, photos: Path, tmp_path: Path) -> None:
    labels = ["image,split,color:red,noise\n"]
    for i in range(160):
        write_picture(tmp_path / "pictures" / f"{i}.jpg", (230 if i // 2 % 2 else 30, 90, 90))
        labels.append(f"pictures/{i}.jpg,{'train' if i % 2 else 'val'},{i // 2 % 2},{i // 80}\n")
    (tmp_path / "what.csv").write_text("".join(labels))
    concepts = concepts_of(run(photos, f"csv:{tmp_path / 'what.csv'}", tmp_path / "run"))
    assert family(concepts, "channels").encoded == ("red",)
    assert concepts.data == "what"


def test_parts_that_cannot_run_say_why(photos: Path, broden: Path, tmp_path: Path) -> None:
    few = run(photos, f"broden:{broden}", tmp_path / "few", concept_sample=40)
    assert few.part(Concepts) is None
    assert "no concept of broden1_224 has 30 positives" in few.why_not("concepts")
    none = run(photos, "none", tmp_path / "none")
    assert none.why_not("concepts") == "no concept set (pass --concepts broden:DIR)"


def test_damaged_labels_are_named(planted: Path, tmp_path: Path) -> None:
    directory = RunDir(shutil.copytree(planted, tmp_path / "run"))
    arrays, metadata = read_arrays(directory.concepts_file)
    broken = arrays["indices"].copy()
    broken[4] = 99
    write_arrays(directory.concepts_file, {**arrays, "indices": broken}, metadata)
    with pytest.raises(DamagedFileError, match=r"concepts\.safetensors is damaged: indices"):
        read_labels(directory)
    names = [*json.loads(metadata["names"]), "one more"]
    write_arrays(directory.concepts_file, arrays, {**metadata, "names": json.dumps(names)})
    with pytest.raises(DamagedFileError, match="category_of"):
        read_labels(directory)
    write_arrays(directory.concepts_file, {**arrays, "ids": arrays["ids"] + 1}, metadata)
    assert run_cli(["reprobe", str(directory.path)]) == 4
