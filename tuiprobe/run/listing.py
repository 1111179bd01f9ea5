"""Lists all runs below a directory: model and data, state, and key figures.

A run directory may be untrusted, so a run that cannot be read is listed as damaged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from tuiprobe.errors import TuiprobeError
from tuiprobe.files import DamagedFileError
from tuiprobe.plaintext import holds_all, plain
from tuiprobe.request import command_of
from tuiprobe.results import Figure, NotRun
from tuiprobe.results.accuracy import Accuracy, cell
from tuiprobe.results.headlines import LISTED
from tuiprobe.run.directory import RunDir
from tuiprobe.run.locks import held_locks
from tuiprobe.run.results import summary
from tuiprobe.run.state import Observer, RunState, StateKind

_MOST = 10_000
_NOTHING: Final = NotRun(reason="no results yet")


@dataclass(frozen=True)
class RunRow:
    """One row of the list of runs.

    Attributes:
        path: The run directory.
        name: Path below the listed directory.
        status: How it stands.
        title: Title of the report; if there is no report, why.
        model: Model, as the user typed it.
        data: The measured sets, or the source.
        source: The source, as the user typed it.
        kind: Kind of the representation; empty without results.
        images: Number of measured images, over all sets.
        outcome: Outcome on outlier features; empty without results.
        kurtosis: Kurtosis of the final representation on the first set.
        persistence: Persistence, likewise.
        target: Accuracy on the user's pictures by the best evidence.
        accuracy: Top-1 accuracy on the first set.
        shifts: Mean top-1 accuracy over the shifted sets.
        changed: Time when results were last written, or when the run began, in nanoseconds since
            the epoch.
    """

    path: Path
    name: str
    status: RunState
    title: str
    model: str = ""
    data: str = ""
    source: str = ""
    kind: str = ""
    images: int = 0
    outcome: str = ""
    kurtosis: Figure = _NOTHING
    persistence: Figure = _NOTHING
    target: Accuracy | NotRun = _NOTHING
    accuracy: Figure = _NOTHING
    shifts: Figure = _NOTHING
    changed: int = 0

    @property
    def state(self) -> StateKind:
        """The state in one word."""
        return self.status.kind

    def cell(self, field: str) -> str:
        """Returns a figure of `LISTED` as text."""
        if field == "target":
            return cell(self.target)
        figure: Figure = getattr(self, field)
        return figure.plus_minus()

    @property
    def deletable(self) -> bool:
        """Whether no process of this machine writes the run."""
        return self.state not in ("waiting", "running")


def list_runs(
    root: Path, words: Sequence[str] = (), observer: Observer | None = None
) -> list[RunRow]:
    """Reads the runs directly below a directory and below its groups, latest first.

    Args:
        root: Folder of run directories; may itself be a run.
        words: Substrings of name, model, data, state or outcome that a run must have; case is
            ignored.
        observer: Decides the states; a new one if None.
    """
    held, observer = held_locks(), observer or Observer()
    rows = [
        _row(root, run, observer.state(run, held))
        for run in map(RunDir, islice(run_directories(root), _MOST))
    ]
    kept = [row for row in rows if matches(row, words)]
    return sorted(kept, key=lambda row: (-row.changed, row.name))


def matches(row: RunRow, words: Sequence[str]) -> bool:
    """Says whether a run contains all filter words."""
    state = f"{row.state} {row.status.word}"
    text = f"{row.name} {row.model} {row.data} {row.source} {state} {row.outcome} {row.kind}"
    return holds_all(text, words)


def run_directories(root: Path) -> Iterator[Path]:
    """Yields run directories; a start that failed before it had a key is one too."""
    if RunDir(root).key_file.exists():
        yield root
        return
    for folder in _folders(root):
        if RunDir(folder).key_file.exists():
            yield folder
            continue
        group = [path for path in _folders(folder) if RunDir(path).key_file.exists()]
        yield from group or ([folder] if RunDir(folder).log_file.exists() else [])


def _folders(path: Path) -> list[Path]:
    try:
        return sorted(p for p in path.iterdir() if p.is_dir() and not p.is_symlink())
    except OSError:
        return []


def _row(root: Path, run: RunDir, status: RunState) -> RunRow:
    name = run.path.name if run.path == root else run.path.relative_to(root).as_posix()
    times = (run.results_file.modified(), run.key_file.modified(), run.log_file.modified())
    changed = next((time for time in times if time is not None), 0)
    about: dict[str, Any] = {"path": run.path, "name": name, "changed": changed}
    if run.results_file.exists() and status.kind != "damaged":
        try:
            fields = dict(summary(run))
        except (TuiprobeError, OSError) as error:
            fields = {**_from_spec(run), "title": str(error)}
        about |= {name: v for name, v in fields.items() if name in RunRow.__annotations__}
        return RunRow(status=status, **about)
    reason = " ".join(status.reason.split())  # in one line
    title = reason if status.kind == "damaged" else "no results yet"
    about |= _from_spec(run)
    return RunRow(status=status, title=title, images=status.measured, **about)


def _from_spec(run: RunDir) -> dict[str, Any]:
    """Returns a row's fields of a run without results."""
    try:
        spec = run.spec_json()
        return {
            "model": str(spec["model"]),
            "data": str(spec["data"]),
            "source": str(spec["data"]),
        }
    except (TuiprobeError, KeyError, TypeError):
        return {}


SORTS: Final[dict[str, Callable[[RunRow], Any]]] = {
    "changed": lambda row: row.changed,
    "name": lambda row: row.name,
    "state": lambda row: row.state,
    "model": lambda row: row.model,
    "data": lambda row: row.source,
    "progress": lambda row: -1.0 if row.status.part is None else row.status.part,
    "images": lambda row: row.images,
    "kurtosis": lambda row: _value(row.kurtosis),
    "persistence": lambda row: _value(row.persistence),
    "target": lambda row: _value(row.target),
    "accuracy": lambda row: _value(row.accuracy),
    "shifts": lambda row: _value(row.shifts),
}
"""Sort keys of runs; missing figures sort below all others."""


def _value(figure: Figure | Accuracy) -> float:
    return float("-inf") if isinstance(figure, NotRun) else figure.value


def command_of_run(run: RunDir) -> str:
    """Returns the command that does what a run did, with whole paths.

    Raises:
        DamagedFileError: If it has no readable spec.
        UsageError: If no command of this version does it.
    """
    spec = run.spec_json()
    if not isinstance(spec, dict):
        raise DamagedFileError(f"{run.spec_file} holds no options of a run")
    return command_of(spec)


def as_json(row: RunRow) -> dict[str, Any]:
    """Returns a run as plain data for `tuiprobe runs --json`."""
    figures = {f.field: getattr(row, f.field).model_dump(mode="json") for f in LISTED}
    try:
        command = command_of_run(RunDir(row.path))
    except TuiprobeError:
        command = None
    return {
        "path": plain(str(row.path)),
        "name": plain(row.name),
        "state": row.state,
        "reason": row.status.reason or None,
        "measured": row.status.part,
        "title": row.title,
        "model": row.model,
        "data": row.data,
        "representation": row.kind or None,
        "images": row.images,
        "outcome": row.outcome or None,
        "command": command,
        **figures,
    }
