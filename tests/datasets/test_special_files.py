"""A named pipe, a device or a file without end, wherever a reader of data expects a file."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.datasets.broden_tree import write_tree
from tests.datasets.trees import jpeg, write_objectnet
from tuiprobe.cli.model_list import read_models
from tuiprobe.datasets import Dataset, UnreadableImageError
from tuiprobe.datasets.content import UNREADABLE
from tuiprobe.datasets.dataset import digest_of
from tuiprobe.datasets.load import load_concepts, load_dataset, load_suite
from tuiprobe.datasets.tars import index_of
from tuiprobe.errors import TuiprobeError
from tuiprobe.limits import IMAGE_BYTES


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """Ends a test that waits for a writer of a pipe."""
    signal.alarm(20)
    yield
    signal.alarm(0)


def pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def device(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero")


def endless(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(300 * 2**20)


SPECIAL = {"pipe": pipe, "device": device, "endless": endless}


def suite(root: Path) -> Path:
    (root / "s.toml").write_text("")
    return root / "s.toml"


def concept_table(root: Path) -> Path:
    (root / "c.csv").write_text("image,cat\na.jpg,1\n")
    return root / "c.csv"


def objectnet_map(root: Path) -> Path:
    write_objectnet(root / "objectnet-1.0", images=1)
    return root / "objectnet-1.0" / "mappings" / "objectnet_to_imagenet_1k.json"


def class_names(root: Path) -> Path:
    import io
    import tarfile

    with tarfile.open(root / "x.tar", "w") as tar:
        for name, content in (("1.jpg", jpeg(1)), ("1.cls", b"0")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    (root / "classnames.txt").write_text("cat\n")
    return root / "classnames.txt"


def shard(root: Path) -> Path:
    class_names(root)
    return root / "x.tar"


READERS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], object]]] = {
    "suite": (suite, lambda path: load_suite(f"suite:{path}")),
    "list": (suite, lambda path: read_models(str(path))),
    "table": (concept_table, lambda path: load_concepts(f"csv:{path}")),
    "map": (objectnet_map, lambda path: load_suite(f"objectnet:{path.parents[1]}")),
    "shard": (shard, lambda path: load_suite(f"webdataset:{path}")),
}


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_file_is_refused_by_name(reader: str, kind: str, tmp_path: Path) -> None:
    write, read = READERS[reader]
    path = write(tmp_path)
    SPECIAL[kind](path)
    with pytest.raises(TuiprobeError, match=path.name):
        read(path)


@pytest.mark.parametrize("kind", ["device", "endless"])
def test_class_names_are_a_file(kind: str, tmp_path: Path) -> None:
    path = class_names(tmp_path)
    SPECIAL[kind](path)
    if kind == "device":  # what is no file at all names no classes
        assert load_suite(f"webdataset:{tmp_path}").sets
        return
    with pytest.raises(TuiprobeError, match=path.name):
        load_suite(f"webdataset:{tmp_path}")


def image_of_folder(root: Path) -> tuple[Dataset, Path]:
    (root / "val").mkdir()
    (root / "val" / "a.jpg").write_bytes(jpeg(1))
    return load_dataset(f"imagefolder:{root / 'val'}"), root / "val" / "a.jpg"


def image_of_table(root: Path) -> tuple[Dataset, Path]:
    table = concept_table(root)
    (root / "a.jpg").write_bytes(jpeg(1))
    return load_concepts(f"csv:{table}"), root / "a.jpg"


def map_of_broden(root: Path) -> tuple[Dataset, Path]:
    write_tree(root / "broden")
    return load_concepts(f"broden:{root / 'broden'}"), root / "broden/images/ade20k/ADE_1_color.png"


def image_of_objectnet(root: Path) -> tuple[Dataset, Path]:
    objectnet_map(root)
    dataset = load_dataset(f"objectnet:{root / 'objectnet-1.0'}")
    return dataset, root / "objectnet-1.0" / "images" / dataset.samples[0].path


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize(
    "made", [image_of_folder, image_of_table, map_of_broden, image_of_objectnet]
)
def test_an_image_that_is_no_file_is_unreadable(
    made: Callable[[Path], tuple[Dataset, Path]], kind: str, tmp_path: Path
) -> None:
    dataset, path = made(tmp_path)
    SPECIAL[kind](path)
    sample = dataset.samples[0]
    assert dataset.stamp(sample) == dataset.stamp(sample)
    with pytest.raises(UnreadableImageError, match=r"named pipe|device|limit"):
        dataset.read(sample)
    assert digest_of(dataset, sample) == UNREADABLE
    assert IMAGE_BYTES < 300 * 2**20


@pytest.mark.parametrize("kind", SPECIAL)
def test_a_kept_index_that_is_no_file_is_made_anew(kind: str, tmp_path: Path) -> None:
    path, cache = shard(tmp_path), tmp_path / "cache"
    first = index_of(str(path), cache)
    (kept,) = cache.iterdir()
    SPECIAL[kind](kept)
    assert index_of(str(path), cache) == first


@pytest.mark.parametrize("rest", ["a\0b", "/" + "x" * 5000, "~nobody-of-this-name/x"])
@pytest.mark.parametrize("kind", ["imagefolder", "objectnet", "webdataset", "suite", "hf", "csv"])
def test_impossible_paths_are_named(kind: str, rest: str) -> None:
    load = load_concepts if kind == "csv" else load_suite
    with pytest.raises(TuiprobeError):
        load(f"{kind}:{rest}")


def test_impossible_paths_in_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    for text in ('id = "imagefolder:a\\u0000b"', 'id = "imagefolder:~nobody-of-this-name"'):
        path.write_text(text)
        with pytest.raises(TuiprobeError, match=r"x\.toml: id"):
            load_suite(f"suite:{path}")
    path.write_text("mini_clip checkpoint=~nobody-of-this-name/x")
    with pytest.raises(TuiprobeError, match="nobody"):
        read_models(str(path))
