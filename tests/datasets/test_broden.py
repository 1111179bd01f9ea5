from pathlib import Path

import numpy as np
import pytest

from tests.datasets.broden_tree import (
    INDEX,
    LABELS,
    write_index,
    write_labels,
    write_map,
    write_tree,
)
from tools.broden import write_broden
from tuiprobe.datasets.broden import Broden
from tuiprobe.datasets.concepts import Concept
from tuiprobe.datasets.load import load_concepts
from tuiprobe.errors import DataError, UsageError
from tuiprobe.miniature.data import MiniatureConcepts


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "broden1_224")


def test_pixel_maps_whole_image_labels_and_splits(tree: Path) -> None:
    broden = Broden(tree)
    assert broden.name == "broden1_224"
    assert [s.path for s in broden.samples] == [
        "ade20k/ADE_1.jpg", "dtd/dotted_1.jpg", "pascal/2008.jpg",
    ]  # fmt: skip
    assert Concept("fabric", "material") in broden.concepts  # of two categories, the larger
    assert broden.categories == INDEX[6:]
    annotations = [broden.annotation(sample) for sample in broden.samples]
    assert [
        dict(
            zip(
                (broden.concepts[k].name for k in annotation.concepts),
                annotation.shares.tolist(),
                strict=True,
            )
        )
        for annotation in annotations
    ] == [
        {
            "black-c": 0.25,
            "red-c": 0.75,
            "cat": 0.25,
            "fabric": 1 / 64,
            "street-s": 1,
            "attic-s": 1,
        },
        {"black-c": 1, "dotted": 1},
        {"ear": 2 / 64, "eye": 1 / 64},  # two maps of parts: the larger share counts
    ]
    # an empty cell is not annotated
    named = [[broden.categories[g] for g in annotation.annotated] for annotation in annotations]
    assert named == [["color", "object", "scene"], ["color", "texture"], ["part"]]
    assert [annotation.train for annotation in annotations] == [True, True, False]
    assert broden.read(broden.samples[0]).image().getpixel((3, 3))[0] > 150
    assert Broden(tree).digest == broden.digest
    write_labels(tree, (*LABELS[:-1], (700, "spotted", "texture(1)")))
    assert Broden(tree).digest != broden.digest


def test_a_map_that_is_missing_damaged_or_has_unknown_numbers_is_named(tree: Path) -> None:
    broden, color = Broden(tree), tree / "images" / "ade20k" / "ADE_1_color.png"
    for number in (5, 701, 65535):
        write_map(color, np.full((8, 8), number))
        with pytest.raises(DataError, match=rf"ADE_1_color\.png.* {number}, .*not in label\.csv"):
            broden.annotation(broden.samples[0])
    color.write_bytes(b"no png")
    with pytest.raises(DataError, match=r"ADE_1_color\.png: not an image"):
        broden.annotation(broden.samples[0])
    color.unlink()
    message = r"ADE_1_color\.png: .* color map of ade20k/ADE_1\.jpg \(index\.csv line 3\)"
    with pytest.raises(DataError, match=message) as error:
        broden.annotation(broden.samples[0])
    assert error.value.exit_code == 4


def row(**changes: str) -> tuple:
    cells = dict.fromkeys(INDEX, "") | {"image": "a.jpg", "split": "train"} | changes
    return tuple(cells[name] for name in INDEX)


@pytest.mark.parametrize(
    ("write", "content", "message"),
    [
        (write_index, [row(scene="999")], r"index\.csv line 2, column scene: .*number 999"),
        (write_index, [row(scene="0")], "number 0, which is not in"),
        (write_index, [row(scene="99999999999")], "column scene: '99999999999' is neither"),
        (write_index, [row(object="../../x.png")], "column object: .*x.png' is neither"),
        (write_index, [row(object="map.tif")], r"map\.tif' is neither a label number nor a png"),
        (write_index, [row(split="test")], "split is 'test'"),
        (write_index, [row(image="/etc/passwd")], "no path below the folder of images"),
        (write_index, [row(), row()], r"a\.jpg is on lines 2 and 3"),
        (write_index, [row()[:-1]], "line 2: 11 cells where the header has 12"),
        (write_index, [], "is empty"),
        (write_labels, (), r"label\.csv is empty"),
        (write_labels, ((0, "-", "color(1)"),), r"label\.csv names no concept"),
        (write_labels, ((1, "a", "smell(3)"),), r"line 2: category 'smell\(3\)' is none of"),
        (write_labels, ((1, "a", ""),), "the category is empty"),
        (write_labels, ((70000, "a", "color"),), "not between 0 and 65535"),
        (write_labels, ((1, "a", "color"), (1, "b", "color")), "line 3: label number 1 appears"),
    ],
)
def test_bad_tables_name_line_and_column(tree, write, content, message):
    write(tree, content)
    with pytest.raises(DataError, match=message):
        Broden(tree)


def test_missing_tables_are_named(tree: Path, tmp_path: Path) -> None:
    (tree / "label.csv").unlink()
    with pytest.raises(DataError, match=r"cannot read .*label\.csv"):
        Broden(tree)
    with pytest.raises(DataError, match="is no directory"):
        Broden(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="unknown concept source 'brodn:x'"):
        load_concepts("brodn:x")


def test_the_exported_miniature_reads_as_the_built_in_set(tmp_path: Path) -> None:
    write_broden(tmp_path / "broden", [i * 4000 // 60 for i in range(60)])
    files, built_in = Broden(tmp_path / "broden"), MiniatureConcepts()
    assert files.concepts == built_in.concepts
    assert files.categories == built_in.categories
    for sample in files.samples:
        original = next(
            drawn_sample for drawn_sample in built_in.samples if drawn_sample.path == sample.path
        )
        read, drawn = files.annotation(sample), built_in.annotation(original)
        assert read.concepts.tolist() == drawn.concepts.tolist()
        assert read.shares.tolist() == drawn.shares.tolist()
        assert (read.annotated, read.train) == (drawn.annotated, drawn.train)
    sample = files.samples[7]
    original = built_in.samples[7 * 4000 // 60]
    assert (np.array(files.read(sample).image()) == np.array(built_in.read(original).image())).all()
