from __future__ import annotations

import pickle
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets

from tests.datasets.trees import jpeg
from tuiprobe.datasets import UnreadableImageError
from tuiprobe.datasets.dataset import digest_of
from tuiprobe.datasets.load import load_suite
from tuiprobe.datasets.torchvision_sets import READERS, TorchvisionSet
from tuiprobe.errors import DataError, UsageError


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns MNIST's test split and EuroSAT, few images each, in the layouts torchvision reads."""
    root = tmp_path_factory.mktemp("torchvision")
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    np.save(root / "digits.npy", images)
    for split in ("t10k", "train"):
        with (raw / f"{split}-images-idx3-ubyte").open("wb") as file:
            file.write(struct.pack(">IIII", 2051, 5, 28, 28) + images.tobytes())
        with (raw / f"{split}-labels-idx1-ubyte").open("wb") as file:
            file.write(struct.pack(">II", 2049, 5) + bytes([3, 1, 9, 0, 3]))
    for number, name in enumerate(("Forest", "River")):
        folder = root / "eurosat" / "2750" / name
        folder.mkdir(parents=True)
        for place in range(2):
            (folder / f"{name}_{place}.jpg").write_bytes(jpeg(10 * number + place))
    return root


def test_pixels_labels_and_names_are_torchvisions(root: Path) -> None:
    images = TorchvisionSet(f"MNIST:{root}")
    assert images.source.endswith(":test")
    assert images.classes[3] == "3 - three"
    assert [s.label for s in images.samples] == [3, 1, 9, 0, 3]
    assert images.samples[1].path == "test/0000001"
    digits = np.load(root / "digits.npy")
    for sample in images.samples:
        picture = np.array(images.read(sample).image())
        assert picture.shape == (28, 28, 3)
        assert (picture == digits[sample.id][..., None]).all()


def test_a_set_of_folders_with_a_damaged_image(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "eurosat", tmp_path / "eurosat")
    (tmp_path / "eurosat/2750/Forest/Forest_0.jpg").write_bytes(jpeg(0)[:200])
    (images,) = load_suite(f"torchvision:EuroSAT:{tmp_path}").sets.values()
    assert images.classes == ("Forest", "River")
    assert [s.label for s in images.samples] == [0, 0, 1, 1]
    copy = pickle.loads(pickle.dumps(images))
    assert (
        copy.read(copy.samples[2]).image().tobytes()
        == images.read(images.samples[2]).image().tobytes()
    )
    with pytest.raises(UnreadableImageError):
        images.read(images.samples[0]).image()


@pytest.mark.parametrize("name", READERS)
def test_missing_files_are_never_downloaded(name, tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("downloads")

    names = ("download_url", "download_and_extract_archive", "download_file_from_google_drive")
    for module in vars(torchvision.datasets).values():
        for function in names:
            if hasattr(module, function):
                monkeypatch.setattr(module, function, refuse)
    with pytest.raises(DataError, match=f"torchvision:{name}: {tmp_path} does not hold its files"):
        TorchvisionSet(f"{name}:{tmp_path}")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("Nonsense:/x", "is not known; there are CIFAR10"),
        ("os:/x", "is not known"),
        ("CIFAR10", "names no folder"),
        ("CIFAR10:/x:validation", "splits of CIFAR10 are test, train"),
        ("EuroSAT:/x:test", "none to choose from"),
    ],
)
def test_what_cannot_be_understood_says_so(text: str, cause: str) -> None:
    with pytest.raises(UsageError, match=cause):
        TorchvisionSet(text)


def test_stamps_hold_the_pixels_in_memory_and_nothing_for_files(root: Path, tmp_path: Path) -> None:
    digits = TorchvisionSet(f"MNIST:{root}")
    assert digits.stamp(digits.samples[0]) == digits.read(digits.samples[1]).stamp
    shutil.copytree(root, tmp_path / "copy")
    copied = TorchvisionSet(f"MNIST:{tmp_path / 'copy'}")
    assert copied.stamp(copied.samples[0]) == digits.stamp(digits.samples[0])
    path = tmp_path / "copy" / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    altered = TorchvisionSet(f"MNIST:{tmp_path / 'copy'}")
    assert altered.stamp(altered.samples[0]) != digits.stamp(digits.samples[0])
    last = digits.samples[-1]
    assert digest_of(altered, last) != digest_of(digits, last)
    files = TorchvisionSet(f"EuroSAT:{root}")
    assert files.stamp(files.samples[0]).changed is None
