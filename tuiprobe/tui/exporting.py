"""What an export would write: rendered once, counted, and compared with what is there."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tuiprobe.report import read_report
from tuiprobe.report.formats import FORMATS, Files
from tuiprobe.results import Report
from tuiprobe.run.directory import RunDir


class Rendering:
    """The files of a run's report, each format made when it is first asked for.

    Args:
        run: The run directory.
    """

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self._lock = threading.Lock()
        self._report: Report | None = None
        self._made: dict[tuple[str, bool, bool], Files] = {}

    def size(self, name: str, pictures: bool, linked: bool) -> int | None:
        """Returns the bytes of a format; None until it is made."""
        made = self._made.get((name, pictures, linked))
        return size_of(made) if made is not None else None

    def files(self, formats: Iterable[str], pictures: bool, linked: bool) -> Files:
        """Returns the files of these formats.

        Args:
            formats: Names out of `FORMATS`.
            pictures: Whether formats that hold pictures show the run's small ones.
            linked: Whether tables/ lies beside the files.

        Raises:
            DamagedFileError: The report cannot be read.
        """
        found: Files = {}
        with self._lock:
            self._report = self._report or read_report(self.run)
            for name in formats:
                key = (name, pictures, linked)
                if key not in self._made:
                    run = self.run if pictures else None
                    self._made[key] = FORMATS[name].files(self._report, run, linked)
                found |= self._made[key]
        return found


@dataclass(frozen=True)
class ExportPreview:
    """What writing some files below a directory would do.

    Attributes:
        to: The directory.
        new: Names of files that are not there yet.
        same: Of files that are there with the same content; results.json of the run itself too.
        replaced: Of files that are there with other content.
        size: Bytes of all of them.
    """

    to: Path
    new: tuple[str, ...]
    same: tuple[str, ...]
    replaced: tuple[str, ...]
    size: int

    @property
    def told(self) -> str:
        """One sentence.

        >>> ExportPreview(Path("out"), ("report.md",), (), ("report.html",), 2_500_000).told
        'Writes 2 files, 2.5 MB, into out; 1 of them is there with other content.'
        """
        count = len(self.new) + len(self.same) + len(self.replaced)
        said = [f"Writes {_files(count)}, {size_text(self.size)}, into {self.to}"]
        if self.same and not self.new and not self.replaced:
            said.append("all there already and the same")
        elif self.same:
            said.append(f"{_of_them(self.same)} there already and the same")
        if self.replaced:
            said.append(f"{_of_them(self.replaced)} there with other content")
        return "; ".join(said) + "."


def outlook(files: Files, run: RunDir, to: Path) -> ExportPreview:
    """Looks what is there already.

    Args:
        files: What would be written.
        run: The run, whose own results are never replaced.
        to: Where.

    Raises:
        OSError: The directory, or a file in it, cannot be read.
    """
    here = to.exists() and to.samefile(run.path)
    found: dict[str, list[str]] = {"new": [], "same": [], "replaced": []}
    for name, text in files.items():
        content = encoded(text)
        file = to / name
        if here and name == run.results_file.name:
            kind = "same"
        elif not file.exists():
            kind = "new"
        elif file.is_file() and file.stat().st_size == len(content):
            kind = "same" if file.read_bytes() == content else "replaced"
        else:
            kind = "replaced"
        found[kind].append(name)
    new, same, replaced = (tuple(found[kind]) for kind in ("new", "same", "replaced"))
    return ExportPreview(to=to, new=new, same=same, replaced=replaced, size=size_of(files))


def size_text(size: int) -> str:
    """Returns a number of bytes for people.

    >>> size_text(812), size_text(49_098), size_text(3_842_882)
    ('812 B', '49 kB', '3.8 MB')
    """
    if size < 1000:
        return f"{size} B"
    return f"{size / 1e3:.0f} kB" if size < 1_000_000 else f"{size / 1e6:.1f} MB"


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def _of_them(names: tuple[str, ...]) -> str:
    return "1 of them is" if len(names) == 1 else f"{len(names)} of them are"


def encoded(text: str) -> bytes:
    """Returns what a file of this text holds."""
    return text.encode("utf-8", "surrogatepass")


def size_of(files: Files) -> int:
    """Returns the bytes of all files."""
    return sum(len(encoded(text)) for text in files.values())
