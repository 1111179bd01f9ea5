import os
import pickle
from pathlib import Path

import pytest

from tests.datasets.trees import jpeg, write_images
from tuiprobe.datasets import UnreadableImageError, shard_files
from tuiprobe.datasets.imagefolder import ImageFolder
from tuiprobe.datasets.load import load_dataset, load_suite
from tuiprobe.errors import DataError, UsageError


@pytest.mark.parametrize(
    ("names", "classes", "labels"),
    [
        (["n02/1.jpg", "n01/1.jpg", "n01/2.jpg"], ("n01", "n02"), [0, 0, 1]),
        (["10/a.png", "2/a.png", "1/a.png", "100/a.png"], ("1", "2", "10", "100"), [0, 2, 3, 1]),
        (["b/1.png", "a/10.png", "a/2.png", "B/x.png", "a/é.png", "a/sub/1.png"],
         ("B", "a", "b"), [0, 1, 1, 1, 1, 2]),
        (["a.png"], (), [None]),
        (["a.png", "cats/b.png"], (), [None, None]),
    ],
)  # fmt: skip
def test_ids_follow_the_byte_order_of_paths_and_folders_give_labels(
    names: list[str], classes: tuple[str, ...], labels: list[int | None], tmp_path: Path
) -> None:
    folder = ImageFolder(write_images(tmp_path, *names))
    assert [s.path for s in folder.samples] == sorted(names, key=os.fsencode)
    assert [s.id for s in folder.samples] == list(range(len(names)))
    assert folder.classes == classes
    assert [s.label for s in folder.samples] == labels
    mixed = "labels are not used: a.png lies beside the class folders"
    assert folder.notes == ((mixed,) if names == ["a.png", "cats/b.png"] else ())


def test_a_folder_around_the_classes_is_warned_of(tmp_path: Path) -> None:
    folder = write_images(tmp_path, "all/cat/1.png", "all/dog/1.png")
    assert [note.split(",")[0] for note in ImageFolder(folder).notes] == [
        "all images lie below all"
    ]
    write_images(tmp_path, "fish/1.png")
    assert ImageFolder(folder).notes == ()


def test_what_is_no_image_of_the_set_is_left_out(tmp_path: Path) -> None:
    kept = ["a/1.png", "b/1.png", "c/key/1.png"]
    write_images(tmp_path, *kept, "runs/m/thumbs/a/0.jpg", ".hidden.png", ".git/b.png")
    for name in ("key", "spec.json", "results.json"):  # a run directory among the images
        (tmp_path / "runs" / "m" / name).write_text("x")
    (tmp_path / "labels.csv").write_text("x")
    folder = ImageFolder(tmp_path)
    assert [s.path for s in folder.samples] == kept
    assert folder.notes == ("files left out, no image extension: 1 .csv",)


def test_links_are_followed_loops_end_and_undecodable_names_are_read(tmp_path: Path) -> None:
    write_images(tmp_path / "elsewhere", "a.png")
    root = tmp_path / "root"
    root.mkdir()
    (root / "cats").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "again").symlink_to(root)
    assert [s.path for s in ImageFolder(root).samples] == ["cats/a.png"]
    name = tmp_path / "elsewhere" / "a.png"
    name.rename(os.fsdecode(os.fsencode(name.parent) + b"/caf\xe9.png"))
    folder = ImageFolder(root)
    assert folder.read(folder.samples[0]).image().size == (8, 8)


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        ImageFolder(tmp_path / "missing")
    (tmp_path / "x").mkdir()
    with pytest.raises(DataError, match="it is empty"):
        ImageFolder(tmp_path / "x")
    (tmp_path / "x" / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"1 \.txt"):
        ImageFolder(tmp_path / "x")
    with pytest.raises(DataError, match="not a directory"):
        ImageFolder(tmp_path / "x" / "notes.txt")
    suite = load_suite(f"imagefolder:{write_images(tmp_path / 'my photos', 'a.png')}")
    assert list(suite.sets) == ["my-photos"]
    for wrong in ("imagefolder:", "nonsense", "tarball:/x"):
        with pytest.raises(UsageError, match="unknown data source"):
            load_suite(wrong)


def test_a_folder_at_a_url_is_the_folder_on_disk(tmp_path, monkeypatch):
    memory = pytest.importorskip("fsspec").filesystem("memory")
    monkeypatch.setattr(shard_files, "SCHEMES", ("memory",))
    names = ("cat/1.jpg", "cat/2.JPG", "dog/x/3.jpg", ".hidden/4.jpg", "dog/.5.jpg", "notes.txt")
    for number, name in enumerate(names):
        (tmp_path / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pets" / name).write_bytes(jpeg(number))
        memory.pipe(f"/bucket/pets/{name}", jpeg(number))
    here = load_dataset(f"imagefolder:{tmp_path / 'pets'}")
    there = load_dataset("imagefolder:memory://bucket/pets/")
    assert (there.name, there.source) == ("pets", "imagefolder:memory://bucket/pets")
    assert (there.samples, there.classes, there.notes) == (here.samples, here.classes, here.notes)
    copy = pickle.loads(pickle.dumps(there))
    for sample in here.samples:
        assert copy.read(sample).digest() == here.read(sample).digest()
        assert copy.stamp(sample).size == here.stamp(sample).size
    memory.rm("/bucket/pets/cat/1.jpg")
    with pytest.raises(UnreadableImageError, match="does not exist"):
        there.read(there.samples[0])
    for url, cause in (
        ("memory://bucket/none", "no image below memory://bucket/none"),
        ("memory://bucket/val.tar", "did you mean webdataset:memory://bucket/val.tar"),
        ("s3://bucket/val", "only URLs of memory are read"),
    ):
        with pytest.raises(DataError, match=cause):
            load_dataset(f"imagefolder:{url}")
