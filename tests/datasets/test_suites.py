from pathlib import Path

import numpy as np
import pytest

from tests.datasets.trees import write_folders, write_objectnet
from tuiprobe.catalog.accuracies import SHIFTS
from tuiprobe.catalog.class_names import imagenet_names, imagenet_wnids
from tuiprobe.datasets import Suite
from tuiprobe.datasets.load import load_suite
from tuiprobe.datasets.suites import auto_suite, read_suite
from tuiprobe.errors import DataError, UsageError
from tuiprobe.measure.engine.head_choice import answers_for

ALL = ("imagenet", *SHIFTS)


@pytest.fixture(scope="session")
def suite(trees: Path) -> Suite:
    return auto_suite({"TUIPROBE_DATA": str(trees)})


def test_the_usual_folders_become_the_papers_sets(suite: Suite) -> None:
    assert suite.published == {name: name for name in ALL}
    assert (suite.name, suite.notes) == ("imagenet", ())
    counts = [len(dataset.classes) for dataset in suite.sets.values()]
    assert dict(zip(suite.sets, counts, strict=True)) == {
        "imagenet": 1000, "imagenet_v2": 1000, "imagenet_r": 200, "imagenet_sketch": 1000,
        "objectnet": 3, "imagenet_a": 200,
    }  # fmt: skip
    assert tuple(suite.sets) == ALL
    for dataset in suite.sets.values():
        image = np.array(dataset.read(dataset.samples[-1]).image())
        assert image.shape == (32, 40, 3)
        assert image.std() > 5


def test_every_image_is_answered_for_by_the_class_its_folder_names(suite: Suite) -> None:
    # The truth from the path alone: a WordNet id, or the number of ImageNet-V2's folder.
    number = {wnid: label for label, wnid in enumerate(imagenet_wnids())}
    assert list(suite.imagenet) == ["objectnet"]  # brings its own map
    assert sum(answer >= 0 for answer in suite.imagenet["objectnet"]) == 4
    for name in ("imagenet", "imagenet_v2", "imagenet_r", "imagenet_sketch", "imagenet_a"):
        dataset = suite.sets[name]
        answers = answers_for(dataset.classes, imagenet_names(), suite.imagenet.get(name))
        for sample in dataset.samples:
            folder = sample.path.split("/")[0]
            truth = int(folder) if folder.isdecimal() else number[folder]
            assert answers[truth] == sample.label
        assert (answers >= 0).sum() == len(dataset.classes)
    # The string order of index folders is no trap: as text, 10 comes after 0 and 1.
    samples = suite.sets["imagenet_v2"].samples
    assert next((s.id, s.label) for s in samples if s.path.startswith("10/")) == (2, 10)


def test_names_are_found_in_any_case_and_what_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="set TUIPROBE_DATA"):
        auto_suite({})
    with pytest.raises(DataError, match="is not a folder"):
        auto_suite({"TUIPROBE_DATA": str(tmp_path / "gone")})
    with pytest.raises(DataError, match="no ImageNet validation set"):
        auto_suite({"TUIPROBE_DATA": str(tmp_path)})
    write_folders(tmp_path / "ILSVRC2012" / "val", list(imagenet_wnids()), ".JPEG")
    write_folders(tmp_path / "ImageNet-R", list(imagenet_wnids()[:3]), ".jpg")
    write_folders(tmp_path / "sketch", ["cats", "dogs"], ".jpg")  # somebody else's sketches
    (tmp_path / "broden1_224").mkdir()
    (tmp_path / "broden1_224" / "index.csv").write_text("image\n")
    suite = auto_suite({"TUIPROBE_DATA": str(tmp_path)})
    assert list(suite.sets) == ["imagenet", "imagenet_r"]
    assert suite.concepts == f"broden:{tmp_path}/broden1_224"
    (note,) = suite.notes
    assert "imagenet_v2, imagenet_sketch, objectnet, imagenet_a" in note
    write_objectnet(tmp_path / "objectnet-1.0")
    (tmp_path / "objectnet-1.0" / "mappings" / "objectnet_to_imagenet_1k.json").unlink()
    with pytest.raises(DataError, match=r"--suite auto: objectnet: .*1k\.json is missing"):
        auto_suite({"TUIPROBE_DATA": str(tmp_path)})


def written(folder: Path, text: str) -> Path:
    path = folder / "my suite.toml"
    path.write_text(text)
    return path


def test_a_file_names_sets_relative_to_itself(trees: Path, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(trees)
    write_folders(tmp_path / "mine", list(imagenet_wnids()[:5]), ".png")
    path = written(
        tmp_path,
        """
        name = "robust/ness"
        id = "imagefolder:data/imagenet/val"
        concepts = "broden:data/broden1_224"
        [shifts]
        ImageNetV2 = "imagefolder:data/imagenetv2-matched-frequency-format-val"
        objectnet = "objectnet:data/objectnet-1.0"
        "my shift" = "imagefolder:mine"
        """,
    )
    suite = load_suite(f"suite:{path}")
    assert suite.name == "robust-ness"
    assert suite.source == f"suite:{path}"
    assert list(suite.sets) == ["imagenet", "imagenet_v2", "objectnet", "my-shift"]
    assert "my-shift" not in suite.published
    assert suite.concepts == f"broden:{tmp_path}/data/broden1_224"


def test_a_suite_of_the_miniature(tmp_path: Path) -> None:
    suite = read_suite(written(tmp_path, 'id = "miniature:val"\n[shifts]\nr = "miniature:r"\n'))
    assert list(suite.sets) == ["val", "r"]
    assert suite.published == {}
    write_folders(tmp_path / "few", ["bicycle", "airplane"], ".png")
    path = written(tmp_path, 'id = "miniature:val"\n[shifts]\nfew = "imagefolder:few"\n')
    assert len(read_suite(path).sets["few"].classes) == 2


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ('id = "imagefolder:val', "is not TOML"),
        ('[shifts]\na = "imagefolder:val"', "id: missing"),
        ('id = "imagefolder:val"\nshift = 1', "shift: no such key; there are name, id"),
        ('id = "imagefolder:val"\nshifts = "x"', "shifts: not a table"),
        ("id = 3", "id: 3 is not a text"),
        ('id = "imagefolder:gone"', "id: imagefolder: .*gone does not exist"),
        ('id = "val"\n[shifts]\nx = "imagefolder:gone"', r"shifts\.x: .*does not exist"),
        ('id = "imagefolder:val"\n[shifts]\nx = "imagefolder:empty"', r"shifts\.x: .*no image"),
        ('id = "imagefolder:val"\n[shifts]\nx = "imagefolder:cats"', r"shifts\.x: .*'cats' is not"),
        ('id = "imagefolder:val"\n[shifts]\nval = "imagefolder:val"', r"shifts\.val: there is"),
        ('id = "imagefolder:val"\n[shifts]\nx = "py:os:getcwd"', r"shifts\.x: 'py:os:getcwd'"),
        ('id = "py:os:getcwd"', "id: 'py:os:getcwd': a suite names folders"),
        ('id = "suite:auto"', "id: 'suite:auto': a suite names folders"),
        ('id = "gone"', "id: 'gone': a suite names folders.* only; there is no folder .*gone"),
        ('id = "val"\n[shifts]\nx = "imagefolder:val"', r"shifts\.x: it has the images of 'val'"),
        ('id = "webdataset:pipe:touch x"', "id: .*runs a shell"),
        ('id = "imagefolder:val"\nconcepts = "py:os:getcwd"', "concepts: 'py:os:getcwd'"),
        ('id = "imagefolder:val"\nconcepts = "x"', "concepts: 'x' is no concept set"),
        ('id = "miniature:val"\n[shifts]\nx = "few"',
         r"shifts\.x: .*'zeppelin' is not a class of miniature:val"),
    ],
)  # fmt: skip
def test_mistakes_name_file_and_key(tmp_path: Path, text: str, cause: str) -> None:
    write_folders(tmp_path / "val", list(imagenet_wnids()[:2]), ".png")
    write_folders(tmp_path / "cats", ["cats", "dogs"], ".png")
    write_folders(tmp_path / "few", ["airplane", "zeppelin"], ".png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=rf"my suite\.toml:? .*{cause}") as error:
        read_suite(written(tmp_path, text))
    assert error.value.exit_code == 4


def test_a_suite_that_is_huge_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="above the limit"):  # the parser takes minutes for the key
        read_suite(written(tmp_path, "a." * 2**19))
    with pytest.raises(DataError, match="cannot read the suite"):
        load_suite(f"suite:{tmp_path / 'gone.toml'}")
    with pytest.raises(UsageError, match="unknown data source 'suite:'"):
        load_suite("suite:")
