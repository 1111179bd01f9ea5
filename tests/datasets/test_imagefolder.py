from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from tuiprobe.datasets.imagefolder import ImageFolder
from tuiprobe.datasets.load import load_suite
from tuiprobe.errors import DataError, UsageError


def write_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (200, 100, 50)).save(path)


def test_ids_follow_the_byte_order_of_relative_paths(tmp_path: Path) -> None:
    names = ["b/1.png", "a/10.png", "a/2.png", "B/x.png", "a/é.png", "a/sub/1.png"]
    for name in names:
        write_image(tmp_path / name)
    samples = ImageFolder(tmp_path).samples
    assert [s.path for s in samples] == sorted(names, key=os.fsencode)
    assert [s.id for s in samples] == list(range(len(names)))


def test_class_folders_give_labels(tmp_path: Path) -> None:
    for name in ("n02/1.jpg", "n01/1.jpg", "n01/2.jpg"):
        write_image(tmp_path / name)
    folder = ImageFolder(tmp_path)
    assert folder.classes == ("n01", "n02")
    assert [s.label for s in folder.samples] == [0, 0, 1]


def test_index_folders_are_ordered_as_numbers(tmp_path: Path) -> None:
    for name in ("10", "2", "1", "100"):
        write_image(tmp_path / name / "a.png")
    folder = ImageFolder(tmp_path)
    assert folder.classes == ("1", "2", "10", "100")
    assert {s.path: s.label for s in folder.samples}["10/a.png"] == 2


def test_a_flat_folder_is_unlabelled(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png")
    folder = ImageFolder(tmp_path)
    assert folder.classes == ()
    assert folder.samples[0].label is None


def test_a_mixed_folder_is_unlabelled_and_says_so(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png")
    write_image(tmp_path / "cats" / "b.png")
    folder = ImageFolder(tmp_path)
    assert all(s.label is None for s in folder.samples)
    assert "1 images lie beside" in folder.notes[0]


def test_a_run_directory_among_the_images_is_none_of_them(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/1.png", "runs/m/thumbs/a/0.jpg", "c/key/1.png"):
        write_image(tmp_path / name)
    for name in ("key", "spec.json", "results.json"):
        (tmp_path / "runs" / "m" / name).write_text("x")
    folder = ImageFolder(tmp_path)
    assert folder.classes == ("a", "b", "c")
    assert folder.notes == ()


def test_other_files_are_counted_and_hidden_ones_left_out(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png")
    write_image(tmp_path / ".hidden.png")
    write_image(tmp_path / ".git" / "b.png")
    (tmp_path / "labels.csv").write_text("x")
    folder = ImageFolder(tmp_path)
    assert [s.path for s in folder.samples] == ["a.png"]
    assert folder.notes == ("files left out, no image extension: 1 .csv",)


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    write_image(tmp_path / "elsewhere" / "a.png")
    root = tmp_path / "root"
    root.mkdir()
    (root / "cats").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "again").symlink_to(root)
    assert [s.path for s in ImageFolder(root).samples] == ["cats/a.png"]


def test_undecodable_names_are_read(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/caf\xe9.png"
    write_image(tmp_path / "a.png")
    (tmp_path / "a.png").rename(os.fsdecode(raw))
    folder = ImageFolder(tmp_path)
    assert folder.open(folder.samples[0]).size == (8, 8)


@pytest.mark.parametrize("case", ["missing", "file", "empty", "only text"])
def test_no_images_is_a_clear_error(tmp_path: Path, case: str) -> None:
    root = tmp_path / "x"
    if case == "file":
        root.write_text("x")
    elif case != "missing":
        root.mkdir()
    if case == "only text":
        (root / "notes.txt").write_text("x")
    cause = {
        "missing": "does not exist",
        "file": "not a directory",
        "empty": "it is empty",
        "only text": r"1 \.txt",
    }[case]
    with pytest.raises(DataError, match=cause):
        ImageFolder(root)


def test_suite_from_a_spec(tmp_path: Path) -> None:
    write_image(tmp_path / "my photos" / "a.png")
    suite = load_suite(f"imagefolder:{tmp_path / 'my photos'}")
    assert list(suite.sets) == ["my-photos"]
    for wrong in ("imagefolder:", "nonsense", "tarball:/x"):
        with pytest.raises(UsageError, match="unknown data source"):
            load_suite(wrong)
