"""Reads and writes `preflight.json` without torch; it precedes the first image."""

from __future__ import annotations

from pydantic import TypeAdapter

from tuiprobe.files import DamagedFileError
from tuiprobe.manifest import is_there, read_record, write_record
from tuiprobe.results.subject import PreflightCheck
from tuiprobe.run.directory import RunDir

_CHECKS = TypeAdapter(tuple[PreflightCheck, ...])

_SAID_ELSEWHERE = ("weights", "preprocessing")
"""Checks that the report covers elsewhere: random weights in the title, assumed preprocessing."""


def write_preflight(directory: RunDir, found: list[PreflightCheck]) -> None:
    """Publishes the checks of a preflight."""
    write_record(directory.preflight_file, {"checks": _CHECKS.dump_python(tuple(found))})


def read_preflight(directory: RunDir) -> tuple[PreflightCheck, ...]:
    """Returns the checks of a run's preflight; empty if there was none.

    Raises:
        DamagedFileError: If the file is damaged.
    """
    kept = directory.preflight_file
    if not is_there(kept):
        return ()
    value = read_record(kept)
    try:
        return _CHECKS.validate_python(value["checks"])
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedFileError(f"{kept} is damaged: {error}") from error


def said(check: PreflightCheck) -> str:
    """Formats a check as one sentence.

    >>> said(PreflightCheck(name="dtype", status="warn", detail="float16", fix="use float32"))
    'dtype: float16: use float32'
    """
    where = f" of {check.data}" if check.data is not None else ""
    fix = f": {check.fix}" if check.fix else ""
    return f"{check.name}{where}: {check.detail}{fix}"


def warnings_of(found: tuple[PreflightCheck, ...]) -> tuple[str, ...]:
    """Returns the warnings that the report does not give elsewhere."""
    return tuple(
        f"preflight, {said(check)}"
        for check in found
        if check.status == "warn" and check.name not in _SAID_ELSEWHERE
    )
