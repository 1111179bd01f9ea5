import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tuiprobe.datasets.imagefolder import ImageFolder
from tuiprobe.errors import UsageError
from tuiprobe.miniature import dataset, export, world

IMAGES = 40


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(tmp_path_factory.mktemp("export") / "mini", sets=("val", "r"), images=IMAGES)


def test_the_folder_reader_gives_the_very_same_set(exported: Path) -> None:
    folder = ImageFolder(exported / "imagefolder" / "r")
    built_in = dataset("r")
    assert folder.classes == built_in.classes
    assert [s.id for s in folder.samples] == list(range(IMAGES))
    for sample in folder.samples[::5]:
        original = built_in.samples[sample.id * 2000 // IMAGES]
        assert (sample.path, sample.label) == (original.path, original.label)
        assert (
            np.array(folder.read(sample).image()) == np.array(built_in.read(original).image())
        ).all()


def test_tar_members_are_in_index_order_with_label_and_caption(exported: Path) -> None:
    with tarfile.open(exported / "webdataset" / "val-000000.tar") as tar:
        names = tar.getnames()
        assert names == sorted(names, key=lambda n: (n[:5], ("png", "cls", "txt").index(n[6:])))
        assert len(names) == 3 * IMAGES
        index = int(names[3][:5])
        read = {n[6:]: tar.extractfile(n).read() for n in names[3:6]}
    assert int(read["cls"]) == world.label("val", index)
    assert read["txt"].decode() == world.caption("val", index)
    assert (np.array(Image.open(io.BytesIO(read["png"]))) == world.render("val", index)).all()


def test_an_interrupted_export_leaves_nothing(tmp_path: Path) -> None:
    def stop(part: str, images: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(tmp_path / "out", images=5, progress=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("place", "options", "message"),
    [
        ("out", {"sets": ("nope",)}, "no set 'nope'"),
        ("out", {"layouts": ("zip",)}, "Unknown layout 'zip'"),
        ("out", {"images": 0}, "1 or more"),
        ("", {}, "not a new or empty directory"),
        ("keep.txt", {}, "not a new or empty directory"),
        ("keep.txt/below", {}, "Cannot export"),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_written(tmp_path, place, options, message):
    (tmp_path / "keep.txt").write_text("mine")
    with pytest.raises(UsageError, match=message):
        export(tmp_path / place, **{"images": 1, **options})
    assert [path.name for path in tmp_path.iterdir()] == ["keep.txt"]
