from pathlib import Path

import pytest

from tests.datasets.broden_tree import write_picture
from tuiprobe.datasets import input_tables
from tuiprobe.datasets.concept_csv import ConceptCsv
from tuiprobe.datasets.concepts import Concept
from tuiprobe.errors import DataError


def written(folder: Path, text: str) -> Path:
    path = folder / "what.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_shares_categories_and_splits(tmp_path: Path) -> None:
    write_picture(tmp_path / "b" / "one.jpg", (10, 200, 10))
    path = written(
        tmp_path,
        "\ufeffimage,split,color:red,color:blue,dog\nb/one.jpg,train,0.5,0,1\na.jpg,val,,,0\n",
    )
    images = ConceptCsv(path)
    assert images.name == "what"
    assert images.concepts == (
        Concept("red", "color"), Concept("blue", "color"), Concept("dog", "concept"),
    )  # fmt: skip
    assert [s.path for s in images.samples] == ["a.jpg", "b/one.jpg"]
    empty, full = (images.annotation(sample) for sample in images.samples)
    assert (full.concepts.tolist(), full.shares.tolist()) == ([0, 2], [0.5, 1.0])
    assert (full.annotated, full.train) == ((0, 1), True)
    assert empty.concepts.size == 0
    assert (empty.annotated, empty.train) == ((1,), False)
    assert images.read(images.samples[1]).image().size == (16, 16)


def test_without_a_split_half_of_the_images_choose(tmp_path: Path) -> None:
    lines = "".join(f"{i:04d}.jpg,1\n" for i in range(1000))
    images = ConceptCsv(written(tmp_path, "image,red\n" + lines))
    train = [images.annotation(sample).train for sample in images.samples]
    assert 420 < sum(train) < 580
    reopened = ConceptCsv(images.path)
    assert train == [reopened.annotation(sample).train for sample in reopened.samples]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("image,red\n", "header and no row"),
        ("image\na.jpg\n", "names no concept"),
        ("picture,red\na.jpg,1\n", "no column 'image'; the columns are picture, red"),
        ("image,red,red\na.jpg,1,1\n", "column 'red' appears twice"),
        ("image,color:\na.jpg,1\n", "names no concept; write category:name"),
        ("image,red\na.jpg,2\n", "line 2, column red: '2' is no number between 0 and 1"),
        ("image,red\na.jpg,nan\n", "'nan' is no number"),
        ("image,red\na.jpg,yes\n", "'yes' is no number"),
        ("image,red\na.jpg\n", "line 2: 1 cells"),
        ("image,red\n../a.jpg,1\n", "no path below"),
        ("image,red\na.jpg,1\na.jpg,0\n", r"a\.jpg is on lines 2 and 3"),
        ("image,split,red\na.jpg,dev,1\n", "split is 'dev'"),
        ("image,red,blue\na.jpg,1,\n", "some cells of category 'concept' are empty"),
    ],
)
def test_bad_files_name_line_and_column(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        ConceptCsv(written(tmp_path, text))
    assert "what.csv" in str(error.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "what.csv"
    path.write_bytes(b"image,red\n\xff\xfe,1\n")
    with pytest.raises(DataError, match="not UTF-8"):
        ConceptCsv(path)
    with pytest.raises(DataError, match="cannot read"):
        ConceptCsv(tmp_path / "none.csv")


def test_tables_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_tables, "TABLE_CELLS", 5)
    with pytest.raises(DataError, match=r"line 4: more than .* rows or 5 cells"):
        ConceptCsv(written(tmp_path, "image,red\n" + "a.jpg,1\n" * 3))


def test_a_table_of_as_many_categories_as_columns_is_read_in_time(tmp_path: Path) -> None:
    names = [f"c{i}:x" for i in range(10_000)]
    cells = ["1", ""] * 5_000
    images = ConceptCsv(written(tmp_path, f"image,{','.join(names)}\na.jpg,{','.join(cells)}\n"))
    assert images.annotation(images.samples[0]).annotated == tuple(range(0, 10_000, 2))
