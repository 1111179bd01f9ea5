"""Images and labels in tables: CSV and Parquet lists, `--labels`, `metadata.csv` in a folder."""

import csv
import pickle
from pathlib import Path
from typing import Any

import pytest

import tuiprobe
from tests.conftest import Program
from tests.datasets.trees import jpeg, write_images
from tuiprobe.datasets.list_files import labelled
from tuiprobe.datasets.load import load_dataset
from tuiprobe.errors import DataError
from tuiprobe.results import Report

PATHS = ("b/2.png", "a/1.png", "c.png", "a/3.png")
LABELS = ("dog", "cat", "dog", "bird")
"""By byte order of the paths: cat, bird, dog, dog."""


def write_table(path: Path, columns: dict[str, Any], delimiter: str = ",") -> Path:
    if path.suffix == ".parquet":
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        pq.write_table(pa.table({name: list(cells) for name, cells in columns.items()}), path)
        return path
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, delimiter=delimiter)
        table.writerow(columns)
        table.writerows(zip(*columns.values(), strict=True))
    return path


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_list_gives_its_images_with_its_labels(tmp_path: Path, suffix: str) -> None:
    write_images(tmp_path, *PATHS, "not-listed.png")
    file = write_table(
        tmp_path / f"pets.{suffix}", {"path": PATHS, "x": "1234", "y": "5678", "label": LABELS}
    )
    images = load_dataset(f"{suffix}:{file}")
    assert (images.name, images.source) == ("pets", f"{suffix}:{file}")
    assert images.classes == ("bird", "cat", "dog")
    assert [sample.path for sample in images.samples] == sorted(PATHS)
    assert [images.classes[s.label or 0] for s in images.samples] == ["cat", "bird", "dog", "dog"]
    assert images.read(images.samples[2]).image().getpixel((0, 0)) == (0, 90, 40), "b/2.png"
    assert images.stamp(images.samples[0]) == images.read(images.samples[0]).stamp
    assert pickle.loads(pickle.dumps(images)).samples == images.samples


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_labels_of_a_list_are_numbers_names_or_none(tmp_path: Path, suffix: str) -> None:
    write_images(tmp_path, *PATHS)
    paths = [str(tmp_path / path) for path in PATHS]  # absolute ones are read as they are
    file = write_table(tmp_path / f"x.{suffix}", {"image": paths, "class": [2, 0, 2, 4]})
    images = load_dataset(f"{suffix}:{file}")
    assert images.classes == ("0", "1", "2", "3", "4")
    assert [sample.label for sample in images.samples] == [0, 4, 2, 2]
    assert images.read(images.samples[1]).image().getpixel((0, 0)) == (3, 90, 40)
    file = write_table(tmp_path / f"y.{suffix}", {"file_name": PATHS})
    images = load_dataset(f"{suffix}:{file}")
    assert (images.classes, {sample.label for sample in images.samples}) == ((), {None})


@pytest.mark.parametrize(
    ("columns", "cause"),
    [
        ({"picture": PATHS}, "no column names the images"),
        ({"path": ("a.png", "a.png"), "label": "01"}, "lists a.png twice"),
        ({"path": ("a.png", "b.png"), "label": ("cat", "")}, "b.png has no label and others have"),
        ({"path": ("a.png", ""), "label": "01"}, "row 1 has no path"),
        ({"path": ("a.png", "./a.png"), "label": "01"}, "lists a.png twice"),
        ({"path": PATHS, "label": LABELS, "class": ("dog", "cat", "dog", "cat")}, "'class'"),
        ({"path": PATHS, "label": ("Dog", "cat", "dog", "bird")}, "'Dog' and 'dog'"),
        ({"path": ("a.png", "b.png"), "label": ("0", "1.5")}, "no whole number"),
        ({"path": ("a.png", "b.png"), "label": ("0", "-1")}, "labels are whole numbers from 0"),
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_list_that_cannot_be_used_says_why(tmp_path, columns, cause, suffix, program):
    file = write_table(tmp_path / f"x.{suffix}", columns)
    err = program("--headless", "--data", f"{suffix}:{file}", code=4).err
    assert cause in err
    assert err.count("\n") == 1


def test_a_run_of_a_list_is_that_of_its_folder(tmp_path: Path) -> None:
    names = [f"{name}/{i}.png" for name in ("cat", "dog") for i in range(6)]
    write_images(tmp_path / "pets", *names)
    paths = [f"pets/{name}" for name in names]
    labels = [name.partition("/")[0] for name in names]
    write_table(tmp_path / "pets.csv", {"path": paths, "label": labels}, ";")
    write_table(tmp_path / "labels.csv", {"path": names, "label": labels})

    def report(name: str, data: Path | str, labels: Path | None = None) -> Report:
        output = tmp_path / name
        return tuiprobe.probe(
            "mini_clip", data, target="none", concepts="none", labels=labels, output=output
        )

    folder = report("a", tmp_path / "pets")
    listed = report("b", f"csv:{tmp_path / 'pets.csv'}")
    joined = report("c", tmp_path / "pets", tmp_path / "labels.csv")
    assert folder.key == joined.key, "the labels of both are the same"
    assert listed.key != folder.key, "its paths begin at another folder"
    first = folder.accuracies[0]
    assert (first.n, first.evidence) == (12, "measured")
    for other in (listed, joined):
        (accuracy,) = other.accuracies
        assert (accuracy.value, accuracy.low, accuracy.n) == (first.value, first.low, first.n)


def test_labels_join_a_flat_folder_by_path(tmp_path: Path, program: Program) -> None:
    write_images(tmp_path / "flat", "1.png", "2.png", "3.png")
    file = write_table(
        tmp_path / "l.csv", {"file": ("./3.png", "1.png", "4.png", "2.png"), "label": "0210"}
    )
    images = labelled(load_dataset(f"imagefolder:{tmp_path / 'flat'}"), file)
    assert [sample.label for sample in images.samples] == [2, 0, 0]
    assert images.classes == ("0", "1", "2")
    named = labelled(load_dataset(f"imagefolder:{tmp_path / 'flat'}"), file, ("a", "b", "c"))
    assert (named.classes, named.samples) == (("a", "b", "c"), images.samples)
    command = ["--headless", "--data", str(tmp_path / "flat"), "--labels"]
    write_table(tmp_path / "l.csv", {"file": ("flat/1.png", "2.png"), "label": "01"})
    sentence = program(*command, str(file), code=4).err.split("; ")
    assert ("no label of 2 of 3 images" in sentence[0], "label RUN" in sentence[1]) == (True, True)
    (tmp_path / "l.txt").write_text("0\n1\n2\n")
    assert "no column names the images" in program(*command, str(tmp_path / "l.txt"), code=4).err
    err = program("--headless", "--data", "miniature", "--labels", str(file), code=2).err
    assert "belongs to one set of images" in err


def test_paths_of_other_systems_and_separators_join_all_the_same(tmp_path: Path) -> None:
    write_images(tmp_path / "pets", "cats/mu\u0308de.png", "dogs/2.png")
    file = tmp_path / "l.csv"
    file.write_text("Path\tLabel\n.\\dogs\\2.png\tb\ncats\\m\u00fcde.png\ta\n\t\n", "utf-8-sig")
    images = labelled(load_dataset(f"imagefolder:{tmp_path / 'pets'}"), file)
    assert images.classes == ("a", "b")
    assert [sample.label for sample in images.samples] == [0, 1]
    file.write_text("path,label\n" + "1.png,a\n2.png,A\n")  # letters
    assert load_dataset(f"csv:{file}").classes == ("A", "a")


def test_labels_that_contradict_folders_are_counted(tmp_path: Path) -> None:
    names = ("cat/1.png", "cat/2.png", "dog/3.png")
    write_images(tmp_path / "pets", *names)
    folders = load_dataset(f"imagefolder:{tmp_path / 'pets'}")
    for labels, words in (
        (("cat", "dog", "dog"), ": 1 of 3 images have another, such as cat/2.png"),
        (("cat", "cow", "cat"), ": 2 of 3 images have another, such as cat/2.png"),
        (("x", "y", "z"), ""),
    ):
        file = write_table(tmp_path / "l.csv", {"path": names[::-1], "label": labels[::-1]})
        images = labelled(folders, file)
        assert images.notes[0] == f"labels are those of l.csv, not those of {folders.source}{words}"
        assert images.label_rows == {0: 2, 1: 1, 2: 0}
    file = write_table(tmp_path / "l.csv", {"path": names, "label": ("cat", "cat", "dog")})
    assert labelled(folders, file).notes[0].endswith(f", equal to those of {folders.source}")


def test_a_folder_has_the_labels_of_its_metadata(tmp_path: Path) -> None:
    names = ("images/1.jpg", "images/2.jpg", "images/3.jpg")
    for number, name in enumerate(names):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(jpeg(number))
    file = tmp_path / "metadata.csv"
    write_table(file, {"file_name": names, "label": ("x", "y", "x")})
    images = load_dataset(f"imagefolder:{tmp_path}")
    assert images.classes == ("x", "y")
    assert [sample.label for sample in images.samples] == [0, 1, 0]
    assert "labels are those of metadata.csv" in images.notes
    for columns in ({"file_name": names}, {"file_name": names[:2], "label": "01"}, {"text": names}):
        write_table(file, columns)
        images = load_dataset(f"imagefolder:{tmp_path}")
        assert images.classes == ("images",)
        assert "labels are not those of metadata.csv" in images.notes[0]


def test_a_stranger_s_list_names_files_and_no_commands(tmp_path: Path) -> None:
    file = write_table(tmp_path / "x.csv", {"path": ("pipe:id", "/dev/zero", "https://h/x.png")})
    images = load_dataset(f"csv:{file}")
    for sample in images.samples:
        with pytest.raises(DataError):
            images.read(sample)
