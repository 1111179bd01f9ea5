"""The small pictures of a run, which may come from anywhere."""

from __future__ import annotations

from pathlib import PurePath

from tuiprobe.files import DamagedFileError, Entry
from tuiprobe.results.report import Report
from tuiprobe.run.directory import RunDir

LARGEST = 64 * 1024
"""Bytes of a picture that is still shown."""


def picture_file(run: RunDir, set_name: str, sample_id: int) -> Entry | None:
    """Returns the path of a picture; None if the set's name would lead out of the run.

    >>> picture_file(RunDir("r"), "val", 3) is not None, picture_file(RunDir("r"), "../x", 3)
    (True, None)
    """
    if PurePath(set_name).name != set_name:
        return None
    try:
        return run.thumbnail_file(set_name, sample_id)
    except DamagedFileError:
        return None


def pictures(report: Report, run: RunDir) -> dict[tuple[str, int], bytes]:
    """Returns the pictures that the sections show, by set and sample id."""
    wanted = [(one.name, id) for one in report.data for id in sorted(report.pictured(one.name))]
    found = {place: _read(picture_file(run, *place)) for place in wanted}
    return {place: content for place, content in found.items() if content is not None}


def _read(file: Entry | None) -> bytes | None:
    try:
        return None if file is None else file.read_bytes(LARGEST)
    except DamagedFileError:
        return None
