"""A run rests on the images that are there: by content, whatever their names and places are."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.datasets.broden_tree import write_map, write_tree
from tests.datasets.trees import picture
from tests.measure.test_extract import Spread, to_tensor
from tests.measure.test_together import member_of, together
from tuiprobe.answer import answer
from tuiprobe.datasets.assemble import add_concepts
from tuiprobe.datasets.load import load_suite
from tuiprobe.errors import DataError
from tuiprobe.events import Event
from tuiprobe.files import Entry
from tuiprobe.measure.clock import Clock
from tuiprobe.measure.contents import refuse_other_images
from tuiprobe.measure.plan import Plan, make_plan
from tuiprobe.measure.ranks import Rank
from tuiprobe.measure.stages import Stages
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.info import PreprocessingInfo, WeightsInfo
from tuiprobe.run.arrays import read_arrays
from tuiprobe.run.directory import RunDir
from tuiprobe.spec import RunSpec

IMAGES, BATCH = 24, 4
LATE = 8
"""Images from this place of the order on are in no key; they lie in the third shard and later."""


def encoded(seed: int, format: str) -> bytes:
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


def plan_of(source: str, concepts: str | None = None, **options: Any) -> Plan:
    module = Spread(capacity=99)
    encoder = Encoder(
        name="py:test",
        architecture="spread",
        representation="pooled",
        width=4,
        weights=WeightsInfo(kind="checkpoint", source="test", digest="0" * 64),
        preprocessing=PreprocessingInfo(
            size=(1, 1), mean=(0.0,) * 3, std=(1.0,) * 3, interpolation="none", source="test"
        ),
        module=module,
        preprocess=lambda image: to_tensor(image.resize((1, 1))),
        forward=module,
    )
    spec = RunSpec(
        model="py:test", data=source, batch_size=BATCH, shard_batches=1, workers=0, top_k=3,
        concepts=concepts, **options,
    )  # fmt: skip
    return make_plan(spec, encoder, add_concepts(load_suite(source), spec))


class Resumed:
    """A run in a directory, as the command would begin or resume it."""

    def __init__(self, plan: Plan, directory: Path) -> None:
        self.plan, self.directory = plan, RunDir(directory)
        self.said: list[Event] = []
        refuse_other_images(plan, self.directory)
        self.directory.refuse_foreign(plan.key)
        clock = Clock()
        self.stages = Stages(plan, self.directory, Rank(0, 1), clock, self.said.append, answer)
        self.stages.prepare(mix=False)
        self.left = sum(shard.size for shard in self.stages.missing)

    def finish(self) -> dict:
        self.stages.extract()
        self.stages.finish()
        return json.loads(self.directory.results_file.read_text())

    @property
    def compared(self) -> bool:
        return any("comparing the contents" in event.message for event in self.said)


def drop_shards(directory: Path, first: int) -> None:
    """Leaves what an interruption before this shard would have left."""
    for path in sorted(directory.glob("shards/*"))[first:]:
        path.unlink()
    (directory / "results.json").unlink(missing_ok=True)


def figures(results: dict) -> dict:
    return {one["probe"]: one["result"] for one in results["parts"]}


def in_order(plan: Plan, place: int) -> Path:
    """Returns the file of the image at a place of the processing order."""
    (dataset,) = plan.suite.sets.values()
    sample = list(plan.stamps[next(iter(plan.suite.sets))])[place]
    return Path(dataset.source.partition(":")[2]) / dataset.samples[sample].path


@pytest.mark.parametrize("format", ["JPEG", "BMP"])
def test_folders_of_equal_names_never_share_a_run(tmp_path: Path, format: str) -> None:
    plans = [
        plan_of(f"imagefolder:{write_images(tmp_path / 'C' / kind / '5', seed, format)}")
        for seed, kind in enumerate(("gaussian_noise", "fog"))
    ]
    assert plans[0].directory_name.rpartition("-")[0] == plans[1].directory_name.rpartition("-")[0]
    assert plans[0].key != plans[1].key
    Resumed(plans[0], tmp_path / "run").finish()
    with pytest.raises(DataError, match=r"bmp|jpeg"):
        Resumed(plans[1], tmp_path / "run")


def test_folders_whose_first_images_are_equal_are_told_apart_on_resume(tmp_path: Path) -> None:
    first = plan_of(f"imagefolder:{write_images(tmp_path / 'a' / '5')}")
    Resumed(first, tmp_path / "run").finish()
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    other = in_order(first, 20).relative_to(tmp_path / "a")
    (tmp_path / "b" / other).write_bytes(encoded(77, "BMP"))
    second = plan_of(f"imagefolder:{tmp_path / 'b' / '5'}")
    assert second.key == first.key
    before = (tmp_path / "run" / "spec.json").read_bytes()
    with pytest.raises(DataError, match=rf"{other.name} of imagefolder:.*--output.*--fresh"):
        Resumed(second, tmp_path / "run")
    assert (tmp_path / "run" / "spec.json").read_bytes() == before


def test_a_suite_whose_shift_points_elsewhere_is_another_run(tmp_path: Path) -> None:
    for seed, name in enumerate(("val", "one", "two")):
        write_images(tmp_path / name, seed)
    suite = tmp_path / "suite.toml"
    keys = []
    for shift in ("one", "two"):
        suite.write_text(f'id = "imagefolder:val"\n[shifts]\nmoved = "imagefolder:{shift}"\n')
        keys.append(plan_of(f"suite:{suite}").key)
    assert keys[0] != keys[1]


def write_tar(path: Path, seed: int) -> Path:
    with tarfile.open(path, "w") as tar:
        for number in range(IMAGES):
            content = encoded(seed * 1000 + number, "BMP")
            info = tarfile.TarInfo(f"{number % 2}/{number:04}.bmp")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_tars_of_equal_member_names_are_told_apart(tmp_path: Path, cache: None) -> None:
    path = write_tar(tmp_path / "val.tar", 0)
    first = plan_of(f"webdataset:{path}")
    run = Resumed(first, tmp_path / "run")
    run.finish()
    write_tar(path, 1)
    second = plan_of(f"webdataset:{path}")
    assert second.key != first.key
    with pytest.raises(DataError, match=r"val\.tar/.*bmp of webdataset"):
        Resumed(second, tmp_path / "run")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuiprobe.datasets.tars.cache_folder", lambda: tmp_path / "cache")


@pytest.mark.parametrize("same_time", [False, True], ids=["new time", "time put back"])
def test_an_image_replaced_between_interruption_and_resume_is_named(
    tmp_path: Path, same_time: bool
) -> None:
    source = f"imagefolder:{write_images(tmp_path / 'data')}"
    plan = plan_of(source)
    Resumed(plan, tmp_path / "run").finish()
    drop_shards(tmp_path / "run", 5)
    path = in_order(plan, LATE + 2)
    status = path.stat()
    path.write_bytes(encoded(99, "BMP"))
    assert path.stat().st_size == status.st_size
    if same_time:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(DataError, match=path.name):
        Resumed(plan_of(source), tmp_path / "run")


def test_an_image_of_another_size_is_named_too(tmp_path: Path) -> None:
    source = f"imagefolder:{write_images(tmp_path / 'data', format='PNG')}"
    plan = plan_of(source)
    Resumed(plan, tmp_path / "run").finish()
    path = in_order(plan, LATE + 2)
    path.write_bytes(encoded(99, "PNG") + b"longer")
    with pytest.raises(DataError, match=path.name):
        Resumed(plan_of(source), tmp_path / "run")


def test_an_image_replaced_before_it_is_measured_is_measured_as_it_is(tmp_path: Path) -> None:
    source = f"imagefolder:{write_images(tmp_path / 'data')}"
    plan = plan_of(source)
    Resumed(plan, tmp_path / "run").finish()
    drop_shards(tmp_path / "run", 3)
    in_order(plan, 20).write_bytes(encoded(99, "BMP"))
    resumed = Resumed(plan_of(source), tmp_path / "run")
    assert (resumed.left, resumed.compared) == (12, False)
    undisturbed = Resumed(plan_of(source), tmp_path / "undisturbed").finish()
    assert figures(resumed.finish()) == figures(undisturbed)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_replaced_while_the_run_goes_ends_it_by_name(tmp_path: Path, workers: int) -> None:
    source = f"imagefolder:{write_images(tmp_path / 'data')}"
    plan = plan_of(source)
    plan = Plan(**{**vars(plan), "spec": replace(plan.spec, workers=workers)})
    run = Resumed(plan, tmp_path / "run")
    path = in_order(plan, LATE + 2)
    path.write_bytes(encoded(99, "BMP"))
    with pytest.raises(DataError, match=rf"{path.name} of .* changed while the run was going"):
        run.stages.extract()
    assert len(list((tmp_path / "run" / "shards").iterdir())) == 2
    again = Resumed(plan_of(source), tmp_path / "run")
    assert again.left == IMAGES - 2 * BATCH
    undisturbed = Resumed(plan_of(source), tmp_path / "undisturbed").finish()
    assert figures(again.finish()) == figures(undisturbed)


def move(data: Path) -> Path:
    (data.parent / "elsewhere").mkdir()
    return data.rename(data.parent / "elsewhere" / data.name)


def copy(data: Path) -> Path:
    place = data.parent / "copied" / data.name
    return shutil.copytree(data, place, copy_function=shutil.copyfile)


def touch(data: Path) -> Path:
    for path in data.rglob("*.bmp"):
        path.touch()
    return data


@pytest.mark.parametrize("change", [move, copy, touch])
def test_equal_contents_elsewhere_or_later_resume(
    tmp_path: Path, change: Callable[[Path], Path]
) -> None:
    data = write_images(tmp_path / "data")
    before = Resumed(plan_of(f"imagefolder:{data}"), tmp_path / "run").finish()
    source = f"imagefolder:{change(data)}"
    resumed = Resumed(plan_of(source), tmp_path / "run")
    assert (resumed.left, resumed.compared) == (0, True)
    after = resumed.finish()
    assert figures(after) == figures(before)
    assert after["data"][0]["source"] == f"imagefolder:{Path(source).name}"
    again = Resumed(plan_of(source), tmp_path / "run")
    assert (again.left, again.compared) == (0, False), "the next resume reads nothing"


def test_an_image_that_is_unreadable_both_times_resumes(tmp_path: Path) -> None:
    data = write_images(tmp_path / "data", count=200)
    plan = plan_of(f"imagefolder:{data}")
    broken, pipe = in_order(plan, 30), in_order(plan, 40)
    broken.write_bytes(b"no picture")
    pipe.unlink()
    os.mkfifo(pipe)
    first = Resumed(plan_of(f"imagefolder:{data}"), tmp_path / "run")
    results = first.finish()
    reasons = {
        one["path"].rpartition("/")[2]: one["reason"] for one in results["data"][0]["skipped"]
    }
    assert "not an image" in reasons[broken.name]
    assert reasons[pipe.name].endswith("is a named pipe, not a file")
    resumed = Resumed(plan_of(f"imagefolder:{move(data)}"), tmp_path / "run")
    assert (resumed.left, resumed.compared) == (0, True)


def digests_of(directory: Path) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for path in sorted((directory / "shards").iterdir()):
        arrays, _ = read_arrays(Entry(path.parent, path.name))
        rows = arrays["digests"]
        found |= {i: row.tobytes() for i, row in zip(arrays["images"].tolist(), rows, strict=True)}
    return found


def test_every_model_stores_the_digests_of_its_images(tmp_path: Path) -> None:
    plan = plan_of(f"imagefolder:{write_images(tmp_path / 'val')}")
    (dataset,) = plan.suite.sets.values()
    expected = {
        one.id: hashlib.sha256((tmp_path / "val" / one.path).read_bytes()).digest()
        for one in dataset.samples
    }
    members = [member_of(plan, tmp_path / name) for name in ("first", "second")]
    together(plan, *members)
    assert digests_of(tmp_path / "first") == expected
    assert digests_of(tmp_path / "second") == expected


def test_a_map_belongs_to_the_content_of_its_image(tmp_path: Path) -> None:
    source = f"imagefolder:{write_images(tmp_path / 'data')}"
    root = write_tree(tmp_path / "broden")
    plan = plan_of(source, f"broden:{root}")
    Resumed(plan, tmp_path / "run").stages.extract()
    path = root / "images" / "ade20k" / "ADE_1_color.png"
    write_map(path, np.full((8, 8), 4))
    changed = plan_of(source, f"broden:{root}")
    assert changed.key == plan.key
    assert changed.set_keys["broden"] != plan.set_keys["broden"]
    again = Resumed(changed, tmp_path / "run")  # the concept images, and no others
    assert again.left == len(changed.suite.sets["broden"].samples)


def test_labels_are_read_again_where_maps_change_before_they_are_measured(tmp_path: Path) -> None:
    source = f"imagefolder:{write_images(tmp_path / 'data')}"
    root = write_tree(tmp_path / "broden")
    Resumed(plan_of(source, f"broden:{root}"), tmp_path / "run")
    first = (tmp_path / "run" / "concepts.safetensors").read_bytes()
    Resumed(plan_of(source, f"broden:{root}"), tmp_path / "run")
    assert (tmp_path / "run" / "concepts.safetensors").read_bytes() == first
    (root / "images" / "dtd" / "dotted_1_color.png").touch()
    Resumed(plan_of(source, f"broden:{root}"), tmp_path / "run")
    assert (tmp_path / "run" / "concepts.safetensors").read_bytes() != first


def test_a_head_is_fitted_anew_where_its_images_may_have_changed(tmp_path: Path) -> None:
    source = f"imagefolder:{write_images(tmp_path / 'data')}"
    plan = plan_of(source, sample=8, head="probe")
    Resumed(plan, tmp_path / "run").finish()
    head = tmp_path / "run" / "head.safetensors"
    before = head.read_bytes()
    Resumed(plan_of(source, sample=8, head="probe"), tmp_path / "run").finish()
    assert head.read_bytes() == before
    (dataset,) = plan.suite.sets.values()
    (measured,) = plan.stamps.values()
    fitted_to = next(one for one in dataset.samples if one.id not in measured)
    (tmp_path / "data" / fitted_to.path).write_bytes(encoded(99, "BMP"))
    again = Resumed(plan_of(source, sample=8, head="probe"), tmp_path / "run")
    assert (again.left, again.compared) == (0, False)
    again.finish()
    Resumed(plan_of(source, sample=8, head="probe"), tmp_path / "undisturbed").finish()
    weight = read_arrays(RunDir(tmp_path / "run").head_file)[0]["weight"]
    theirs = read_arrays(RunDir(tmp_path / "undisturbed").head_file)[0]["weight"]
    assert np.array_equal(weight, theirs)
    assert head.read_bytes() != before
