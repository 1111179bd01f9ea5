"""Images are told apart by their contents, whatever their names, sizes and times."""

import hashlib
import io
import os
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.datasets.broden_tree import write_map, write_tree
from tests.datasets.trees import picture
from tests.measure.engine.conftest import measured, results, shard_files, when_measuring
from tuiprobe.errors import DataError
from tuiprobe.files import Entry
from tuiprobe.measure.run.arrays import read_arrays
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.samples import read_samples
from tuiprobe.measure.run.status import Event, Listener

IMAGES, BATCH = 24, 4
LATE = 10
"""An image at this place of the order is in no key; it lies in the third shard."""


def encoded(seed: int, format: str = "BMP") -> bytes:
    file = io.BytesIO()
    picture(seed).save(file, format)
    return file.getvalue()


def write_images(root: Path, seed: int = 0, format: str = "BMP", count: int = IMAGES) -> Path:
    """Writes pictures of equal names for all seeds; as BMP also of equal sizes."""
    for number in range(count):
        path = root / f"n{number % 2:08}" / f"{number:04}.{format.lower()}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(seed * 1000 + number, format))
    return root


@dataclass
class Attempt:
    """A run in a directory: what it found, and how much of it was there."""

    run: Path
    figures: dict[str, Any]
    left: int
    compared: bool

    @property
    def key(self) -> str:
        return (self.run / "key").read_text()


OPTIONS: dict[str, Any] = {"shard_batches": 1, "top_k": 3, "max_unreadable": 0.1}


def go(source: Path | str, run: Path, *, listen: Listener = lambda event: None, **options: Any):
    events: list[Event] = []

    def hear(event: Event) -> None:
        events.append(event)
        listen(event)

    outcome = measured(source, run, listen=hear, **OPTIONS, **options)
    if not outcome.merged:
        return None
    result = results(run)
    figures = {part["probe"]: part["result"] for part in result["parts"]}
    planned = sum(dataset["images"] for dataset in result["data"])
    compared = any("comparing " in event.message for event in events)
    return Attempt(run, figures, planned - outcome.resumed, compared)


def drop_shards(run: Path, first: int) -> None:
    """Leaves what an interruption before this shard would have left."""
    for path in shard_files(run)[first:]:
        path.unlink()
    (run / "results.json").unlink()


def in_order(data: Path, run: Path, place: int) -> Path:
    """Returns the file of the image at a place of the processing order of a run."""
    (samples,) = read_samples(RunDir(run)).values()
    return data / list(samples.values())[place].path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_images(tmp_path / "data")


@pytest.fixture
def run(data: Path, tmp_path: Path) -> Path:
    """Returns a finished run of the data."""
    go(data, tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize("format", ["JPEG", "BMP"])
def test_folders_of_equal_names_never_share_a_run(tmp_path: Path, format: str) -> None:
    folders = [
        write_images(tmp_path / "C" / kind / "5", seed, format)
        for seed, kind in enumerate(("gaussian_noise", "fog"))
    ]
    go(folders[0], tmp_path / "run")
    with pytest.raises(DataError, match=r"bmp|jpeg"):
        go(folders[1], tmp_path / "run")


def test_folders_whose_first_images_are_equal_are_told_apart_on_resume(data, run, tmp_path):
    other = in_order(shutil.copytree(data, tmp_path / "b" / "data"), run, 20)
    other.write_bytes(encoded(77))
    before = (run / "spec.json").read_bytes()
    with pytest.raises(DataError, match=rf"{other.name} of imagefolder:.*--output.*--fresh"):
        go(tmp_path / "b" / "data", run)
    assert (run / "spec.json").read_bytes() == before


def test_a_suite_whose_shift_points_elsewhere_is_another_run(tmp_path: Path) -> None:
    for seed, name in enumerate(("val", "one", "two")):
        write_images(tmp_path / name, seed)
    suite = tmp_path / "suite.toml"
    keys = set()
    for shift in ("one", "two"):
        suite.write_text(f'id = "imagefolder:val"\n[shifts]\nmoved = "imagefolder:{shift}"\n')
        keys.add(go(f"suite:{suite}", tmp_path / f"run {shift}").key)
    assert len(keys) == 2


def write_tar(path: Path, seed: int) -> None:
    with tarfile.open(path, "w") as tar:
        for number in range(IMAGES):
            content = encoded(seed * 1000 + number)
            info = tarfile.TarInfo(f"{number % 2}/{number:04}.bmp")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def test_tars_of_equal_member_names_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.setattr("tuiprobe.datasets.tars.cache_folder", lambda: tmp_path / "cache")
    for seed in range(2):
        write_tar(tmp_path / "val.tar", seed)
        if not seed:
            go(f"webdataset:{tmp_path / 'val.tar'}", tmp_path / "run")
    with pytest.raises(DataError, match=r"val\.tar/.*bmp of webdataset"):
        go(f"webdataset:{tmp_path / 'val.tar'}", tmp_path / "run")


@pytest.mark.parametrize("change", ["new time", "time put back", "another size"])
def test_an_image_replaced_between_interruption_and_resume_is_named(change, data, run):
    drop_shards(run, 5)
    path = in_order(data, run, LATE)
    status = path.stat()
    path.write_bytes(encoded(99) + b"longer" * (change == "another size"))
    if change == "time put back":
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(DataError, match=path.name):
        go(data, run)


def test_an_image_replaced_before_it_is_measured_is_measured_as_it_is(data, run, tmp_path):
    drop_shards(run, 3)
    in_order(data, run, 20).write_bytes(encoded(99))
    resumed = go(data, run)
    assert (resumed.left, resumed.compared) == (12, False)
    assert resumed.figures == go(data, tmp_path / "undisturbed").figures


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_replaced_while_the_run_goes_ends_it_by_name(workers, data, run, tmp_path):
    path, output = in_order(data, run, LATE), tmp_path / "disturbed"
    replace = when_measuring(lambda: path.write_bytes(encoded(99)))
    with pytest.raises(DataError, match=rf"{path.name} of .* changed during the run"):
        go(data, output, listen=replace, workers=workers)
    assert len(shard_files(output)) == 2
    again = go(data, output)
    assert again.left == IMAGES - 2 * BATCH
    assert again.figures == go(data, tmp_path / "undisturbed").figures


def move(data: Path) -> Path:
    (data.parent / "elsewhere").mkdir()
    return data.rename(data.parent / "elsewhere" / data.name)


def touch(data: Path) -> Path:
    for path in data.rglob("*.bmp"):
        path.touch()
    return data


@pytest.mark.parametrize("change", [move, touch])
def test_equal_contents_elsewhere_or_later_resume(change, tmp_path):
    """Also of images that cannot be read, both times."""
    data, run = write_images(tmp_path / "data", count=48), tmp_path / "run"
    go(data, tmp_path / "order")
    broken, pipe = in_order(data, tmp_path / "order", 30), in_order(data, tmp_path / "order", 40)
    broken.write_bytes(b"no picture")
    if change is move:
        pipe.unlink()
        os.mkfifo(pipe)
    before = go(data, run)
    skipped = {Path(s["path"]).name: s["reason"] for s in results(run)["data"][0]["skipped"]}
    assert "not an image" in skipped[broken.name]
    if change is move:
        assert skipped[pipe.name].endswith("is a named pipe, not a file")
    changed = change(data)
    resumed = go(changed, run)
    assert (resumed.left, resumed.compared) == (0, True)
    assert resumed.figures == before.figures
    assert results(run)["data"][0]["source"] == f"imagefolder:{changed.name}"
    if change is touch:
        again = go(changed, run)
        assert (again.left, again.compared) == (0, False), "the next resume reads nothing"


def test_every_image_has_the_digest_of_its_content(data: Path, run: Path) -> None:
    result: dict[int, bytes] = {}
    for path in shard_files(run):
        arrays, _ = read_arrays(Entry(path.parent, path.name))
        rows = [row.tobytes() for row in arrays["digests"]]
        result |= dict(zip(arrays["images"].tolist(), rows, strict=True))
    (samples,) = read_samples(RunDir(run)).values()
    assert result == {
        sample.id: hashlib.sha256((data / sample.path).read_bytes()).digest()
        for sample in samples.values()
    }


def test_a_map_belongs_to_the_content_of_its_image(data: Path, tmp_path: Path) -> None:
    root, run = write_tree(tmp_path / "broden"), tmp_path / "run"
    first = go(data, run, concepts=f"broden:{root}")
    write_map(root / "images" / "ade20k" / "ADE_1_color.png", np.full((8, 8), 4))
    again = go(data, run, concepts=f"broden:{root}")
    assert again.key == first.key
    assert again.left == first.left - IMAGES > 0  # the concept images, and no others


def test_labels_are_read_again_where_maps_change_before_they_are_measured(data, tmp_path):
    root, run = write_tree(tmp_path / "broden"), tmp_path / "run"

    def labels() -> bytes:
        stop = when_measuring((run / "cancel").touch)
        go(data, run, listen=stop, concepts=f"broden:{root}")
        return (run / "concepts.safetensors").read_bytes()

    assert labels() == (first := labels())
    (root / "images" / "dtd" / "dotted_1_color.png").touch()
    assert labels() != first
