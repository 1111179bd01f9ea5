"""What the fuzzer found, one small case each."""

import json
import math
import shutil
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from tests.fuzz.runs import ask_about_ranks
from tests.measure.engine.fake_run import PRINT, vouch
from tuiprobe.datasets.labels import read_labels
from tuiprobe.datasets.registry import meant_source
from tuiprobe.datasets.vectors.parquet import read_columns, read_names
from tuiprobe.datasets.vectors.vector_files import open_matrix
from tuiprobe.errors import DataError
from tuiprobe.measure.run.arrays import read_arrays, write_arrays
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.listing import list_runs
from tuiprobe.measure.run.verify import verify
from tuiprobe.measure.run.view import read_ranks
from tuiprobe.show.cli.app import run_cli

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def run(template: Path, tmp_path: Path) -> RunDir:
    shutil.copytree(template / "run", tmp_path / "run")
    return RunDir(tmp_path / "run")


Arrays = Callable[[dict[str, np.ndarray], dict[str, str]], object]
Damage = Callable[[RunDir], object]


def array_of(name: str, change: Arrays) -> tuple[Damage, str]:
    """Damages arrays or metadata of a file, whose checksum fits again."""

    def damage(run: RunDir) -> None:
        entry = run.at(f"{name}.safetensors")
        arrays, metadata = read_arrays(entry)
        change(arrays, metadata)
        write_arrays(entry, arrays, metadata)

    return damage, f"{name}.safetensors"


def line_of_samples(line: str) -> tuple[Damage, str]:
    def damage(run: RunDir) -> None:
        lines = run.samples_file.read_text().splitlines()
        assert json.loads(lines[1])["id"] == 1
        run.samples_file.write_text("\n".join([lines[0], line, *lines[2:]]) + "\n")

    return damage, ""


def plan_of(change: Change) -> tuple[Damage, str]:
    def damage(run: RunDir) -> None:
        plan = run.plan_file.read_json()
        change(plan)
        run.plan_file.write_json(plan)

    return damage, ""


def content_of(name: str, content: str) -> tuple[Damage, str]:
    return lambda run: (run.path / name).write_text(content), name


ARRAYS: dict[str, tuple[Arrays, ...]] = {
    "statistics": (
        lambda a, _: a.pop("val/embedding/min"), lambda a, _: a.pop("val/embedding/sample_ids"),
        lambda a, _: a.update({"val/embedding/rows": np.zeros((1, 1), np.int64)}),
        lambda a, _: a.update({"val/embedding/largest_values": np.zeros((0, 4), "f4")}),
        lambda a, _: a.update({"val/embedding/degenerate": np.array(-1)}),
        lambda a, _: a["val/embedding/largest_sample_ids"].fill(999),
        lambda a, _: a["val/embedding/share_sum"].fill(1e308),
        lambda a, _: a["val/embedding/sample_leading"].fill(77),
    ),
    "features/val/images": (
        lambda a, _: a.pop("features"), lambda a, _: a.pop("ids"),
        lambda a, _: a["ids"].fill(2**63 - 1), lambda a, _: a["ids"].fill(3),
        lambda a, _: a.update(ids=a["ids"][None]),
        lambda a, _: a.update(features=a["features"][:0]),
        lambda a, _: a.update(features=a["features"].reshape(-1)),
        lambda a, _: a.update(features=a["features"].astype("i4")),
        lambda a, _: a.update({k: np.tile(v, 2) for k, v in a.items()}),
    ),
    "head": (
        lambda a, _: a.pop("weight"), lambda a, _: a.update(weight=a["weight"][:, :-1]),
        lambda a, _: a["weight"].fill(np.nan), lambda a, _: a["weight"].fill(-1e38),
        lambda a, _: a.update({"answers/val": np.array([-7, 0, 1])}),
        lambda _, m: m.update(normalize=""), lambda _, m: m.update(normalize="3"),
        lambda _, m: m.update(normalize="null"), lambda _, m: m.update(normalize="[" * 2000),
    ),
    "concepts": (  # SciPy follows places unchecked: the process ended by a signal
        lambda _, m: m.update(names="[" * 2000), lambda a, _: a["indptr"][1:-1].fill(10**12),
        lambda a, _: a["indptr"][1:-1].fill(-7), lambda a, _: a["indptr"][1:-1].fill(2**62),
    ),
}  # fmt: skip
LINES = (
    "", "no json", "[1]", "{}", '{"id": 1}', "[" * 100_000, "9" * 5000,
    '{"id": [1], "set": "val", "path": "x", "label": 0}',
    '{"id": 1, "set": ["val"], "path": "x", "label": 0}',
    '{"id": 1, "set": "val", "path": 3, "label": 0}',
    '{"id": 1, "set": "val", "path": "x", "label": null}',
    '{"id": 999, "set": "val", "path": "x", "label": 0}',
)  # fmt: skip
PLANS: tuple[Change, ...] = (
    lambda p: p.update(taps=[]), lambda p: p.update(taps=p["taps"] * 2),
    lambda p: p["taps"][0].update(name="layer4"), lambda p: p["taps"][0].update(channels=0),
    lambda p: p.update(sets=[]), lambda p: p.update(sets=p["sets"] * 2),
    lambda p: p.update(concept_set="val"), lambda p: p.update(concept_set="x"),
    lambda p: p["sets"][0].update(planned=-1),
)  # fmt: skip
REFUSED = [
    *(array_of(name, change) for name, changes in ARRAYS.items() for change in changes),
    *map(line_of_samples, LINES),
    *map(plan_of, PLANS),
    *(content_of("samples.jsonl", text) for text in ("", "\n\n\n", "{}")),
    *(content_of("measured.json", text) for text in ("", "\n\n\n", "{}")),
]


@pytest.mark.parametrize(("damage", "word"), REFUSED, ids=range(len(REFUSED)))
def test_what_does_not_fit_is_refused_in_one_sentence_that_names_it(damage, word, run, program):
    damage(run)
    vouch(run)
    message = program("reprobe", str(run.path), code=4).err
    assert message.count("\n") == 1
    assert word in message
    assert "unexpected" not in message


LONG = "x" * 70_000
TEXTS: dict[str, Change] = {
    "source": lambda m: m.update(source=LONG),
    "not run": lambda m: m.update(not_run=json.dumps({"reason": LONG})),
    "unmatched": lambda m: m.update({"unmatched/val": json.dumps({"reason": LONG})}),
    "own names": lambda m: m.update({"own_names_not_run/r": json.dumps({"reason": LONG})}),
    "classes": lambda m: m.update(classes=json.dumps([LONG] * 3)),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_a_text_that_no_report_takes_is_refused(kind, run, capsys):
    arrays, metadata = read_arrays(run.head_file)
    if kind != "own names":
        arrays.pop("answers/val")
    TEXTS[kind](metadata)
    write_arrays(run.head_file, arrays, metadata)
    vouch(run)
    code = run_cli(["reprobe", str(run.path)])
    err = capsys.readouterr().err
    assert code in (0, 4, 5), err
    assert "unexpected" not in err
    assert "report this bug" not in err


EVERY = np.arange(48)
SHARDS: list[tuple[np.ndarray, str]] = [
    (EVERY, '[[1e999, "x"]]'), (EVERY, f'[[{10**30}, "x"]]'), (EVERY, "[[[1], 2]]"), (EVERY, "{"),
    (EVERY, "3"), (EVERY, '[["a", "b"]]'), (EVERY, "[[]]"), (np.full((3, 3), np.nan), "[]"),
    (np.zeros((3, 3), int), "[]"), (np.zeros(3, "u1"), "[]"),
]  # fmt: skip


@pytest.mark.parametrize(("ids", "skipped"), SHARDS, ids=range(len(SHARDS)))
def test_shards_with_impossible_ids_are_damaged(ids: np.ndarray, skipped: str, run: RunDir) -> None:
    about = {"key": run.read_key() or "", "place": "val 0", "skipped": skipped}
    about["fingerprint"] = PRINT.model_dump_json()
    write_arrays(run.shard_file("val", 0), {"ids": ids}, about)
    assert {finding.file: finding.state for finding in verify(run)}["shards/val-*"] == "damaged"


CLAIMS: list[Change] = [
    lambda p: p["sets"].extend(
        {**p["sets"][0], "name": f"s{i}", "shards": 2**50} for i in range(900)
    ),
    lambda p: p["sets"].extend({**p["sets"][0], "name": f"s{i}"} for i in range(2000)),
    lambda p: p["taps"].extend({**p["taps"][0], "name": f"t{i}"} for i in range(20_000)),
    lambda p: p["sets"][0].update(name=LONG),
    lambda p: p["sets"][0].update(notes=[LONG]),
    lambda p: p["model"].update(name=LONG),
]  # fmt: skip


@pytest.mark.parametrize("change", CLAIMS, ids=range(len(CLAIMS)))
def test_what_a_plan_claims_costs_no_time(change, run, capsys):
    plan = run.plan_file.read_json()
    change(plan)
    run.plan_file.write_json(plan)
    vouch(run)
    begun = time.process_time()
    for command in ("reprobe", "verify", "report"):
        assert run_cli([command, str(run.path)]) in (0, 4)
    assert "unexpected" not in capsys.readouterr().err
    assert time.process_time() - begun < 10


def test_the_model_of_a_spec_has_a_largest_length(run: RunDir) -> None:
    run.spec_file.write_json({"model": "x" * 3_000_000, "data": "d"})
    vouch(run)
    assert run_cli(["reprobe", str(run.path)]) == 4
    (row,) = list_runs(run.path)
    assert len(row.summary.model) < 70_000


SURROGATES = [b'"\\ud800"', b'"\\uDFFF x"', b'"\xed\xa0\x80"', b'{"\\udc80": 1}', b'"\xff"']


@pytest.mark.parametrize("value", SURROGATES)
def test_no_half_letter_enters_a_report(value: bytes, run: RunDir) -> None:
    content = run.results_file.read_bytes()
    at = content.index(b'"result": ') + len(b'"result": ')
    run.results_file.path.write_bytes(content[:at] + value + b', "x": ' + content[at:])
    vouch(run)
    assert run_cli(["report", str(run.path)]) == 4


@pytest.mark.parametrize("folder", ["status", "shards", "rows"])
def test_a_folder_that_is_a_link_is_not_listed(folder: str, run: RunDir, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in ("7.json", "val-00000.safetensors", "x.safetensors"):
        (outside / name).write_text("{}")
    shutil.rmtree(run.path / folder, ignore_errors=True)
    (run.path / folder).symlink_to(outside)
    assert run.names(folder) == []
    assert run.status_ranks() == ([] if folder == "status" else [0, 1])
    findings = {finding.file: finding for finding in verify(run)}
    assert f"{folder}/" not in findings
    assert not any(
        name.startswith(f"{folder}/") and finding.state == "whole"
        for name, finding in findings.items()
    )


def npy(header: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


HALF = b"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4"
SPACES = HALF.replace(b"(3, 4", b" " * 60)
BROKEN = [HALF, SPACES, b"(" * 9000, b"{'descr': '<f4', 'shape': (1e999, 4)}", b"'''", b"\\\n"]


@pytest.mark.parametrize("header", BROKEN, ids=range(len(BROKEN)))
def test_headers_of_numpy_that_end_early_are_refused(header: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(npy(header + b"\n"))
    with pytest.raises(DataError, match=r"x\.npy cannot be read"):
        open_matrix(path)
    with pytest.raises(DataError, match=r"x\.npy cannot be read as labels"):
        read_labels(path, 3)


def test_a_page_of_parquet_that_is_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    parquet.write_table(pa.table({"vector": [[1.0, 2.0], [3.0, 4.0]]}), path)
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"\xff" * 40 + content[44:])
    with pytest.raises(DataError, match=r"x\.parquet cannot be read as Parquet"):
        open_matrix(path).read(0, 2)


def test_few_bytes_of_parquet_stand_for_few_values(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    parquet.write_table(pa.table({"vector": [np.zeros(2**22, np.float32)]}), path)
    assert path.stat().st_size < 2000
    with pytest.raises(DataError, match=r"4,194,304 values in 1 rows, above the limit"):
        open_matrix(path)


def test_text_of_parquet_that_is_no_unicode_is_refused(tmp_path: Path) -> None:
    buffers = [None, pa.py_buffer(np.array([0, 1], np.int32)), pa.py_buffer(b"\xff")]
    column = pa.Array.from_buffers(pa.string(), 1, buffers)
    parquet.write_table(pa.table({"path": column}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read_columns(tmp_path / "a.parquet")


def test_a_long_name_of_many_rows_is_decoded_once(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    names = pa.DictionaryArray.from_arrays(pa.array([0] * 8000, pa.int32()), ["x" * 2**20])
    parquet.write_table(pa.table({"id": names}), path, compression="zstd")
    assert path.stat().st_size < 10_000
    before = pa.default_memory_pool().max_memory()  # of earlier tests
    result, rows = read_names(path, "id", [0, 7999])
    assert rows == 8000
    assert result == ["x" * 1024] * 2
    assert pa.default_memory_pool().max_memory() - before < 500 * 2**20  # all of them take 8 GB


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("status/0.json", '"rate":8.0', '"rate":5e-324'),
        ("plan.json", '"planned": 48', '"planned": ' + "9" * 400),  # no float holds it
    ],
    ids=("rate", "count"),
)
def test_progress_of_ranks_is_a_number_or_unknown(name, before, after, run):
    run.status_file(1).unlink()
    text = (run.path / name).read_text()
    assert before in text
    (run.path / name).write_text(text.replace(before, after))
    ask_about_ranks(run)


def test_a_status_that_no_engine_writes_is_left_out(run: RunDir) -> None:
    file = run.status_file(0)
    file.path.write_text(json.dumps({**json.loads(file.read_bytes()), "rate": math.nan}))
    ranks, damage = read_ranks(run)
    assert [rank.number for rank in ranks] == [1]
    assert "0.json is damaged" in damage
    ask_about_ranks(run)


def test_a_long_text_that_is_no_source_is_refused_without_comparing_it() -> None:
    tracemalloc.start()
    assert meant_source("x" * 1_000_000 + ":val") is None
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()
