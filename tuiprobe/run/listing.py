"""Lists all runs below a directory: model and data, state, and key figures.

A run directory may be untrusted, so a run that cannot be read is listed as damaged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal, get_args

from tuiprobe.errors import TuiprobeError
from tuiprobe.files import Entry
from tuiprobe.plaintext import holds_all, plain
from tuiprobe.results import Figure, NotRun
from tuiprobe.run.directory import RunDir
from tuiprobe.run.glance import Glance, read_glance
from tuiprobe.run.live import heartbeat
from tuiprobe.run.locks import held_locks, is_running

State = Literal["running", "complete", "partial", "unfinished", "damaged"]
STATES: Final[tuple[State, ...]] = get_args(State)

_MOST = 10_000
_NOTHING: Final = NotRun(reason="no results yet")


FIGURES: Final = {
    "kurtosis": "kurtosis",
    "persistence": "persistence.value",
    "accuracy": "top1",
    "shifts": "mean_shift",
}
"""The figures of a row: field name and figure id."""


@dataclass(frozen=True)
class RunRow:
    """One row of the list of runs.

    Attributes:
        path: The run directory.
        name: Path below the listed directory.
        state: `running` in a process of this machine; `complete`; `partial` if the results cover
            only some of the images; `unfinished` if there are no results; or `damaged`.
        title: Title of the report; if there is no report, the reason.
        model: Model, as the user typed it.
        data: The measured sets, or the source.
        kind: Kind of the representation; empty without results.
        images: Number of measured images, over all sets.
        outcome: Outcome on outlier features; empty without results.
        kurtosis: Kurtosis of the final representation on the first set.
        persistence: Persistence, likewise.
        accuracy: Top-1 accuracy on the first set.
        shifts: Mean top-1 accuracy over the shifted sets.
        changed: Time when results were last written, or when the run began, in nanoseconds since
            the epoch.
        beat: Grows while the run is being written.
    """

    path: Path
    name: str
    state: State
    title: str
    model: str = ""
    data: str = ""
    kind: str = ""
    images: int = 0
    outcome: str = ""
    kurtosis: Figure = _NOTHING
    persistence: Figure = _NOTHING
    accuracy: Figure = _NOTHING
    shifts: Figure = _NOTHING
    changed: int = 0
    beat: int = 0

    @property
    def deletable(self) -> bool:
        """Whether no process of this machine writes the run."""
        return self.state != "running"


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
        changed = run.results_file.modified() or run.key_file.modified() or 0
        found.append(FoundRun(path, name, changed))
    return sorted(found, key=lambda one: (-one.changed, one.name))


def read_runs(found: Iterable[FoundRun], words: Sequence[str] = ()) -> Iterator[RunRow]:
    """Yields runs in the given order, each as soon as it is read.

    Args:
        found: The runs to read.
        words: Substrings of name, model, data, state or outcome that a run must have; case is
            ignored.
    """
    held = held_locks()
    for one in found:
        row = _row(one, held)
        if matches(row, words):
            yield row


def list_runs(root: Path, words: Sequence[str] = (), most: int | None = None) -> list[RunRow]:
    """Returns the runs of a directory, latest first.

    Args:
        root: Folder, as for `find_runs`.
        words: Filter words, as for `read_runs`.
        most: Number of latest runs to read; None for all.
    """
    return list(read_runs(find_runs(root)[:most], words))


def matches(row: RunRow, words: Sequence[str]) -> bool:
    """Says whether a run contains all filter words."""
    text = f"{row.name} {row.model} {row.data} {row.state} {row.outcome} {row.kind}"
    return holds_all(text, words)


def _directories(root: Path) -> Iterator[Path]:
    if RunDir(root).key_file.exists():
        yield root
        return
    for _, path in zip(range(_MOST), _below(root), strict=False):
        yield path


def _below(root: Path) -> Iterator[Path]:
    for entry in _folders(root):
        if RunDir(entry).key_file.exists():
            yield entry
        else:
            yield from (one for one in _folders(entry) if RunDir(one).key_file.exists())


def _folders(path: Path) -> list[Path]:
    try:
        return sorted(one for one in path.iterdir() if one.is_dir() and not one.is_symlink())
    except OSError:
        return []


def _row(one: FoundRun, held: frozenset[str] | None) -> RunRow:
    run = RunDir(one.path)
    beat, running = heartbeat(run), is_running(run, held)
    changed = run.results_file.modified()
    about: dict[str, Any] = {"path": one.path, "name": one.name, "beat": beat}
    if changed is None:
        begun = run.key_file.modified() or 0
        state: State = "running" if running else "unfinished"
        return RunRow(**about, state=state, changed=begun, **_planned(run))
    try:
        found = _summary(run.results_file, changed)
    except (TuiprobeError, OSError) as error:
        return RunRow(**about, state="damaged", title=str(error), changed=changed)
    state = "partial" if found["partial"] else "complete"
    shown = {name: value for name, value in found.items() if name != "partial"}
    if running and state == "partial":
        state = "running"
    return RunRow(**about, state=state, changed=changed, **shown)


@lru_cache(maxsize=_MOST)
def _summary(file: Entry, modified: int) -> dict[str, Any]:
    """Returns a row's fields of a report, cached until the file changes; drops the rest."""
    return _found(read_glance(file))


def _planned(run: RunDir) -> dict[str, Any]:
    """Returns a row's fields of a run without results, from its spec."""
    try:
        spec = run.spec_file.read_json()
        return {
            "title": f"{spec['model']} on {spec['data']}: no results yet",
            "model": str(spec["model"]),
            "data": str(spec["data"]),
        }
    except (TuiprobeError, KeyError, TypeError):
        return {"title": "no results yet"}


def _found(report: Glance) -> dict[str, Any]:
    return {
        "title": report.title,
        "partial": report.partial,
        "model": report.model.name,
        "data": ", ".join(one.name for one in report.data),
        "kind": report.model.representation,
        "images": sum(one.measured for one in report.data),
        "outcome": report.fact("outcome"),
        **{field: report.figure(id) for field, id in FIGURES.items()},
    }


SORTS: Final[dict[str, Callable[[RunRow], Any]]] = {
    "changed": lambda row: row.changed,
    "name": lambda row: row.name,
    "state": lambda row: row.state,
    "model": lambda row: row.model,
    "images": lambda row: row.images,
    "kurtosis": lambda row: _value(row.kurtosis),
    "persistence": lambda row: _value(row.persistence),
    "accuracy": lambda row: _value(row.accuracy),
    "shifts": lambda row: _value(row.shifts),
}
"""Sort keys of runs; missing figures sort below all others."""


def _value(figure: Figure) -> float:
    return float("-inf") if isinstance(figure, NotRun) else figure.value


def as_json(row: RunRow) -> dict[str, Any]:
    """Returns a run as plain data for `tuiprobe runs --json`."""
    figures = {name: getattr(row, name).model_dump(mode="json") for name in FIGURES}
    return {
        "path": plain(str(row.path)),
        "name": plain(row.name),
        "state": row.state,
        "title": row.title,
        "model": row.model,
        "data": row.data,
        "representation": row.kind or None,
        "images": row.images,
        "outcome": row.outcome or None,
        **figures,
    }
