"""A named pipe, a device or a file without end, wherever a reader of data expects a file."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.datasets.broden_tree import write_tree
from tests.datasets.trees import jpeg, write_images, write_objectnet, write_tar
from tuiprobe.catalog.class_names import read_classes
from tuiprobe.datasets import Dataset, UnreadableImageError
from tuiprobe.datasets.dataset import digest_of
from tuiprobe.datasets.load import load_concepts, load_dataset, load_suite
from tuiprobe.datasets.sample import UNREADABLE
from tuiprobe.errors import TuiprobeError
from tuiprobe.limits import IMAGE_BYTES
from tuiprobe.models.heads import head_from_file
from tuiprobe.models.loaders.checkpoints import read_checkpoint
from tuiprobe.models.prompt_heads import read_templates
from tuiprobe.show.cli.headless import read_models


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


SPECIAL = pytest.mark.parametrize("make", [pipe, device, endless])


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Returns a folder with one set of each kind."""
    write_images(tmp_path / "val", "a.jpg")
    write_images(tmp_path, "a.jpg")
    (tmp_path / "s.toml").write_text("")
    (tmp_path / "c.csv").write_text("image,cat\na.jpg,1\n")
    write_objectnet(tmp_path / "objectnet-1.0", images=1)
    write_tree(tmp_path / "broden")
    write_tar(tmp_path / "tars" / "x.tar", {"1.jpg": jpeg(1), "1.cls": b"0"})
    (tmp_path / "tars" / "classnames.txt").write_text("cat\n")
    return tmp_path


READERS: dict[str, Callable[[Path], object]] = {
    "s.toml": lambda path: load_suite(f"suite:{path}"),
    "./s.toml": lambda path: read_models(str(path)),
    "c.csv": lambda path: load_concepts(f"csv:{path}"),
    "objectnet-1.0/mappings/objectnet_to_imagenet_1k.json": lambda path: load_suite(
        f"objectnet:{path.parents[1]}"
    ),
    "tars/x.tar": lambda path: load_suite(f"webdataset:{path}"),
    "tars/classnames.txt": lambda path: load_suite(f"webdataset:{path.parent}"),
    "w.pt": read_checkpoint,
    "w.safetensors": read_checkpoint,
    "h.pt": lambda path: head_from_file(path, width=3),
    "names.txt": read_classes,
    "templates.txt": read_templates,
}


@SPECIAL
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_file_is_refused_by_name(name, make, tree):
    make(tree / name)
    if name.endswith("classnames.txt") and make is not endless:
        assert READERS[name](tree / name)  # what is no file at all names no classes
        return
    with pytest.raises(TuiprobeError, match=Path(name).name):
        READERS[name](tree / name)


IMAGES: dict[str, Callable[[Path], Dataset]] = {
    "val/a.jpg": lambda tree: load_dataset(f"imagefolder:{tree / 'val'}"),
    "a.jpg": lambda tree: load_concepts(f"csv:{tree / 'c.csv'}"),
    "broden/images/ade20k/ADE_1_color.png": lambda tree: load_concepts(f"broden:{tree / 'broden'}"),
    "objectnet-1.0/images/alarm_clock/00000000.png": lambda tree: load_dataset(
        f"objectnet:{tree / 'objectnet-1.0'}"
    ),
}


@SPECIAL
@pytest.mark.parametrize("name", IMAGES)
def test_an_image_that_is_no_file_is_unreadable(name, make, tree):
    dataset = IMAGES[name](tree)
    make(tree / name)
    sample = dataset.samples[0]
    assert dataset.stamp(sample) == dataset.stamp(sample)
    with pytest.raises(UnreadableImageError, match=r"named pipe|device|limit"):
        dataset.read(sample)
    assert digest_of(dataset, sample) == UNREADABLE
    assert IMAGE_BYTES < 300 * 2**20


@pytest.mark.parametrize("rest", ["a\0b", "/" + "x" * 5000, "~nobody-of-this-name/x"])
@pytest.mark.parametrize("kind", ["imagefolder", "objectnet", "webdataset", "suite", "hf", "csv"])
def test_impossible_paths_are_named(kind: str, rest: str) -> None:
    load = load_concepts if kind == "csv" else load_suite
    with pytest.raises(TuiprobeError):
        load(f"{kind}:{rest}")
