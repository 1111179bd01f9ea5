import json
from pathlib import Path

import numpy as np
import pytest

from tests.datasets.trees import IMAGENET_LABELS, RED, picture, write_json, write_objectnet
from tuiprobe.datasets import UnreadableImageError
from tuiprobe.datasets.objectnet import ObjectNet
from tuiprobe.errors import DataError
from tuiprobe.measure.engine.head_choice import answers_for


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_objectnet(tmp_path / "objectnet-1.0")
    return tmp_path / "objectnet-1.0"


def test_the_frame_is_cropped_to_the_last_pixel(root: Path) -> None:
    images = ObjectNet(root)
    for sample in images.samples[:4]:
        image = np.array(images.read(sample).image())
        # folders in byte order: air_freshener is the one left out, alarm_clock number 1
        assert (image == np.array(picture(100 + sample.id))).all()
        assert not (image == RED).all(axis=-1).any()


def test_classes_are_those_shared_with_imagenet(root: Path) -> None:
    images = ObjectNet(root)
    assert images.classes == ("Alarm clock", "Backpack", "Banana")
    assert [s.label for s in images.samples] == [0] * 4 + [1] * 4 + [2] * 4
    assert images.samples[4].path.startswith("backpack/")
    assert images.notes == ("1 folders of classes that ImageNet lacks are left out",)
    assert ObjectNet(root.parent).samples == images.samples  # the folder above is taken too


def test_several_classes_of_imagenet_answer_for_one(root: Path) -> None:
    images = ObjectNet(root)
    expected = np.full(1000, -1)
    for own, folder in enumerate(("alarm_clock", "backpack", "banana")):
        expected[list(IMAGENET_LABELS[folder])] = own
    assert images.imagenet == tuple(expected.tolist())
    rows = [f"row {i}" for i in range(1000)]
    answers = answers_for(images.classes, rows, images.imagenet)
    assert (answers == expected).all()
    assert answers_for(images.classes, rows[:10], images.imagenet) is None


def test_an_image_of_nothing_but_frame_is_unreadable(root: Path) -> None:
    images = ObjectNet(root)
    path = root / "images" / images.samples[0].path
    picture(0, (4, 40)).save(path)
    with pytest.raises(UnreadableImageError, match="nothing but frame"):
        images.read(images.samples[0]).image()


def test_missing_parts_are_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder images/"):
        ObjectNet(tmp_path / "nowhere")
    names = root / "mappings" / "imagenet_to_label_2012_v2"
    text = names.read_text()
    names.unlink()
    with pytest.raises(DataError, match="imagenet_to_label_2012_v2"):
        ObjectNet(root)
    names.write_text(text.replace("digital clock", "sundial"))
    with pytest.raises(DataError, match=r"objectnet_to_imagenet_1k\.json: 'Alarm clock' names"):
        ObjectNet(root)
    order = root / "mappings" / "pytorch_to_imagenet_2012_id.json"
    write_json(order, {"0": 5000})
    with pytest.raises(DataError, match="'0': 5000 is no line of"):
        ObjectNet(root)
    order.write_text("[1, 2")
    with pytest.raises(DataError, match=r"pytorch_to_imagenet_2012_id\.json is not JSON"):
        ObjectNet(root)
    (root / "mappings" / "objectnet_to_imagenet_1k.json").unlink()
    with pytest.raises(DataError, match=r"objectnet_to_imagenet_1k\.json is missing"):
        ObjectNet(root)


def test_folders_that_the_mapping_does_not_know_are_an_error(root: Path) -> None:
    for folder in (root / "images").iterdir():
        folder.rename(folder.with_name(f"my_{folder.name}"))
    with pytest.raises(DataError, match=r"no folder in .* is one of the 3"):
        ObjectNet(root)
    mapping = root / "mappings" / "folder_to_objectnet_label.json"
    write_json(mapping, {"a": json.loads(mapping.read_text())})
    with pytest.raises(DataError, match="does not map names to str"):
        ObjectNet(root)
