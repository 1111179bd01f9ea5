"""Images that Python code holds, in every form that a user of torch has."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset
from torchvision.datasets import ImageFolder
from torchvision.transforms.functional import pil_to_tensor

from tuiprobe.datasets.python_images import PythonImages
from tuiprobe.errors import DataError, TuiprobeError, UnreadableImageError, UsageError

COLORS = ("red", "green", "blue")
PICTURES = [Image.new("RGB", (4, 4), color) for color in COLORS]
PAIRS = [(picture, label) for label, picture in enumerate(PICTURES)]


class Items(Dataset[Any]):
    """Gives items by number, and counts how often."""

    def __init__(self, items: list[Any], **attributes: Any) -> None:
        self.items, self.asked = items, 0
        vars(self).update(attributes)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, place: int) -> Any:
        self.asked += 1
        item = self.items[place]
        return item() if callable(item) else item


class Stream(IterableDataset[Any]):
    """Gives the pairs once more each time."""

    def __iter__(self) -> Iterator[Any]:
        return iter(PAIRS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for color, picture in zip(COLORS, PICTURES, strict=True):
        (tmp_path / color).mkdir()
        picture.save(tmp_path / color / "1.png")
    return tmp_path


def test_every_form_gives_the_same_pictures_and_labels(folder: Path) -> None:
    files = sorted(folder.rglob("*.png"))  # blue, green, red
    forms: dict[str, object] = {
        "a list": PAIRS,
        "a generator": (pair for pair in PAIRS),
        "a stream": Stream(),
        "a Dataset": Items(PAIRS),
        "more fields": Items([(*pair, {"more": 1}) for pair in PAIRS]),
        "a DataLoader": DataLoader(Items(PAIRS), batch_size=2, shuffle=True),
        "a part": Subset(Items([PAIRS[0], *PAIRS], targets=[0, 0, 1, 2]), [1, 2, 3]),
        "numbers of torch": [(picture, torch.tensor(label)) for picture, label in PAIRS],
        "pixels": [(pil_to_tensor(picture), np.int64(label)) for picture, label in PAIRS],
        "dicts": [{"image": picture, "label": label} for picture, label in PAIRS],
        "dicts of a Dataset": Items([{"img": p, "more": 0, "cls": label} for p, label in PAIRS]),
        "arrays": (np.stack([np.asarray(p) for p in PICTURES]), np.arange(3)),
        "tensors": [torch.stack([pil_to_tensor(p) for p in PICTURES]), [0, 1, 2]],
        "an array each": [(np.asarray(picture), label) for picture, label in PAIRS],
        "paths": [(path, 2 - label) for label, path in enumerate(files)][::-1],
    }
    for form, data in forms.items():
        images = PythonImages(data)
        assert [sample.label for sample in images.samples] == [0, 1, 2], form
        assert images.classes == ("0", "1", "2"), form
        assert images.notes == (), form
        colors = [images.read(sample).image().getpixel((0, 0)) for sample in images.samples]
        assert colors == [(255, 0, 0), (0, 128, 0), (0, 0, 255)], form
    named = PythonImages([(picture, COLORS[label]) for picture, label in PAIRS])
    assert named.classes == ("blue", "green", "red")
    assert [sample.label for sample in named.samples] == [2, 1, 0]
    read = PythonImages(ImageFolder(str(folder)))
    assert (read.name, read.classes) == ("ImageFolder", ("blue", "green", "red"))
    unlabelled = PythonImages([(picture, -1) for picture in PICTURES], labelled=False)
    assert unlabelled.classes == ()
    lone = PythonImages(PICTURES)
    assert (lone.classes, [sample.label for sample in lone.samples]) == ((), [None] * 3)


def test_labels_that_a_dataset_lists_are_taken_if_they_are_those_of_its_items() -> None:
    listed = Items(PAIRS * 10, targets=[0, 1, 2] * 10, classes=list(COLORS))
    images = PythonImages(listed)
    assert images.classes == COLORS
    assert len(images.samples) == 30
    assert listed.asked < 10  # no image is read for its label
    other = Items(PAIRS * 10, targets=[7] * 30)  # a target_transform changes them
    assert [sample.label for sample in PythonImages(other).samples] == [0, 1, 2] * 10
    swapped = PythonImages(Items([*PAIRS, PAIRS[0]], targets=[0, 2, 1, 0]))  # only both ends agree
    with pytest.raises(DataError, match=r"image 1 .* has the label 1, but .* 2: correct"):
        swapped.read(swapped.samples[1])
    images = PythonImages(Items(PAIRS, targets=torch.eye(3)))
    images.rows = ("rot", "grün", "blau", "gelb")  # names of the model's outputs
    assert images.classes == images.rows


def test_tensors_go_to_the_model_as_they_are() -> None:
    tensors = torch.randn(3, 3, 5, 6)
    images = PythonImages([(tensor, 0) for tensor in tensors])
    assert images.tensor_size == (5, 6)
    assert "taken as preprocessed" in images.notes[0]
    contents = [images.read(sample) for sample in images.samples]
    for content, tensor in zip(contents, tensors, strict=True):
        assert torch.equal(content.prepared, tensor)
        assert content.image().size == (6, 5)
    assert len({content.digest() for content in contents}) == 3


def broken() -> object:
    raise KeyError("label")


@pytest.mark.parametrize("place", [0, 3, 6])
@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize(
    "item",
    [broken, None, ("/gone.png", 1), (np.zeros(3), 1)],
    ids=["raises", "none", "gone", "array"],
)
def test_an_item_that_fails_is_skipped_as_a_broken_file_is(item, place, listed):
    items: list[Any] = [*PAIRS, *PAIRS]
    labels = [0, 1, 2, 0, 1, 2]
    items.insert(place, item)
    labels.insert(place, 1)
    images = PythonImages(Items(items, **({"targets": labels} if listed else {})))
    readable = [sample for sample in images.samples if sample.id != place]
    assert [images.read(sample) is not None for sample in readable] == [True] * 6
    assert [sample.label for sample in readable] == [0, 1, 2] * 2
    assert images.classes == ("0", "1", "2")
    with pytest.raises(UnreadableImageError, match=f"image {place} of py:Items"):
        images.read(images.samples[place])


MISTAKES: dict[str, tuple[Callable[[], object], type[TuiprobeError], str]] = {
    "a number": (lambda: 3, UsageError, "int 3 is no set of images: give a folder"),
    "a dict": (lambda: {"train": 1}, UsageError, "dict of train is no set"),
    "an image": (lambda: PICTURES[0], UsageError, "Image is no set"),
    "nothing": (list, DataError, "holds no image"),
    "rows of a table": (lambda: [{"image": 1, "label": 2}], UsageError, r"\(int 1\)"),
    "arrays": (lambda: [np.zeros((4, 4, 3))], UsageError, r"ndarray \[4, 4, 3\].* of uint8"),
    "grey tensors": (lambda: [torch.zeros(1, 4, 4)], UsageError, r"Tensor \[1, 4, 4\]"),
    "a draw": (lambda: Items([lambda: torch.randn(3, 4, 4)]), DataError, "its transform is random"),
    "a failure": (lambda: Items([lambda: {}["x"]]), DataError, "image 0 of py:Items: KeyError"),
    "a file that is gone": (lambda: ["/gone.png"], DataError, "image 0 of py:images: the file is"),
    "a score": (lambda: [(PICTURES[0], 0.5)], DataError, "has the label float 0.5: give the num"),
    "one-hot": (lambda: [(PICTURES[0], torch.zeros(3))], DataError, r"the label Tensor \[3\]"),
    "a stream that breaks": (
        lambda: (PAIRS[i] for i in (0, 1, 5)),
        DataError,
        "images failed: IndexError.*line",
    ),
    "no class": (lambda: [*PAIRS, (PICTURES[0], -1)], DataError, "image 3 .* has the label int -1"),
    "a gap": (lambda: [*PAIRS, PICTURES[0]], DataError, "image 3 .* has no label and others have"),
    "both": (lambda: [*PAIRS, (PICTURES[0], "red")], DataError, "names and numbers as labels"),
    "too many": (lambda: [*PAIRS, (PICTURES[0], 3)], DataError, "3, and the model 3 outputs"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_what_to_do(mistake: str) -> None:
    data, kind, message = MISTAKES[mistake]

    def classes() -> object:
        images = PythonImages(data())
        images.rows = COLORS
        return images.classes

    with pytest.raises(kind, match=message):
        classes()


def test_an_array_of_images_has_no_labels() -> None:
    pixels = np.stack([np.asarray(picture) for picture in PICTURES])
    images = PythonImages(pixels)
    assert (images.classes, [sample.label for sample in images.samples]) == ((), [None] * 3)
    assert [
        np.array_equal(np.asarray(images.read(s).image()), pixels[s.id]) for s in images.samples
    ] == [True] * 3
    named = PythonImages((pixels, ["a", "b", "a"]))
    assert [sample.label for sample in named.samples] == [0, 1, 0]
    for wrong, cause in (
        ((pixels, [0, 1]), "3 images and 2 labels"),
        (pixels.astype(np.float32), r"no image \(ndarray \[4, 4, 3\]\)"),
        ([{"text": "a"}], r"no image \(dict of text\)"),
    ):
        with pytest.raises(UsageError, match=cause):
            PythonImages(wrong)
