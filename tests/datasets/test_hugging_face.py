import io
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.datasets.trees import jpeg
from tuiprobe.datasets import UnreadableImageError
from tuiprobe.datasets.hugging_face import open_rows
from tuiprobe.datasets.load import load_suite
from tuiprobe.datasets.python_images import python_images
from tuiprobe.errors import DataError, UsageError

datasets = pytest.importorskip("datasets")

CLASSES = ["cat", "dog", "cow"]


def rows(labels: list[int] | None = None, **columns: list):
    """Returns a real data set of six JPEGs, the label column before the image column."""
    labels = labels or [0, 1, 2, 2, 1, 0]
    features = datasets.Features(
        {
            "label": datasets.ClassLabel(names=CLASSES),
            "image": datasets.Image(),
            **{name: datasets.Value("string") for name in columns},
        }
    )
    pictures = [{"bytes": jpeg(i), "path": None} for i in range(6)]
    content = {"label": labels, "image": pictures, **columns}
    return datasets.Dataset.from_dict(content, features=features)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    both = datasets.DatasetDict(validation=rows(), train=rows([0] * 6))
    both.save_to_disk(tmp_path / "animals")
    return tmp_path / "animals"


def test_rows_are_samples_and_decode_by_the_rule_of_all_sources(saved: Path) -> None:
    images = open_rows(f"{saved}:validation")
    assert images.classes == tuple(CLASSES)
    assert [s.label for s in images.samples] == [0, 1, 2, 2, 1, 0]
    assert [s.path for s in images.samples[:2]] == ["validation/000000000", "validation/000000001"]
    assert [s.path for s in images.samples] == sorted(s.path for s in images.samples)
    for number in range(6):
        with Image.open(io.BytesIO(jpeg(number))) as picture:
            expected = np.array(picture.convert("RGB"))
        assert (np.array(images.read(images.samples[number]).image()) == expected).all()


def test_a_split_must_be_one_that_is_there(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="several splits; there are validation, train"):
        open_rows(str(saved))
    with pytest.raises(DataError, match="no split 'test'"):
        open_rows(f"{saved}:test")
    rows().save_to_disk(tmp_path / "one")
    assert len(open_rows(str(tmp_path / "one")).samples) == 6
    with pytest.raises(DataError, match="holds no splits"):
        open_rows(f"{tmp_path / 'one'}:train")


def test_labels_are_names_numbers_or_secret(tmp_path: Path) -> None:
    rows([-1] * 6).save_to_disk(tmp_path / "test")
    secret = open_rows(str(tmp_path / "test"))
    assert (secret.classes, secret.samples[0].label) == ((), None)
    assert "unlabelled" in secret.notes[0]
    rows().cast_column("label", datasets.Value("int64")).save_to_disk(tmp_path / "x")
    plain = open_rows(str(tmp_path / "x"))
    assert plain.classes == ("0", "1", "2")
    assert plain.samples[2].label == 2


def test_a_damaged_or_missing_image_is_one_unreadable_image(tmp_path: Path) -> None:
    features = datasets.Features({"image": datasets.Image()})
    pictures = [{"bytes": jpeg(0)[:200], "path": None}, None]
    content = datasets.Dataset.from_dict({"image": pictures}, features=features)
    content.save_to_disk(tmp_path / "x")
    images = open_rows(str(tmp_path / "x"))
    for sample, cause in zip(images.samples, ("Truncated", "no image"), strict=True):
        with pytest.raises(UnreadableImageError, match=cause):
            images.read(sample).image()


def test_what_cannot_be_used_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets.Dataset.from_dict({"text": ["a"]}).save_to_disk(tmp_path / "text")
    (tmp_path / "empty").mkdir()
    for text, kind, message in (
        (f"{tmp_path}/text", DataError, r"no column of images \(columns: text\)"),
        (f"{tmp_path}/empty", DataError, "no data set saved by save_to_disk"),
        ("/nowhere:test", DataError, "is not a folder"),
        ("owner/name", UsageError, "names no split"),
        ("a:b:c:d", UsageError, "cannot be understood"),
        ("nobody/nothing:test", DataError, "could not be loaded"),  # no network in tests
    ):
        with pytest.raises(kind, match=message):
            open_rows(text)
    monkeypatch.setattr(datasets, "__version__", "3.6.0")
    with pytest.raises(DataError, match="can run code of data sets"):
        open_rows(str(tmp_path / "text"))
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"pip install 'tuiprobe\[hf\]'"):
        open_rows(str(tmp_path / "text"))


def test_it_is_a_source_and_goes_to_worker_processes(saved, monkeypatch):
    monkeypatch.chdir(saved.parent)
    suite = load_suite("hf:animals:validation")
    assert suite.source == f"hf:{saved}:validation"
    images = suite.sets["animals-validation"]
    copy = pickle.loads(pickle.dumps(images))
    assert copy.samples == images.samples
    assert (
        copy.read(copy.samples[3]).image().tobytes()
        == images.read(images.samples[3]).image().tobytes()
    )


def test_stamps_tell_rows_apart_without_reading_them(saved: Path, tmp_path: Path) -> None:
    images = open_rows(f"{saved}:validation")
    for sample in images.samples:
        content = images.read(sample)
        assert content.data == jpeg(sample.id)
        assert images.stamp(sample) == content.stamp
        assert content.stamp.size == len(jpeg(sample.id))
    (file,) = (saved / "validation").glob("*.arrow")
    file.touch()
    assert images.read(images.samples[0]).stamp != images.stamp(images.samples[0])


def test_images_beside_the_rows_have_stamps_of_their_own(tmp_path, monkeypatch):
    picture = tmp_path / "a.jpg"
    picture.write_bytes(jpeg(1))
    features = datasets.Features({"image": datasets.Image()})
    stored = [{"bytes": None, "path": str(picture)}, {"bytes": jpeg(2), "path": None}]
    made = datasets.Dataset.from_dict({"image": stored}, features=features)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: made)
    images = open_rows("owner/name:test")
    first, second = images.samples
    assert [images.read(sample).data for sample in images.samples] == [jpeg(1), jpeg(2)]
    assert [images.stamp(sample) for sample in images.samples] == [
        images.read(sample).stamp for sample in images.samples
    ]
    assert images.stamp(second).changed is None, "rows in memory can only be compared by content"
    before = images.stamp(first)
    picture.write_bytes(jpeg(3))
    assert images.stamp(first) != before


def test_names_as_labels_are_classes(tmp_path: Path) -> None:
    named = ["cat", "dog", "cow", "cow", "dog", "cat"]
    rows().cast_column("label", datasets.Value("int64")).remove_columns("label").add_column(
        "label", named
    ).save_to_disk(tmp_path / "x")
    images = open_rows(str(tmp_path / "x"))
    assert images.classes == ("cat", "cow", "dog")
    assert [images.classes[sample.label or 0] for sample in images.samples] == named


@pytest.mark.parametrize("form", ["image", "struct", "bytes"])
def test_images_in_parquet(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    file = tmp_path / "animals.parquet"
    if form == "image":
        rows().to_parquet(file)
    else:
        stored = [{"bytes": jpeg(i), "path": None} for i in range(6)]
        column = stored if form == "struct" else [one["bytes"] for one in stored]
        names = [f"{i}.jpg" for i in range(6)]  # the column of bytes counts
        columns = {"file_name": names, "img": column, "label": [0, 1, 2, 2, 1, 0]}
        pq.write_table(pa.table(columns), file)
    images = load_suite(f"parquet:{file}").sets["animals"]
    assert images.source == f"parquet:{file}"
    assert images.classes == (tuple(CLASSES) if form == "image" else ("0", "1", "2"))
    assert [sample.label for sample in images.samples] == [0, 1, 2, 2, 1, 0]
    assert [images.read(sample).data for sample in images.samples] == [jpeg(i) for i in range(6)]
    assert images.stamp(images.samples[3]).size == len(jpeg(3))


def test_rows_in_memory_are_images_of_python() -> None:
    data = rows().with_format("torch")
    images = python_images(data, "animals")
    assert (images.source, images.classes) == ("py:animals", tuple(CLASSES))
    assert [sample.label for sample in images.samples] == [0, 1, 2, 2, 1, 0]
    assert [images.read(sample).data for sample in images.samples] == [jpeg(i) for i in range(6)]
    items = python_images(list(rows()), "animals")  # a dict each
    assert [sample.label for sample in items.samples] == [0, 1, 2, 2, 1, 0]
    assert [items.read(s).image().tobytes() for s in items.samples] == [
        images.read(s).image().tobytes() for s in images.samples
    ]
    with pytest.raises(DataError, match=r"no column of images \(columns: text\)"):
        python_images(datasets.Dataset.from_dict({"text": ["a"]}), "text")
