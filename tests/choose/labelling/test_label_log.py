"""The file of labels: what was answered is there, whatever ends the program or edits the file."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.power import disk_after, recording, write_tree
from tuiprobe.choose.labelling.label_log import (
    COLUMNS,
    UNSURE,
    LabelFiles,
    LabelLine,
    Questions,
    label_lines,
    label_targets,
)
from tuiprobe.errors import DataError, RunError
from tuiprobe.files import DamagedFileError
from tuiprobe.measure.run.locks import BusyError
from tuiprobe.plaintext import plain

TIME = "2026-01-31T12:00:00Z"


def label(number: int, name: str = "cat") -> LabelLine:
    return LabelLine(f"{number}.jpg", f"{number:064x}", name, TIME)


def test_a_loss_of_power_takes_no_answer_that_was_acknowledged(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    root.mkdir()
    files, acknowledged, draws = LabelFiles(root, "photos"), [(0, 0)], np.random.default_rng(0)
    with recording(root) as recorder:
        for number in range(4):
            files.append(label(number))
            acknowledged.append((len(recorder.changes), number + 1))
        assert len(recorder.changes) >= 4 * 2  # each is written and flushed
        files.remove_last(label(3))
        files.append(label(3, UNSURE))
    files.close()
    every = [label(0), label(1), label(2), label(3, UNSURE)]
    assert files.lines() == every
    for moment in range(acknowledged[-1][0] + 1):
        least = max(count for at, count in acknowledged if at <= moment)
        for share in (0, 0.5, 1):
            place = tmp_path / f"{moment}-{share}"
            kept = draws.random(moment) < share
            write_tree(disk_after(recorder.changes[:moment], kept.__getitem__), place)
            there = LabelFiles(place, "photos").lines()
            assert least <= len(there) <= least + 1
            assert there == [label(number) for number in range(len(there))]


def test_a_line_that_a_kill_cut_short_is_written_anew(tmp_path: Path) -> None:
    files = LabelFiles(tmp_path, "photos")
    for number in range(2):
        files.append(label(number))
    files.close()
    content = files.csv.read_bytes()
    for cut in range(len(content) + 1):
        files.csv.path.write_bytes(content[:cut])
        again = LabelFiles(tmp_path, "photos")
        whole = content[:cut].count(b"Z\n") + content[:cut].endswith(b"Z")  # some editors cut it
        assert len(again.lines()) == whole
        again.append(label(7))
        again.close()
        assert again.lines() == [label(number) for number in (*range(whole), 7)]


def test_a_full_disk_costs_one_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, write = LabelFiles(tmp_path, "photos"), os.write
    files.append(label(0))

    def full(descriptor: int, content: bytes) -> int:
        if len(content) < 40:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, content[:40])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(RunError, match=r"cannot write .*No space left"):
            files.append(label(1))
    assert files.lines() == [label(0)]
    files.append(label(2))
    assert files.lines() == [label(0), label(2)]


def test_two_programs_do_not_mix_their_labels(tmp_path: Path) -> None:
    first, second = LabelFiles(tmp_path, "photos"), LabelFiles(tmp_path, "photos")
    first.append(label(0))
    with pytest.raises(BusyError, match=r"another process writes .*labels-photos\.csv"):
        second.append(label(1))
    with first.csv.path.open("a") as file:
        file.write(label(1).text())
    with pytest.raises(BusyError, match="was changed by another program"):
        first.append(label(2))
    first.close()
    late = LabelFiles(tmp_path, "photos")
    assert len(late.lines()) == 2
    second.append(label(2))
    second.close()
    for _ in range(2):  # what it is about to add rests on labels that it has not read
        with pytest.raises(BusyError, match="was changed by another program"):
            late.append(label(3))
    assert len(second.lines()) == 3
    with pytest.raises(DataError, match="is not the last label given here"):
        second.remove_last(label(1))


@pytest.mark.parametrize("replaced", [True, False])
def test_no_label_goes_to_a_file_that_an_editor_replaced(tmp_path: Path, replaced: bool) -> None:
    files = LabelFiles(tmp_path, "photos")
    files.append(label(0))
    path = files.csv.path
    path.rename(tmp_path / "backup")
    if replaced:
        path.write_bytes((tmp_path / "backup").read_bytes())
    with pytest.raises(BusyError, match="was changed by another program"):
        files.append(label(1))
    with pytest.raises(BusyError, match="was changed by another program"):
        files.remove_last(label(0))
    files.close()
    again = LabelFiles(tmp_path, "photos")
    assert again.lines() == [label(0)] * replaced
    again.append(label(1))
    assert again.lines() == [label(0)] * replaced + [label(1)]


@settings(deadline=None, max_examples=50)
@given(image=st.text(), name=st.text(min_size=1))
def test_any_name_comes_back_from_a_line_that_no_program_obeys(image, name) -> None:
    line = LabelLine(plain(image), "0" * 64, plain(name), TIME)
    text = line.text()
    assert text.count("\n") == 1
    assert not text.startswith(("=", "+", "-", "@", '"=', '"+', '"-', '"@'))
    encoded = text.encode("utf-8", "backslashreplace").decode()
    assert label_lines(Path("x.csv"), encoded, header=False) == [line]


def test_what_is_no_label_is_named_by_its_line(tmp_path: Path) -> None:
    files = LabelFiles(tmp_path, "photos")
    good = label(0).text()
    for wrong in ("a,b\n", good.replace(",cat,", ","), good.replace("0" * 64, "0" * 63),
                  good.replace(TIME, "today")):  # fmt: skip
        files.csv.path.write_text(",".join(COLUMNS) + "\n" + good + wrong + good)
        with pytest.raises(DataError, match=r"labels-photos\.csv line 3 is no label"):
            files.lines()
    files.csv.path.write_text(good)
    with pytest.raises(DataError, match="has no first line image,sha256"):
        files.lines()
    assert label_targets(tmp_path) == ["photos"]


def test_files_of_strangers_cost_a_sentence_at_most(tmp_path: Path) -> None:
    files, draws = LabelFiles(tmp_path, "photos"), np.random.default_rng(0)
    files.append(label(0))
    files.close()
    question = Questions(
        pictures="1" * 64, first=("2" * 64,) * 2, runs=("../elsewhere",) * 2, asked=("2" * 64,)
    )
    files.ask(question)
    for entry, read in ((files.csv, files.lines), (files.json, files.questions)):
        content = entry.read_bytes()
        for _ in range(300):
            damaged = bytearray(content)
            for place in draws.integers(0, len(content), draws.integers(1, 4)):
                damaged[place : place + draws.integers(0, 3)] = draws.bytes(
                    int(draws.integers(0, 3))
                )
            entry.path.write_bytes(damaged)
            with suppress(DataError):
                read()
        entry.path.write_bytes(content)
    text = files.json.read_text().replace('"runs":["../elsewhere",', '"runs":[')
    files.json.path.write_text(text)
    with pytest.raises(DamagedFileError, match="does not fit the answers"):
        files.questions()


def asked(*numbers: int) -> Questions:
    digests = tuple(f"{number:064x}" for number in numbers)
    return Questions(pictures="f" * 64, first=digests, runs=("run",) * len(digests), asked=digests)


def test_the_first_question_stays_the_first_and_all_that_was_asked_is_counted(tmp_path):
    files = LabelFiles(tmp_path, "photos")
    assert files.ask(asked(1, 2)) == asked(1, 2)
    for _ in range(2):
        record = files.ask(asked(2, 3))
        assert record.first == asked(1, 2).first
        assert record.asked == asked(1, 2, 3).asked
    other = asked(7, 8).model_copy(update={"pictures": "e" * 64})
    assert files.ask(other) == other  # about other pictures
    assert files.questions() == (record, other)


def test_programs_that_ask_at_once_are_all_on_record(tmp_path: Path) -> None:
    def ask(number: int) -> None:
        LabelFiles(tmp_path, "photos").ask(asked(0, number))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, range(1, 25)))
    (record,) = LabelFiles(tmp_path, "photos").questions()
    assert len(record.asked) == 25


def test_a_quote_mark_that_no_writer_has_added_is_part_of_the_class() -> None:
    cells = (f"1.jpg,{1:064x}", TIME)
    for cell, name in (("'tis", "'tis"), ("'=1", "=1"), ("''tis", "'tis")):
        text = f"{','.join(COLUMNS)}\n{cells[0]},{cell},{cells[1]}\n"
        assert [line.label for line in label_lines(Path("labels.csv"), text)] == [name]
