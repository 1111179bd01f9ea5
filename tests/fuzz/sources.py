"""A small source of images of every kind, with tables beside it, and their readers."""

import io
import tarfile
from pathlib import Path

from tests.datasets.trees import jpeg, write_folders, write_objectnet
from tuiprobe.choose.robustness.baselines import read_baseline_csv
from tuiprobe.datasets.load import load_concepts, load_suite


def make_sources(root: Path) -> None:
    """Writes a small source of every kind."""
    for name in ("images", "renditions"):
        write_folders(root / name, ["cat", "dog"], ".jpg")
    write_objectnet(root / "objectnet", images=1)
    for number in range(2):
        kind = (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT)[number]
        with tarfile.open(root / f"shard-{number}.tar", "w", format=kind) as tar:
            for name, content in (
                ("a" * 120 + ".jpg", jpeg(1)), ("b.jpg", jpeg(2)), ("b.cls", b"1"),
                ("a" * 120 + ".cls", b"0"), ("ö.txt", b"x"),
            ):  # fmt: skip
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    (root / "classnames.txt").write_text("cat\ndog\n")
    (root / "templates.txt").write_text("a photo of a {}.\na {}\n")
    (root / "concepts.csv").write_text(
        "image,split,color:red,dog\nimages/cat/cat_0000.jpg,train,0.5,1\n"
        "images/dog/dog_0001.jpg,val,0,0\n"
    )
    listed = "cat/cat_0000.jpg,cat\ndog/dog_0001.jpg,dog\n"
    (root / "images" / "list.csv").write_text(f"path,label\n{listed}")
    (root / "baseline.csv").write_text("model,val,renditions\na,0.9,0.7\nb,0.8,0.6\n")
    (root / "suite.toml").write_text(
        'name = "s"\nid = "imagefolder:images"\nconcepts = "csv:concepts.csv"\n[shifts]\n'
        'r = "imagefolder:renditions"\nw = "webdataset:shard-{0..1}.tar"\n'
    )


def read_all(source: str) -> None:
    for data in load_suite(source).sets.values():
        for sample in data.samples[:3]:
            data.stamp(sample)
            data.read(sample).image().load()


def read_concepts(source: str) -> None:
    result = load_concepts(source)
    for sample in result.samples[:3]:
        result.annotation(sample)


def read_baseline(path: str) -> None:
    text = Path(path).read_bytes().decode("utf-8", "replace")
    read_baseline_csv(text, path, "val", ("renditions",))
