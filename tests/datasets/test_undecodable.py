"""Names and texts that are not UTF-8: refused by name and cause, never merged or replaced."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tuiprobe.datasets.assemble import open_suite
from tuiprobe.datasets.load import load_suite
from tuiprobe.errors import DataError, TuiprobeError, UsageError
from tuiprobe.measure.embeddings import plan_vectors
from tuiprobe.models.head_files import read_classes
from tuiprobe.spec import RunSpec, make_spec

NAME = b"caf\xe9"


def picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    return file.getvalue()


def tree(root: bytes, folders: list[bytes], file: bytes = b"a.png") -> None:
    for folder in folders:
        path = os.path.join(root, folder)  # noqa: PTH118 - bytes
        try:
            os.makedirs(path)  # noqa: PTH103
        except OSError:
            pytest.skip("this file system takes no such name")
        with open(os.path.join(path, file), "wb") as stream:  # noqa: PTH118, PTH123
            stream.write(picture())


def tar(path: Path, members: dict[bytes, bytes]) -> None:
    form = {"format": tarfile.GNU_FORMAT, "encoding": "utf-8", "errors": "surrogateescape"}
    with tarfile.open(path, "w", **form) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            entry = tarfile.TarInfo(os.fsdecode(name))
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def class_folder(root: Path) -> str:
    tree(os.fsencode(root), [NAME, b"dog"])
    return f"imagefolder:{root}"


def folder_in_a_tar(root: Path) -> str:
    tar(root / "a.tar", {NAME + b"/1.png": picture(), b"dog/2.png": picture()})
    return f"webdataset:{root / 'a.tar'}"


def class_member(root: Path) -> str:
    pictures = {b"1.png": picture(), b"2.png": picture()}
    tar(root / "a.tar", {**pictures, b"1.cls": NAME, b"2.cls": b"caf\xe8"})
    return f"webdataset:{root / 'a.tar'}"


def names_beside(root: Path) -> str:
    tar(root / "a.tar", {b"1.png": picture(), b"1.cls": b"0"})
    (root / "classes.txt").write_bytes(b"dog\n" + NAME)
    return f"webdataset:{root / 'a.tar'}"


def working_folder(root: Path) -> str:
    tree(os.path.join(os.fsencode(root), NAME), [b"cat", b"dog"])  # noqa: PTH118
    os.chdir(os.path.join(os.fsencode(root), NAME))  # noqa: PTH118
    return "imagefolder:."


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (
            class_folder,
            r"imagefolder:.*: the class folder 'caf\\udce9' .*not UTF-8 \(the byte 0xe9",
        ),
        (folder_in_a_tar, r"a\.tar: the class folder 'caf\\udce9' .*not UTF-8"),
        (class_member, r"a\.tar: the class in '1\.cls' cannot be read: line 1 holds the byte 0xe9"),
        (names_beside, r"classes\.txt cannot be read as class names: line 2 holds the byte 0xe9"),
        (working_folder, r"the path 'imagefolder:.*caf\\udce9' has a name that is not UTF-8"),
    ],
)
def test_a_name_that_is_not_utf_8_is_refused(
    write: Callable[[Path], str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=said):
        open_suite(RunSpec(model="m", data=write(tmp_path)))


def test_other_files_and_targets_may_have_any_name(tmp_path: Path) -> None:
    tree(os.fsencode(tmp_path / "files"), [b"cat", b"dog"], file=NAME + b".png")
    tree(os.fsencode(tmp_path / "files" / "cat"), [b"more"], file=b"x." + NAME)
    target = class_folder(tmp_path / "target")
    suite = open_suite(
        RunSpec(model="m", data=f"imagefolder:{tmp_path / 'files'}", target=(target,))
    )
    (first, _) = suite.sets.values()
    assert len(first.samples) == 2
    assert "\\udce9" in first.notes[0]


def test_an_option_says_what_is_wrong_with_its_path() -> None:
    with pytest.raises(UsageError, match=r"--data: a name that is not UTF-8 \(the byte 0xe9\)"):
        make_spec("mini_clip", "imagefolder:" + os.fsdecode(NAME), {})


def test_vectors_in_such_a_folder_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    working_folder(tmp_path)
    np.save("x.npy", np.zeros((4, 8), np.float32))
    with pytest.raises(DataError, match=r"the path .*x\.npy' has a name that is not UTF-8"):
        plan_vectors(make_spec(None, None, {"embeddings": "x.npy"}))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"dog\n" + NAME + b"\n", "line 2 holds the byte 0xe9, which is not UTF-8; save the file"),
        ("dog\ncat\n".encode("utf-16"), "it is UTF-16; save the file as UTF-8"),
        ("dog\ncat\n".encode("utf-16-le"), "zero bytes, as UTF-16 does; save the file as UTF-8"),
    ],
)
def test_a_file_of_names_in_another_encoding_is_refused(
    content: bytes, said: str, tmp_path: Path
) -> None:
    (tmp_path / "c.txt").write_bytes(content)
    with pytest.raises(TuiprobeError, match=said):
        read_classes(tmp_path / "c.txt")


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_bytes(b"\xef\xbb\xbfdog\ncat\n")
    assert read_classes(tmp_path / "classes.txt") == ("dog", "cat")
    tar(tmp_path / "a.tar", {b"1.png": picture(), b"1.cls": b"0"})
    (first,) = load_suite(f"webdataset:{tmp_path / 'a.tar'}").sets.values()
    assert first.classes == ("dog", "cat")
