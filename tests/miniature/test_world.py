import hashlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from tuiprobe.errors import UsageError
from tuiprobe.miniature import dataset, world
from tuiprobe.miniature.objects import OBJECTS
from tuiprobe.miniature.palette import Draws

# SHA-256 over forty images of each set. They hold on every Python, NumPy and Pillow: rendering
# draws raw Philox numbers and computes with operations that IEEE 754 rounds the same everywhere.
GOLDEN = {
    "val": "fa0bbdd09b4d2cb4",
    "v2": "fabfbb3340b90346",
    "sketch": "fe21accbe5666ca0",
    "r": "e0b2694cde7094cf",
    "a": "07b05f4788a35cb4",
    "objectnet": "1e22676b9927148d",
    "concepts": "ddbbcf02b5395880",
    "web": "ca8be5b8326cb24b",
    "street": "6de97291a1528920",
    "train": "5c3cfc26b3491a2a",
}
SCRIPT = """
import hashlib, sys
from tuiprobe.miniature import world
digest = hashlib.sha256()
for i in range(0, world.size(sys.argv[1]), world.size(sys.argv[1]) // 40):
    digest.update(world.render(sys.argv[1], i).tobytes())
print(digest.hexdigest()[:16])
"""


def test_another_process_with_another_hash_seed_renders_the_same() -> None:
    command = [sys.executable, "-c", SCRIPT, "r"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "77"}
    )
    assert done.stdout.strip() == GOLDEN["r"]


@pytest.mark.parametrize("call", [world.render, world.label, world.path, world.caption])
def test_unknown_sets_and_numbers_are_refused(call) -> None:
    with pytest.raises(UsageError, match="no set 'nope'"):
        call("nope", 0)
    for index in (-1, 4000):
        with pytest.raises(UsageError, match="0 to 3999"):
            call("val", index)


@pytest.mark.parametrize("name", world.SETS)
def test_pixels_labels_and_paths_of_a_set(name: str) -> None:
    size = world.size(name)
    digest = hashlib.sha256()
    for index in range(0, size, size // 40):
        pixels = world.render(name, index)
        assert pixels.shape == (64, 64, 3)
        assert pixels.dtype == np.uint8
        assert pixels.astype(float).std() > 3  # none is blank
        digest.update(pixels.tobytes())
    assert digest.hexdigest()[:16] == GOLDEN[name]
    paths = [world.path(name, i).encode() for i in range(0, size, 7)]
    assert paths == sorted(set(paths))
    labels = [world.label(name, i) for i in range(size if name != "web" else 0)]
    if name == "street":
        assert labels == [world.scene(name, i).figures[0].label for i in range(size)]
    elif labels:
        assert labels == sorted(labels)
        assert np.bincount(labels).tolist() == [size // 40] * 40


def test_names_of_classes_are_safe_as_folders_and_their_words_of_one_class() -> None:
    names = world.CLASS_NAMES
    assert sorted(names, key=str.encode) == list(names)
    assert all(name.isalpha() and name.islower() for name in names)
    words = [word for item in OBJECTS for word in (item.name, *item.synonyms)]
    assert len(words) == len(set(words))


def test_first_draws_are_the_documented_ones() -> None:
    # The raw stream of Philox is promised by NumPy; these values must never change.
    draws = Draws("val", 0)
    assert [draws.below(1000) for _ in range(6)] == [615, 176, 451, 870, 445, 174]


def test_a_set_renders_what_it_opens_and_is_numbered_by_path() -> None:
    images = dataset("a")
    assert [sample.id for sample in images.samples] == list(range(2000))
    assert sorted(images.samples, key=lambda s: s.path.encode()) == list(images.samples)
    assert (images.source, images.classes) == ("miniature:a", world.CLASS_NAMES)
    image = images.read(images.samples[17]).image()
    assert (image.mode, image.size) == ("RGB", (64, 64))
    assert (np.array(image) == world.render("a", 17)).all()


@pytest.mark.slow
def test_the_target_set_overlaps_no_other_set() -> None:
    def scenes(name: str) -> list[Any]:
        return [world.scene(name, i) for i in range(world.size(name))]

    street = scenes("street")
    assert {scene.style for scene in street} == {
        scene.style for name in world.SHIFTS for scene in scenes(name)
    }
    elsewhere = {scene for name in ("val", *world.SHIFTS, "concepts") for scene in scenes(name)}
    assert len(set(street)) == 500
    assert not elsewhere & set(street)
