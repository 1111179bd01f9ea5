"""The labels of a target set, and what was asked about them, in files next to the run directories.

`labels-<target>.csv` has a line for each label in the order of labelling. Each is on disk before
the next picture shows; a line that a kill cut short was never acknowledged and is dropped.
`labels-<target>.questions.json` has the candidates that were compared by these labels.
"""

from __future__ import annotations

import csv
import errno
import fcntl
import io
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationError, model_validator

from tuiprobe import limits
from tuiprobe.errors import DataError, UsageError
from tuiprobe.files import DamagedFileError, Entry, flush_folder, names_below, write_all, writing
from tuiprobe.measure.run.locks import BusyError
from tuiprobe.plaintext import count_of, csv_cell, csv_text, plain, text_of
from tuiprobe.results.base import Record

NONE_OF_THESE: Final = "(none of these)"
"""The class of a picture that shows none of the classes."""

UNSURE: Final = "(unsure)"
"""The class of a picture of which the labeller was not sure."""

COLUMNS: Final = ("image", "sha256", "class", "time")

_DIGEST = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_CHANGED: Final = "{} was changed by another program: start labelling again"
_NAME = re.compile(r"labels-(.+)\.csv")
_COMPARISON = re.compile(r"comparison-[0-9a-f]{8}\.md")


@dataclass(frozen=True)
class LabelLine:
    """A label, as a line of the file.

    Attributes:
        image: Path of the picture in its set, for people.
        digest: SHA-256 of the picture.
        label: Name of a class, `NONE_OF_THESE` or `UNSURE`; empty where the picture was listed and
            not answered.
        time: UTC.
    """

    image: str
    digest: str
    label: str
    time: str

    def text(self) -> str:
        """Returns the line; its line break is its last character."""
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(map(csv_cell, astuple(self)))
        return line.getvalue()


Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class NoLabelsError(DataError):
    """A table does not have the columns of a file of labels."""


class Questions(Record):
    """The candidates that were compared by labels of some pictures.

    Attributes:
        pictures: SHA-256 of the set of pictures.
        first: SHA-256 of the answers of each candidate of the first question.
        runs: Name of the run directory of each.
        asked: SHA-256 of the answers of every candidate that was ever asked about.
    """

    pictures: Digest
    first: Annotated[tuple[Digest, ...], Field(min_length=2)]
    runs: tuple[str, ...]
    asked: tuple[Digest, ...]

    @model_validator(mode="after")
    def _fits(self) -> Questions:
        if len(self.first) != len(self.runs) or not set(self.first) <= set(self.asked):
            raise ValueError("the first question does not fit the answers asked about")
        return self


class CertificateQuestion(Record):
    """What was asked of one run: how many pictures it may answer alone.

    Attributes:
        digest: SHA-256 of its pictures, answers and confidences, and of the tolerated errors.
        tolerated: Share of wrong answers that is tolerated.
    """

    digest: Digest
    tolerated: Annotated[float, Field(gt=0, lt=1)]


class CertificateQuestions(Record):
    """The certificates that were asked for on some pictures.

    Attributes:
        pictures: SHA-256 of the set of pictures.
        asked: The first question, then all further ones.
    """

    pictures: Digest
    asked: Annotated[tuple[CertificateQuestion, ...], Field(min_length=1)]

    def further(self, question: CertificateQuestion) -> int:
        """Returns the number of further questions with this one; 0 where it is the first."""
        if question == self.asked[0]:
            return 0
        return len({*self.asked[1:], question})


class QuestionFile(Record):
    """The content of `labels-<target>.questions.json`."""

    schema_version: Literal[1] = 1
    pools: tuple[Questions, ...] = ()
    certificates: tuple[CertificateQuestions, ...] = ()


class LabelFiles:
    """The labels of one target set.

    Args:
        folder: Folder of the run directories.
        target: Name of the set, safe as a file name.

    Attributes:
        csv: The labels.
        json: The questions.
    """

    def __init__(self, folder: Path, target: str) -> None:
        self.csv = Entry(folder, f"labels-{target}.csv")
        self.json = Entry(folder, f"labels-{target}.questions.json")
        self._descriptor: int | None = None
        self._size: int | None = None  # bytes of complete lines, as they were read or written last

    def lines(self) -> list[LabelLine]:
        """Returns the labels in their order; none without a file.

        Raises:
            DataError: If a line is no label; says which.
            DamagedFileError: If the file cannot be read.
        """
        self._size = 0
        if not os.path.lexists(self.csv.path):
            return []
        content = self.csv.read_bytes(limits.TEXT_BYTES)
        if content.count(b"\n") > limits.TABLE_ROWS or content.count(b",") > limits.TABLE_CELLS:
            raise DamagedFileError(
                f"{self.csv} has more than {limits.TABLE_ROWS:,} lines or "
                f"{limits.TABLE_CELLS:,} cells"
            )
        end = content.rfind(b"\n") + 1
        if end < len(content):
            try:
                label_lines(self.csv.path, content[end:].decode("utf-8"), header=False)
                end = len(content)  # an editor left out the last line break
            except (DataError, UnicodeDecodeError):
                pass  # a kill cut it short
        self._size = end
        try:
            text = text_of(content[:end])
        except ValueError as error:
            raise DamagedFileError(f"{self.csv} is damaged: {error}") from error
        return label_lines(self.csv.path, text) if end else []

    def append(self, line: LabelLine) -> None:
        """Adds a label; it is on disk when this returns.

        Raises:
            BusyError: If another process labels the same set.
            RunError: If the operating system refuses.
        """
        descriptor, start = self.held(), self._size or 0
        content = line.text().encode("utf-8", "backslashreplace")
        with writing(self.csv):
            try:
                write_all(descriptor, content)
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, start)
                raise
        self._size = start + len(content)

    def held(self) -> int:
        """Opens and locks the file for appending after its last complete line.

        Raises:
            BusyError: If another process holds it, or changed it since it was read.
        """
        with writing(self.csv):
            if self._descriptor is None:
                self._descriptor = self._open()
            status, named = os.fstat(self._descriptor), self.csv.status()
            replaced = named is None or not os.path.samestat(status, named)
            if replaced or status.st_size != self._size:
                raise BusyError(_CHANGED.format(self.csv))
        return self._descriptor

    def _open(self) -> int:
        descriptor = self.csv.descriptor(os.O_RDWR | os.O_CREAT | os.O_APPEND)
        before = self._size
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    raise
                raise BusyError(f"another process writes {self.csv}: end it first") from error
            self.lines()
            size = self._size or 0
            if before not in (None, size):
                raise BusyError(_CHANGED.format(self.csv))
            os.ftruncate(descriptor, size)
            if not size:
                write_all(descriptor, (",".join(COLUMNS) + "\n").encode())
            elif os.pread(descriptor, 1, size - 1) != b"\n":
                write_all(descriptor, b"\n")
            os.fsync(descriptor)
            flush_folder(self.csv.root)
            self._size = os.fstat(descriptor).st_size
        except BaseException:
            self._size = before  # a second attempt is refused like the first
            os.close(descriptor)
            raise
        return descriptor

    def remove_last(self, line: LabelLine) -> None:
        """Removes the last label from the file.

        Args:
            line: The label that must be the last one.

        Raises:
            DataError: If the file ends in another one.
        """
        descriptor, content = self.held(), line.text().encode("utf-8", "backslashreplace")
        start = max((self._size or 0) - len(content), 0)
        with writing(self.csv):
            if os.pread(descriptor, len(content), start) != content:
                raise DataError(f"the last line of {self.csv} is not the last label given here")
            os.ftruncate(descriptor, start)
            os.fsync(descriptor)
        self._size = start

    def close(self) -> None:
        """Releases the file for other processes."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def questions(self) -> tuple[Questions, ...]:
        """Returns the contests asked for, one per set of pictures; none without a file.

        Raises:
            DamagedFileError: If the file is damaged.
        """
        return self._question_file().pools

    def certificates(self) -> tuple[CertificateQuestions, ...]:
        """Returns the certificates asked for, one per set of pictures; none without a file."""
        return self._question_file().certificates

    def _question_file(self) -> QuestionFile:
        if not os.path.lexists(self.json.path):
            return QuestionFile()
        value = self.json.read_json()
        try:
            return QuestionFile.model_validate(value)
        except ValidationError as error:
            cause = error.errors()[0]["msg"]
            raise DamagedFileError(f"{self.json} is damaged: {plain(cause)}") from error

    def ask(self, question: Questions) -> Questions:
        """Records a question, unless all of it is on record.

        Args:
            question: It, as if it were the first one.

        Returns:
            What is on record of these pictures now.

        Raises:
            RunError: If the operating system refuses.
        """
        with _locked(self.json.root):
            file = self._question_file()
            pools = {pool.pictures: pool for pool in file.pools}
            before = pools.get(question.pictures, question)
            new = tuple(digest for digest in question.asked if digest not in before.asked)
            after = before.model_copy(update={"asked": (*before.asked, *new)})
            if new or question.pictures not in pools:
                pools[question.pictures] = after
                self._write(file.model_copy(update={"pools": tuple(pools.values())}))
        return after

    def ask_certificate(self, pictures: str, question: CertificateQuestion) -> CertificateQuestions:
        """Records that a certificate was asked for, unless it is on record.

        Args:
            pictures: SHA-256 of the set of pictures.
            question: The certificate.

        Returns:
            What is on record of these pictures now.

        Raises:
            RunError: If the operating system refuses.
        """
        with _locked(self.json.root):
            file = self._question_file()
            pools = {pool.pictures: pool for pool in file.certificates}
            asked = pools[pictures].asked if pictures in pools else ()
            after = CertificateQuestions(
                pictures=pictures, asked=tuple(dict.fromkeys((*asked, question)))
            )
            if after.asked != asked:
                pools[pictures] = after
                self._write(file.model_copy(update={"certificates": tuple(pools.values())}))
        return after

    def _write(self, file: QuestionFile) -> None:
        self.json.write_text(file.model_dump_json() + "\n")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds a folder, where its file system can lock folders: two programs add their questions."""
    with writing(folder):
        descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def label_lines(path: Path, text: str, header: bool = True) -> list[LabelLine]:
    """Returns the labels of a text in the format of the file of labels.

    Args:
        path: For messages.
        text: The lines.
        header: Whether the first one names the columns.

    Raises:
        NoLabelsError: If the first line names other columns.
        DataError: If a line is no label; says which.
    """
    try:
        rows = list(csv.reader(io.StringIO(text), strict=True))
    except csv.Error as error:
        raise DataError(f"{path} is no table: {error}") from error
    if header and (not rows or tuple(rows.pop(0)) != COLUMNS):
        raise NoLabelsError(f"{path} has no first line {','.join(COLUMNS)}")
    lines = []
    for number, row in enumerate(rows, 1 + header):
        cells = list(map(csv_text, row))
        fits = len(cells) == len(COLUMNS) and _DIGEST.fullmatch(cells[1])
        if not fits or not _TIME.fullmatch(cells[3]):
            raise DataError(f"{path} line {number} is no label: {plain(','.join(row))[:200]}")
        lines.append(LabelLine(*cells))
    return lines


def run_paths(paths: Iterable[Path], fewest: int = 1) -> list[Path]:
    """Returns paths without files next to run directories, which `runs/*` names too.

    These are labels and comparisons.

    Raises:
        UsageError: If fewer than `fewest` are left.
    """
    runs = [path for path in paths if not (path.is_file() and _is_beside_runs(path))]
    if len(runs) < fewest:
        raise UsageError(f"name {count_of(fewest, 'run directory', 'run directories')} or more")
    return runs


def _is_beside_runs(path: Path) -> bool:
    if _COMPARISON.fullmatch(path.name) or (
        path.name.startswith("labels-") and path.name.endswith(".questions.json")
    ):
        return True
    if not _NAME.fullmatch(path.name):
        return False
    with path.open("rb") as file:
        return file.readline(100).strip() == ",".join(COLUMNS).encode()


def label_targets(folder: Path) -> list[str]:
    """Returns the sets that have labels in a folder of run directories, by name."""
    matches = map(_NAME.fullmatch, names_below(folder))
    return [match[1] for match in matches if match is not None]
