"""Lists all runs below a directory; a run that cannot be read is listed as damaged."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

from tuiprobe.errors import TuiprobeError
from tuiprobe.files import Entry, unless_damaged
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.locks import held_locks
from tuiprobe.measure.run.naming import NamedRun, names_of_runs
from tuiprobe.measure.run.records import read_spec
from tuiprobe.measure.run.view import RunView
from tuiprobe.plaintext import holds_all, plain
from tuiprobe.request import command_of
from tuiprobe.results import NotRun
from tuiprobe.results.accuracy import Accuracy
from tuiprobe.results.figures import LISTED
from tuiprobe.spec import RunSpec

_MOST = 10_000


def list_runs(
    root: Path,
    words: Sequence[str] = (),
    before: Iterable[RunView] = (),
    alive: Callable[[Path], bool] = lambda path: False,
) -> list[RunView]:
    """Reads the runs directly below a directory and those below them, latest first.

    Args:
        root: Folder of run directories; may itself be a run.
        words: Substrings of name, model, data, state or outcome that a run must have; case is
            ignored.
        before: What the same reader saw before.
        alive: Returns whether an engine of this program works on a directory.
    """
    held, seen, views = held_locks(), {view.path: view for view in before}, []
    for path in islice(run_directories(root), _MOST):
        view = RunView.read(RunDir(path), seen.get(path), held=held, alive=alive(path))
        name = path.name if path == root else path.relative_to(root).as_posix()
        views.append(replace(view, name=name))
    runs = [NamedRun.read(view.summary.model, RunDir(view.path)) for view in views]
    names = names_of_runs(runs)
    views = [replace(view, short_name=name) for view, name in zip(views, names, strict=True)]
    matching = [view for view in views if matches(view, words)]
    return sorted(matching, key=lambda view: (-view.changed, view.name))


def matches(view: RunView, words: Sequence[str]) -> bool:
    """Returns whether a run contains all filter words."""
    about = view.summary
    state = f"{view.state} {view.word}"
    text = f"{view.name} {view.short_name} {about.model} {about.data} {about.source} {state}"
    return holds_all(f"{text} {about.outcome} {about.kind or ''}", words)


def run_directories(root: Path) -> Iterator[Path]:
    """Yields run directories; a start that failed before it had a key is one too."""
    if RunDir(root).key_file.exists():
        yield root
        yield from _runs_below(root)
        return
    for folder in _folders(root):
        below, directory = _runs_below(folder), RunDir(folder)
        if directory.key_file.exists() or (directory.log_file.exists() and not below):
            yield folder
        yield from below


def _runs_below(folder: Path) -> list[Path]:
    """Returns the runs of a group, or the later watches of a loop."""
    return [path for path in _folders(folder) if RunDir(path).key_file.exists()]


def recorded_runs(root: Path, file: Callable[[RunDir], Entry]) -> Iterator[tuple[RunDir, RunSpec]]:
    """Yields the runs whose options can be read, with these, the latest first by some file."""
    runs = map(RunDir, run_directories(root))
    for run in sorted(runs, key=lambda run: file(run).modified() or 0, reverse=True):
        if (spec := unless_damaged(partial(read_spec, run))) is not None:
            yield run, spec


def _folders(path: Path) -> list[Path]:
    try:
        with os.scandir(path) as entries:  # which know what they are without another call
            return sorted(Path(of) for of in entries if of.is_dir(follow_symlinks=False))
    except OSError:
        return []


def _value(name: str, view: RunView) -> float:
    figure = getattr(view.summary, name)
    if isinstance(figure, NotRun):
        return float("-inf")
    return float(figure.middle if isinstance(figure, Accuracy) else figure.value)


SORTS: Final[dict[str, Callable[[RunView], Any]]] = {
    "changed": lambda view: view.changed,
    "name": lambda view: view.name,
    "state": lambda view: view.state,
    "model": lambda view: view.summary.model,
    "data": lambda view: view.summary.source,
    "progress": lambda view: -1.0 if view.part is None else view.part,
    "images": lambda view: view.summary.images,
    **{figure.field: partial(_value, figure.field) for figure in LISTED},
}
"""Sort keys of runs; missing figures sort below all others."""


def command_of_run(run: RunDir) -> str:
    """Returns the command of a run, with complete paths.

    Raises:
        DamagedFileError: If it has no readable spec.
        UsageError: If no command of this version does it.
    """
    return command_of(run.spec_json())


def as_json(view: RunView) -> dict[str, Any]:
    """Returns a run as plain data for `tuiprobe runs --json`."""
    about = view.summary
    try:
        command = command_of_run(RunDir(view.path))
    except TuiprobeError:
        command = None
    return {
        "path": plain(str(view.path)),
        "name": plain(view.name),
        "state": view.state,
        "reason": view.reason or None,
        "measured": view.part,
        "title": " ".join(view.reason.split()) if view.state == "damaged" else about.title,
        "model": about.model,
        "data": about.data,
        "representation": about.kind,
        "images": about.images,
        "outcome": about.outcome or None,
        "doubts": list(about.doubts),
        "command": command,
        **{f.field: getattr(about, f.field).model_dump(mode="json") for f in LISTED},
    }
