"""Lists all runs below a directory: model and data, state, and key figures.

A run directory may be untrusted, so a run that cannot be read is listed as damaged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tuiprobe.errors import TuiprobeError
from tuiprobe.files import DamagedFileError
from tuiprobe.plaintext import holds_all, plain
from tuiprobe.results import Figure, NotRun, given
from tuiprobe.results.headlines import LISTED
from tuiprobe.run.directory import RunDir
from tuiprobe.run.locks import held_locks
from tuiprobe.run.results import summary
from tuiprobe.run.state import Observer, RunState, State
from tuiprobe.spec import command_of

_MOST = 10_000
_NOTHING: Final = NotRun(reason="no results yet")
_NO_LABELS: Final = NotRun(reason="no labels of its pictures, or chosen in an unknown way")


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
        target: Estimated accuracy on the first target set.
        labelled: Accuracy there by labels beside the run, where its reader looks for them.
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
    target: Figure = _NOTHING
    labelled: Figure = _NO_LABELS
    accuracy: Figure = _NOTHING
    shifts: Figure = _NOTHING
    changed: int = 0

    @property
    def state(self) -> State:
        """The state in one word."""
        return self.status.kind

    def cell(self, field: str) -> str:
        """Returns a figure of `LISTED` as text; that on your pictures as measured, if labels do."""
        if field == "target" and given(self.labelled):
            return f"{self.labelled.plus_minus()} measured"
        figure: Figure = getattr(self, field)
        return figure.plus_minus()

    @property
    def deletable(self) -> bool:
        """Whether no process of this machine writes the run."""
        return self.state not in ("waiting", "running")


@dataclass(frozen=True)
class FoundRun:
    """A run directory that was found but not read yet.

    Attributes:
        path: The run directory.
        name: Path below the listed directory.
        changed: Time when results were last written, or when the run began, in nanoseconds since
            the epoch.
    """

    path: Path
    name: str
    changed: int


def find_runs(root: Path) -> list[FoundRun]:
    """Finds the runs directly below a directory and below its groups, latest first.

    Reads only names and times, so it takes milliseconds for hundreds of runs.

    Args:
        root: Folder of run directories; may itself be a run.
    """
    found = []
    for path in _directories(root):
        run = RunDir(path)
        name = path.name if path == root else path.relative_to(root).as_posix()
        times = (run.results_file.modified(), run.key_file.modified(), run.log_file.modified())
        changed = next((one for one in times if one is not None), 0)
        found.append(FoundRun(path, name, changed))
    return sorted(found, key=lambda one: (-one.changed, one.name))


def read_runs(
    found: Iterable[FoundRun], words: Sequence[str] = (), observer: Observer | None = None
) -> Iterator[RunRow]:
    """Yields runs in the given order, each as soon as it is read.

    Args:
        found: The runs to read.
        words: Substrings of name, model, data, state or outcome that a run must have; case is
            ignored.
        observer: Decides the states; a new one if None.
    """
    held, observer = held_locks(), observer or Observer()
    for one in found:
        row = _row(one, observer.state(RunDir(one.path), held))
        if matches(row, words):
            yield row


def list_runs(
    root: Path,
    words: Sequence[str] = (),
    observer: Observer | None = None,
) -> list[RunRow]:
    """Returns the runs of a directory, latest first.

    Args:
        root: Folder, as for `find_runs`.
        words: Filter words, as for `read_runs`.
        observer: As for `read_runs`.
    """
    return list(read_runs(find_runs(root), words, observer))


def matches(row: RunRow, words: Sequence[str]) -> bool:
    """Says whether a run contains all filter words."""
    state = f"{row.state} {row.status.word}"
    text = f"{row.name} {row.model} {row.data} {row.source} {state} {row.outcome} {row.kind}"
    return holds_all(text, words)


def _directories(root: Path) -> Iterator[Path]:
    if RunDir(root).key_file.exists():
        yield root
        return
    for _, path in zip(range(_MOST), _below(root), strict=False):
        yield path


def _below(root: Path) -> Iterator[Path]:
    """Yields run directories; a start that failed before it had a key is one too."""
    for entry in _folders(root):
        if RunDir(entry).key_file.exists():
            yield entry
            continue
        group = [one for one in _folders(entry) if RunDir(one).key_file.exists()]
        yield from group or ([entry] if RunDir(entry).log_file.exists() else [])


def _folders(path: Path) -> list[Path]:
    try:
        return sorted(one for one in path.iterdir() if one.is_dir() and not one.is_symlink())
    except OSError:
        return []


def _row(one: FoundRun, status: RunState) -> RunRow:
    run = RunDir(one.path)
    about: dict[str, Any] = {"path": one.path, "name": one.name, "changed": one.changed}
    if run.results_file.exists() and status.kind != "damaged":
        try:
            found = dict(summary(run))
        except (TuiprobeError, OSError) as error:
            found = {**_asked(run), "title": str(error)}
        about |= {name: one for name, one in found.items() if name in RunRow.__annotations__}
        return RunRow(status=status, **about)
    reason = " ".join(status.reason.split())  # in one line
    title = reason if status.kind == "damaged" else "no results yet"
    return RunRow(status=status, title=title, images=status.measured, **about, **_asked(run))


def _asked(run: RunDir) -> dict[str, Any]:
    """Returns a row's fields of a run without results, from its spec."""
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
    "target": lambda row: _value(row.labelled if given(row.labelled) else row.target),
    "accuracy": lambda row: _value(row.accuracy),
    "shifts": lambda row: _value(row.shifts),
}
"""Sort keys of runs; missing figures sort below all others."""


def _value(figure: Figure) -> float:
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
    figures = {one.field: getattr(row, one.field).model_dump(mode="json") for one in LISTED}
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
        "labelled": row.labelled.model_dump(mode="json"),
    }
