"""People's tables: limits that hold before memory is taken, and what of a table is not used."""

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import tuiprobe
from tests.datasets.trees import write_images
from tuiprobe.choose.labelling.label_log import LabelFiles
from tuiprobe.datasets.input_tables import NotUsed, parse_csv, read_table
from tuiprobe.datasets.labels import read_labels
from tuiprobe.datasets.list_files import labelled
from tuiprobe.datasets.load import load_dataset
from tuiprobe.datasets.vectors import parquet
from tuiprobe.errors import DataError
from tuiprobe.models.loaders.answer_table import AnswerTable

MIB = 2**20


@contextmanager
def memory_below(limit: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"," * 24 * MIB + b"\n", "more than 500,000 rows or 20,000,000 cells"),
        (b"a;b\n" + b";" * 24 * MIB, "more than 500,000 rows or 20,000,000 cells"),
        (b"," * 10 * MIB + b"\n1\n", "line 1: more than 100,000 columns"),
        (b"a,b\n" + b"," * 10 * MIB, "line 2: more than 100,000 columns"),
    ],
    ids=["header", "row", "columns of a header", "columns of a row"],
)
def test_too_many_cells_are_refused_before_they_are_made(content: bytes, cause: str) -> None:
    with memory_below(5 * len(content)), pytest.raises(DataError, match=cause):
        parse_csv(content, "wide.csv")


def test_lines_of_too_many_words_are_refused_before_these_are_made(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_bytes(b"1 " * 8 * MIB)
    with memory_below(80 * MIB), pytest.raises(DataError, match="row 0 holds several numbers"):
        read_labels(tmp_path / "l.txt", 1)
    files = LabelFiles(tmp_path, "photos")
    files.csv.path.write_bytes(b"," * 24 * MIB)
    with memory_below(60 * MIB), pytest.raises(DataError, match="lines or 20,000,000 cells"):
        files.lines()


def test_a_text_that_many_rows_have_is_held_once(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    file, pool = tmp_path / "x.parquet", pa.default_memory_pool()
    text = "x" * MIB
    columns = {"path": [f"{i}.png" for i in range(400)], "label": [text] * 400}
    pq.write_table(pa.table(columns), file, row_group_size=100)
    del columns
    before = pool.max_memory()  # of earlier tests
    with memory_below(40 * MIB):
        table = read_table(file)
    assert pool.max_memory() - before < 1000 * MIB
    assert table.column("label") == [text] * 400
    assert table.where(1).endswith("row 2")


def test_what_parquet_unpacks_to_has_a_limit(tmp_path, monkeypatch):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({"path": ["a" * 1000], "n": [None]}), tmp_path / "x.parquet")
    monkeypatch.setattr(parquet, "TEXT_BYTES", 900)
    with pytest.raises(DataError, match="more than 900 bytes when unpacked"):
        parquet.read_columns(tmp_path / "x.parquet")
    monkeypatch.setattr(parquet, "TABLE_COLUMNS", 1)
    with pytest.raises(DataError, match="more than 1 columns"):
        parquet.read_columns(tmp_path / "x.parquet")


def test_columns_of_one_name_are_refused_where_they_are_read(tmp_path: Path) -> None:
    write_images(tmp_path, "a.png", "b.png")
    file = tmp_path / "l.csv"
    file.write_text("path,label,Label,note,Note\na.png,cat,dog,1,2\nb.png,dog,cat,1,2\n")
    with pytest.raises(DataError, match="column 'label' appears twice"):
        load_dataset(f"csv:{file}")


def test_utf_16_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("path,label\na.png,cat\n", "utf-16")
    with pytest.raises(DataError, match=r"UTF-16.* save it as UTF-8"):
        load_dataset(f"csv:{tmp_path / 'l.csv'}")


def test_a_list_and_a_file_of_labels_say_what_they_do_not_use(tmp_path: Path) -> None:
    names = [f"{i}.png" for i in range(5)]
    write_images(tmp_path / "pets", *names)
    file = tmp_path / "l.csv"
    rows = [f"{name},{'ab'[i % 2]},{'old' if i < 3 else 'new'},{i / 7}" for i, name in
            enumerate([*names, "6.png", "7.png"])]  # fmt: skip
    file.write_text("\n".join(["path,label,site,weight", *rows]))
    words = "l.csv: not used: columns site (new 4, old 3), weight"
    assert load_dataset(f"csv:{file}").notes == (words,)
    images = labelled(load_dataset(f"imagefolder:{tmp_path / 'pets'}"), file)
    assert images.notes == (f"{words}; 2 rows of other pictures",)


def test_a_table_of_answers_says_what_it_does_not_use(tmp_path, capsys, program):
    names = [f"{of}/{i}.png" for of in "ab" for i in range(4)]
    write_images(tmp_path / "pets", *names)
    file = tmp_path / "x.csv"
    cells = [f"pets,{name},{'' if '0' in name else name[0]},.9,{name[0]},v1" for name in names]
    cells += ["other,z.png,a,.9,a,v1"]
    file.write_text("\n".join(["set,path,class,confidence,label,model", *cells]))
    not_used = AnswerTable.read(file).not_used(["pets"])
    assert not_used == NotUsed({"label": {"a": 5, "b": 4}, "model": {"v1": 9}}, 2, 1)
    command = ["--headless", "--model", f"answers:{file}", "--data", str(tmp_path / "pets")]
    assert f"x.csv: {not_used.in_words()}" in program(*command, "--dry-run").out
    run = tmp_path / "run"
    report = tuiprobe.probe(f"answers:{file}", tmp_path / "pets", output=run, progress=True)
    remark = f"x.csv: {not_used.in_words()}"
    assert remark in capsys.readouterr().err
    assert any(remark in warning for warning in report.warnings)
