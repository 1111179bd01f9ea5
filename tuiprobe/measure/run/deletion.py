"""Deletes the files of a run, and nothing else that lies in its directory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tuiprobe.errors import DataError
from tuiprobe.files import flush_folder, unless_damaged, writing
from tuiprobe.measure.run.directory import BEFORE_THE_KEY, RunDir
from tuiprobe.measure.run.locks import holds
from tuiprobe.plaintext import joined

_NAMED = 5
_BEFORE_THE_SPEC = (*BEFORE_THE_KEY, "key", "status", ".spec.json.")
_LEFT_BY_FRESH = ("lock", "log.txt")
_DELETED_LAST = ("spec.json", "key")  # in this order: a key marks a run that was deleted in part
_FOLDERS = re.compile(
    r"status|rows|shards|features|thumbs|tables|figures"
    r"|(?:features|thumbs)/[^/]+"
)
_FILES = re.compile(
    r"key|cancel|log\.txt|lock(?:-[a-z0-9]+)?|samples\.jsonl|baseline\.csv"
    r"|(?:spec|plan|preflight|measured|summary|results|manifest)\.json"
    r"|(?:statistics|concepts|head|per_image)\.safetensors"
    r"|report\.(?:html|md)|model-card\.md|tables/[^/]+\.csv|figures/[^/]+\.svg"
    r"|status/\d+\.(?:json|safetensors)"
    r"|(?:rows|shards)/[^/]+\.safetensors"
    r"|features/[^/]+/images\.safetensors|thumbs/[^/]+/\d+\.jpg"
    r"|(?:[^/]+/)*\.[^/]+\.[0-9a-f]{8}-\d+\.tmp",  # of a killed writer
    re.DOTALL,
)
"""What a run consists of; whatever else lies in its directory is the user's and never deleted."""


def refuse_to_clear(run: RunDir) -> None:
    """Refuses a directory that `clear` would refuse; takes no lock.

    Raises:
        DataError: If the directory is not a run and not empty.
    """
    if run.read_key() is None:
        run.refuse_foreign("")
    else:
        _refuse_other_than_run(run)


def clear(run: RunDir) -> list[str]:
    """Deletes the files of an earlier attempt; the caller holds the locks.

    Returns:
        The names that were kept, because they are no part of a run.

    Raises:
        DataError: If the directory is not a run and not empty.
        RunError: If a rank of the run is still writing, or the system refuses.
    """
    if run.read_key() is None:
        return []  # no run is here; `refuse_foreign` refuses any other files
    _refuse_other_than_run(run)
    with _other_locks(run), writing(run.path):
        others = _delete(run)
    run.foreign_names = frozenset(name.partition("/")[0] for name in others)
    return others


def delete_run(run: RunDir) -> list[str]:
    """Deletes the files of a run, also of a start that failed; refuses any other directory.

    Returns:
        The names that were kept, because they are no part of a run; without any, the directory
        itself is gone.

    Raises:
        DataError: If the path is not a run or is a link.
        RunError: If a process is writing to it.
    """
    path = run.path
    if not path.exists() and not path.is_symlink():
        return []
    if not _is_failed_start(run):
        _refuse_other_than_run(run)  # before its lock, which is a file
    with run.locked(), _other_locks(run), writing(path):
        others = _delete(run)
        for name in _files_and_others(path)[0]:  # locks and the log
            (path / name).unlink(missing_ok=True)
        if not others:
            path.rmdir()
    return others


def left_files_line(path: Path, names: Sequence[str]) -> str:
    """Returns a sentence on the user's files that were kept when a run was deleted.

    >>> left_files_line(Path("runs/a"), ["notes.txt", "photos"])
    'not deleted in runs/a, because they are no part of the run: notes.txt and photos'
    """
    return f"not deleted in {path}, because they are no part of the run: {joined(names, _NAMED)}"


def _delete(run: RunDir) -> list[str]:
    """Deletes all of a run but locks and log; returns the names of files that no run has."""
    files, others = _files_and_others(run.path)
    for name in files:
        if not name.startswith(_LEFT_BY_FRESH) and name not in _DELETED_LAST:
            (run.path / name).unlink(missing_ok=True)
    for root, folders, _ in os.walk(run.path, topdown=False):
        for folder in folders:
            path = Path(root) / folder
            if _FOLDERS.fullmatch(path.relative_to(run.path).as_posix()):
                with suppress(OSError):  # it holds something else
                    path.rmdir()
    for name in _DELETED_LAST:
        flush_folder(run.path)  # else power loss may bring back files without their key
        (run.path / name).unlink(missing_ok=True)
    return others


def _files_and_others(run: Path) -> tuple[list[str], list[str]]:
    """Returns the files of a run by their paths, and everything else; follows no link."""
    files: list[str] = []
    others: list[str] = []
    for root, folders, names in os.walk(run):
        below = "" if root == str(run) else f"{Path(root).relative_to(run)}/"
        for folder in list(folders):
            of_run = _FOLDERS.fullmatch(below + folder)
            if of_run and not (Path(root) / folder).is_symlink():
                continue
            folders.remove(folder)
            (files if of_run else others).append(below + folder)
        for name in names:
            (files if _FILES.fullmatch(below + name) else others).append(below + name)
    return files, sorted(others)


def _refuse_other_than_run(run: RunDir) -> None:
    if run.path.is_symlink() or not is_run(run):
        raise DataError(
            f"{run.path} is no run directory (a run holds a key and a spec.json that fit), "
            "so it is not deleted"
        )


def is_run(run: RunDir) -> bool:
    """Returns whether a directory holds a valid key and the spec of a run."""
    if run.read_key() is None:
        return False
    if not run.spec_file.exists():  # stopped before it wrote anything else
        return all(path.name.startswith(_BEFORE_THE_SPEC) for path in run.path.iterdir())
    spec = unless_damaged(run.spec_json)
    return spec is not None and all(isinstance(spec.get(name), str) for name in ("model", "data"))


def _is_failed_start(run: RunDir) -> bool:
    """Returns whether a directory holds only the log of an engine that wrote no key."""
    if run.path.is_symlink() or not run.log_file.exists():
        return False
    names = [path.name for path in run.path.iterdir()]
    return all(name == "log.txt" or name.startswith("lock") for name in names)


@contextmanager
def _other_locks(run: RunDir) -> Iterator[None]:
    """Takes every lock of a directory that this process does not hold yet."""
    with ExitStack() as stack:
        for path in sorted(run.path.glob("lock*")):
            if not holds(run.at(path.name)):
                stack.enter_context(run.locked(path.name))
        yield
