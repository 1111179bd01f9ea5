"""Labels of vectors: a file is understood in one way, or refused with counts or a remedy."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.vectors.conftest import planted
from tuiprobe.catalog.class_names import index_of_each
from tuiprobe.datasets.labels import RowLabels, read_labels
from tuiprobe.errors import DataError, UsageError
from tuiprobe.measure.engine.opening import plan_run
from tuiprobe.measure.engine.plan import Plan
from tuiprobe.measure.run.status import Event
from tuiprobe.request import RunRequest, make_spec
from tuiprobe.show.cli.app import run_cli
from tuiprobe.show.report import read_report

ROWS = 6
TRUTH = [2, 0, 1, 1, 0, 2]


def labels_of(folder: Path, name: str, content: Any, **options: Any) -> RowLabels:
    path = folder / name
    if isinstance(content, np.ndarray):
        np.save(path, content)
    else:
        path.write_text(content)
    return read_labels(path, ROWS, **options)


def column(values: Sequence[object], header: str = "") -> str:
    return "".join(f"{value}\n" for value in ([header] if header else []) + list(values))


def table(order: Sequence[int], header: str = "id,label") -> str:
    return column([f"{i},{TRUTH[i]}" for i in order], header)


UNDERSTOOD: dict[str, tuple[str, Any, str]] = {
    "csv without a header": ("l.csv", column(TRUTH), "by position"),
    "csv with a header": ("l.csv", column(TRUTH, "label"), "by position"),
    "a header in capitals": ("l.csv", column(TRUTH, "Class"), "by position"),
    "savetxt": ("l.txt", column([f"{label:.18e}" for label in TRUTH]), "by position"),
    "csv of floats": ("l.csv", column([f"{label}.0" for label in TRUTH]), "by position"),
    "json of floats": ("l.json", json.dumps([float(label) for label in TRUTH]), "by position"),
    "npy of floats": ("l.npy", np.array(TRUTH, np.float32), "by position"),
    "npy of texts": ("l.npy", np.array([str(label) for label in TRUTH]), "by position"),
    "ids in order": ("l.csv", table(range(6)), "by the row numbers in the column id"),
    "ids in another order": ("l.csv", table([3, 5, 0, 1, 4, 2]), "by the row numbers in the colu"),
    "the index of pandas": (
        "l.csv",
        table([5, 4, 3, 2, 1, 0], ",label"),
        "the column of the index",
    ),
    "another column": (
        "l.csv",
        table(range(6), "note,label"),
        "by position; not used: column note",
    ),
    "names beside numbers": (
        "l.csv",
        column([f"{i},{['cat', 'ant', 'bee'][i]}" for i in TRUTH], "label,class_name"),
        "by position; not used: column class_name (bee 2, cat 2, ant 2)",
    ),
    "a coordinate": (
        "l.csv",
        column([f"{i},1,{n}" for n, i in enumerate(TRUTH)], "label,x,y"),
        "by position; not used: columns x (1 6), y",
    ),
    "a measurement": (
        "l.csv",
        column([f"{i},1.5" for i in TRUTH], "label,target"),
        "by position; not used: column target (1.5 6)",
    ),
    "semicolons": ("l.csv", table([3, 5, 0, 1, 4, 2]).replace(",", ";"), "in the column id"),
    "tabs": ("l.csv", table([3, 5, 0, 1, 4, 2]).replace(",", "\t"), "in the column id"),
    "byte order mark": ("l.csv", "\ufeff" + table([1, 0, 2, 3, 4, 5]), "in the column id"),
}


@pytest.mark.parametrize("kind", UNDERSTOOD)
def test_labels_are_those_of_their_rows(tmp_path: Path, kind: str) -> None:
    name, content, order = UNDERSTOOD[kind]
    result = labels_of(tmp_path, name, content)
    assert result.values.tolist() == TRUTH
    assert result.classes == ("0", "1", "2")
    assert result.in_words().startswith("6 labels, 3 classes, by ")
    assert order in result.in_words()


@pytest.mark.parametrize(("first", "expected"), [(0, [1, 2, 3]), (1, [0, 1, 2])])
def test_numbers_as_class_names_say_what_labels_count_from(tmp_path, first, expected):
    content = column([1, 2, 3, 3, 2, 1])
    names = tuple(str(i) for i in range(first, first + 4))
    result = labels_of(tmp_path, "l.csv", content, names=names)
    assert result.values.tolist() == [*expected, *expected[::-1]]
    with pytest.raises(DataError, match="labels 1 to 3 and none is 0, and --classes holds 4 names"):
        labels_of(tmp_path, "l.csv", content, names=("ant", "bee", "cat", "dog"))


REFUSED: dict[str, tuple[str, Any, str]] = {
    "one more": ("l.csv", column([*TRUTH, 1]), "7 labels for 6 rows.*header, remove it"),
    "one less": ("l.csv", column(TRUTH[1:]), "5 labels for 6 rows"),
    "an unknown header": ("l.csv", column(TRUTH, "truth"), "7 labels for 6 rows"),
    "a header in a text": ("l.txt", column(TRUTH, "label"), "7 labels for 6 rows"),
    "a half": ("l.csv", column([*TRUTH[1:], 0.5]), "row 5 has the label 0.5, no whole number"),
    "a half in npy": ("l.npy", np.array([0.5, *TRUTH[1:]]), "row 0 has the label 0.5"),
    "nan in npy": ("l.npy", np.array([*TRUTH[1:], np.nan]), "row 5 has the label nan"),
    "a missing one": ("l.csv", column([*TRUTH[1:], "NA"]), r"row 5 has no label \(NA\)"),
    "huge": ("l.txt", column([*TRUTH[1:], "1e300"]), "that is no class"),
    "two columns": ("l.npy", np.array([TRUTH, TRUTH]), "not one label per row"),
    "a column": ("l.npy", np.array(TRUTH)[:, None], r"label per row; save labels.ravel\(\)"),
    "objects": ("l.npy", np.array(TRUTH, object), r"objects.*save labels.astype\(str\)"),
    "truths": ("l.npy", np.array(TRUTH) > 0, r"holds bool.*save labels.astype\(int\)"),
    "two numbers": ("l.txt", column([f"{i} 0" for i in range(6)]), "row 0 holds several numbers"),
    "ids from 1": ("l.csv", column([f"{i + 1},0" for i in range(6)], "id,label"), "0 to 5, each"),
    "an id twice": ("l.csv", column([f"{i % 5},0" for i in range(6)], "id,label"), "0 to 5, each"),
    "ids that are names": (
        "l.csv", column([f"a{i}.png,0" for i in range(6)], "key,label"), "column, or .*--id-column"
    ),
    "files": (
        "l.csv", column([f"a{i}.png,0" for i in range(6)], "Filename,label"), "column Filename does"
    ),
    "semicolons": ("l.csv", column([f"{i};0" for i in range(6)]), "none of its columns is called"),
    "two spellings": ("l.csv", column(["cat", "Cat", *"abcd"], "label"), "'Cat' and 'cat'"),
    "no known column": ("l.csv", table(range(6), "a,b"), "none of its columns is called 'label'"),
    "a column twice": ("l.csv", column(["0,1"] * 6, "label,Label"), "'label' appears twice"),
    "other numbers": (
        "l.csv", column([f"{i % 3},{i % 2}" for i in range(6)], "target,label"),
        "columns 'label' and 'target' hold different labels",
    ),
    "other names": (
        "l.csv", column([f"{i % 3},{'ab'[i % 2]}" for i in range(6)], "label,class_name"),
        "columns 'label' and 'class_name' hold different labels",
    ),
    "a comma in a name": ("l.csv", table(range(5)) + "5,crane, bird\n", "line 7: 3 cells where"),
    "another encoding": ("l.txt", "a\0\n", "zero bytes"),
    "an empty line": ("l.txt", "1\n\n" + "2\n" * 4, "row 1 has no label"),
    "negative": ("l.txt", "-1\n" * 6, "from 0"),
    "no list": ("l.json", '{"a": 1}', "no list"),
    "deep json": ("l.json", "[" * 5000, "nested|cannot be read"),
    "no npy": ("l.npy", "text", "cannot be read"),
    "another format": ("l.xyz", "1", "labels are read from"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_could_be_understood_in_two_ways_is_refused(tmp_path: Path, kind: str) -> None:
    name, content, message = REFUSED[kind]
    with pytest.raises(DataError, match=message):
        labels_of(tmp_path, name, content)


def test_an_index_goes_before_a_column_of_files(tmp_path: Path) -> None:
    rows = [f"{i}.png,{i},{TRUTH[i]}" for i in (4, 2, 0, 1, 3, 5)]
    result = labels_of(tmp_path, "l.csv", column(rows, "filename,index,label"))
    assert result.values.tolist() == TRUTH
    assert result.in_words().endswith("in the column index; not used: column filename")


def test_names_stay_names(tmp_path: Path) -> None:
    names = ["nan", "cat", "7up", "3.5", "12e5", "cat"]
    result = labels_of(tmp_path, "l.txt", column(names))
    assert [result.classes[i] for i in result.values] == names
    assert result.in_words() == "6 labels, 5 classes, by position"


def test_names_find_those_of_classes_as_folders_do(tmp_path: Path) -> None:
    content = column(["fire truck", "Cat", "cat", "Fire_Truck", "cat", "cat"], "label")
    result = labels_of(tmp_path, "l.csv", content, names=("cat", "fire truck"))
    assert (result.values.tolist(), result.classes) == ([1, 0, 0, 1, 0, 0], ("cat", "fire truck"))
    with pytest.raises(DataError, match="'Cat', which --classes does not"):
        labels_of(tmp_path, "l.csv", content, names=("CAT", "cat", "fire truck"))


def test_a_name_that_is_there_twice_stands_for_no_class(tmp_path: Path) -> None:
    names = ("ant", "crane", "bee", "crane")
    with pytest.raises(DataError, match="the label 'crane', which --classes holds twice"):
        labels_of(tmp_path, "l.txt", column(["ant", "crane"] * 3), names=names)
    result = labels_of(tmp_path, "l.txt", column(["ant", "bee"] * 3), names=names)
    assert result.values.tolist() == [0, 2] * 3
    with pytest.raises(UsageError, match="'crane' is 2 classes of --classes: name it n02012849"):
        index_of_each(["ant", "crane"], names)


@pytest.mark.parametrize("first", [0, 1])
def test_labels_from_1_are_refused_for_as_many_names(tmp_path: Path, first: int) -> None:
    content = column([label + first for label in TRUTH])
    if first:
        with pytest.raises(DataError, match=r"labels 1 to 3, and --classes holds 3.* subtract 1"):
            labels_of(tmp_path, "l.csv", content, names=("a", "b", "c"))
    else:
        result = labels_of(tmp_path, "l.csv", content, names=("a", "b", "c", "d"))
        assert result.in_words() == "6 labels, 3 of 4 classes, by position"


def test_ids_join_labels_to_the_vectors_ids(tmp_path: Path) -> None:
    ids = [f"{i}.png" for i in (4, 2, 0, 1, 3, 5)]
    rows = [f"{i}.png,{TRUTH[i]}" for i in range(6)]
    options: dict[str, Any] = {"id_column": "key", "ids": lambda: ids}
    for header in ("key,label", "id,label"):
        result = labels_of(tmp_path, "l.csv", column([*rows, "9.png,0"], header), **options)
        assert result.values.tolist() == [TRUTH[i] for i in (4, 2, 0, 1, 3, 5)]
        assert result.in_words().endswith(f"by the column {header[:-6]}, which holds 1 other id")
    with pytest.raises(DataError, match=r"5 ids, but not '5\.png'.* 6 vectors"):
        labels_of(tmp_path, "l.csv", column(rows[:5], "key,label"), **options)
    with pytest.raises(DataError, match=r"the id '0\.png' appears twice"):
        labels_of(tmp_path, "l.csv", column([*rows, rows[0]], "key,label"), **options)


def planned(folder: Path, labels: Sequence[object], rows: int = 3, **options: Any) -> Plan:
    """Returns the plan of six vectors with labels and a head of a number of rows."""
    np.save(folder / "x.npy", planted(ROWS, 8))
    (folder / "l.txt").write_text(column(labels))
    save_file({"weight": planted(rows, 8)}, folder / "head.safetensors")
    given = {"embeddings": folder / "x.npy", "labels": folder / "l.txt"}
    given["head"] = folder / "head.safetensors"
    spec = make_spec(None, None, {**{name: str(value) for name, value in given.items()}, **options})
    return plan_run(RunRequest(spec=spec))


NAMES = ["cat", "ant", "bee", "bee", "ant", "cat"]


def test_labels_that_a_head_cannot_be_matched_to_are_refused(tmp_path: Path) -> None:
    for rows in (3, 7):
        with pytest.raises(DataError, match=r"l\.txt holds names \(ant, …\).*order by --classes"):
            planned(tmp_path, NAMES, rows)
    with pytest.raises(
        DataError, match=r"l\.txt holds the labels 1 to 3, and the head.*3 rows.*1 "
    ):
        planned(tmp_path, [label + 1 for label in TRUTH])
    with pytest.raises(DataError, match="holds the label 9, and the head has 3 rows"):
        planned(tmp_path, [9, *TRUTH[1:]])
    assert planned(tmp_path, TRUTH).head.classes == ("0", "1", "2")
    (tmp_path / "c.txt").write_text("bee\ncat\nant\n")
    plan = planned(tmp_path, NAMES, classes=str(tmp_path / "c.txt"))
    assert plan.head.classes == ("bee", "cat", "ant")
    assert [sample.label for sample in plan.suite.sets["rows"].samples] == [1, 2, 0, 0, 2, 1]


def top1(run: Any) -> float:
    figures = [figure for part in read_report(run).parts for figure in part.figures]
    return float(next(figure for figure in figures if figure.id.startswith("top1")).figure.value)


def test_the_accuracy_is_that_of_the_labels_and_a_line_says_how(tmp_path, measure):
    draws = np.random.default_rng(1)
    x, weight = planted(480, 16), draws.normal(size=(12, 16)).astype(np.float32)
    weight -= weight.mean(0)
    x[:, [3, 5]] = 0
    truth = (x @ weight.T).argmax(1)
    np.save(tmp_path / "x.npy", x)
    save_file({"weight": weight}, tmp_path / "head.safetensors")
    np.savetxt(tmp_path / "l.txt", truth)
    order = draws.permutation(480)
    (tmp_path / "l.csv").write_text(column([f"{i},{truth[i]}" for i in order], "id,label"))
    names = np.array([f"kind {i}" for i in range(12)])
    (tmp_path / "classes.txt").write_text("\n".join(names))
    np.save(tmp_path / "l.npy", names[truth])
    by_id = "by the row numbers in the column id"
    for name, how in (("l.txt", "by position"), ("l.csv", by_id), ("l.npy", "by position")):
        classes = {"classes": str(tmp_path / "classes.txt")} if name == "l.npy" else {}
        events: list[Event] = []
        run = measure(
            tmp_path / "x.npy", f"run-{name}", listen=events.append, labels=str(tmp_path / name),
            head=str(tmp_path / "head.safetensors"), **classes,
        ).directory  # fmt: skip
        of = " of 12" if classes and len(set(truth)) < 12 else ""
        expected = f"480 labels, {len(set(truth))}{of} classes, {how}"
        assert expected in [event.message for event in events]
        assert top1(run) == 1.0
        assert run_cli(["reprobe", str(run.path), "--ablate", "channel:4"]) == 0


def test_parquet_joins_labels_by_the_column_of_ids(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    ids = [f"{i}.png" for i in (4, 2, 0, 1, 3, 5)]
    pq.write_table(pa.table({"id": ids, "v": list(planted(6, 8))}), tmp_path / "x.parquet")
    (tmp_path / "l.csv").write_text(column([f"{i}.png,{TRUTH[i]}" for i in range(6)], "id,label"))
    options = {"embeddings": str(tmp_path / "x.parquet"), "labels": str(tmp_path / "l.csv")}
    spec = make_spec(None, None, {**options, "id_column": "id"})
    rows = plan_run(RunRequest(spec=spec)).suite.sets["rows"]
    assert [sample.label for sample in rows.samples] == [TRUTH[i] for i in (4, 2, 0, 1, 3, 5)]
    with pytest.raises(DataError, match="name the ids of the vectors in Parquet by --id-column"):
        plan_run(RunRequest(spec=make_spec(None, None, options)))
