"""Names and texts that are not UTF-8: refused by name and cause, never merged or replaced."""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.datasets.trees import jpeg, write_tar
from tuiprobe.catalog.class_names import read_classes
from tuiprobe.datasets.load import load_suite, open_suite
from tuiprobe.errors import DataError, TuiprobeError, UsageError
from tuiprobe.measure.engine.opening import plan_run
from tuiprobe.request import RunRequest, make_spec
from tuiprobe.spec import RunSpec

NAME = os.fsdecode(b"caf\xe9")


def tree(root: Path, folders: list[str], file: str = "a.jpg") -> Path:
    for folder in folders:
        try:
            (root / folder).mkdir(parents=True)
        except OSError:
            pytest.skip("this file system takes no such name")
        (root / folder / file).write_bytes(jpeg(0))
    return root


def class_folder(root: Path) -> str:
    return f"imagefolder:{tree(root, [NAME, 'dog'])}"


def folder_in_a_tar(root: Path) -> str:
    return f"webdataset:{write_tar(root / 'a.tar', {NAME + '/1.jpg': b'', 'dog/2.jpg': b''})}"


def class_member(root: Path) -> str:
    members = {"1.jpg": b"", "2.jpg": b"", "1.cls": b"caf\xe9", "2.cls": b"caf\xe8"}
    return f"webdataset:{write_tar(root / 'a.tar', members)}"


def names_beside(root: Path) -> str:
    (root / "classes.txt").write_bytes(b"dog\ncaf\xe9")
    return f"webdataset:{write_tar(root / 'a.tar', {'1.jpg': b'', '1.cls': b'0'})}"


def working_folder(root: Path) -> str:
    os.chdir(tree(root / NAME, ["cat", "dog"]))
    return "imagefolder:."


@pytest.mark.parametrize(
    ("write", "message"),
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
def test_a_name_that_is_not_utf_8_is_refused(write, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=message):
        open_suite(RunSpec(model="m", data=write(tmp_path)))


def test_other_files_and_targets_may_have_any_name(tmp_path: Path) -> None:
    files = tree(tmp_path / "files", ["cat", "dog"], file=f"{NAME}.png")
    tree(files / "cat", ["more"], file=f"x.{NAME}")
    target = class_folder(tmp_path / "target")
    suite = open_suite(RunSpec(model="m", data=f"imagefolder:{files}", target=(target,)))
    (first, _) = suite.sets.values()
    assert len(first.samples) == 2
    assert "\\udce9" in first.notes[0]


def test_options_and_vectors_of_such_names_are_refused(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match=r"--data: a name that is not UTF-8 \(the byte 0xe9\)"):
        make_spec("mini_clip", f"imagefolder:{NAME}", {})
    monkeypatch.chdir(tmp_path)
    working_folder(tmp_path)
    np.save("x.npy", np.zeros((4, 8), np.float32))
    with pytest.raises(DataError, match=r"the path .*x\.npy' has a name that is not UTF-8"):
        plan_run(RunRequest(spec=make_spec(None, None, {"embeddings": "x.npy"})))


def test_a_file_of_names_is_utf_8_with_or_without_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    for content, message in (
        (b"dog\ncaf\xe9\n", "line 2 holds the byte 0xe9, which is not UTF-8; save the file"),
        ("dog\ncat\n".encode("utf-16"), "it is UTF-16; save the file as UTF-8"),
        ("dog\ncat\n".encode("utf-16-le"), "zero bytes, as UTF-16 does; save the file as UTF-8"),
    ):
        path.write_bytes(content)
        with pytest.raises(TuiprobeError, match=message):
            read_classes(path)
    path.write_bytes(b"\xef\xbb\xbfdog\ncat\n")
    assert read_classes(path) == ("dog", "cat")
    tar = write_tar(tmp_path / "a.tar", {"1.jpg": b"", "1.cls": b"0"})
    (first,) = load_suite(f"webdataset:{tar}").sets.values()
    assert first.classes == ("dog", "cat")
