"""The small pictures of a run directory, which may come from anywhere."""

from __future__ import annotations

from contextlib import suppress
from pathlib import PurePath

from tuiprobe.files import DamagedFileError, Entry
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.results import Report

LARGEST = 64 * 1024
"""Bytes of a picture that is still shown."""


def pictures(report: Report, run: RunDir) -> dict[tuple[str, int], bytes]:
    """Returns the small pictures that the sections show, by set and sample id."""
    shown = [(data.name, id) for data in report.data for id in sorted(report.pictured(data.name))]
    contents: dict[tuple[str, int], bytes] = {}
    for picture in shown:
        file = picture_file(run, *picture)
        with suppress(DamagedFileError):
            if file is not None:
                contents[picture] = file.read_bytes(LARGEST)
    return contents


def picture_file(run: RunDir, set_name: str, sample_id: int) -> Entry | None:
    """Returns the path of a picture, unless the set's name would lead out of the run.

    >>> picture_file(RunDir("r"), "val", 3) is not None, picture_file(RunDir("r"), "../x", 3)
    (True, None)
    """
    if PurePath(set_name).name != set_name:
        return None
    with suppress(DamagedFileError):
        return run.thumbnail_file(set_name, sample_id)
    return None
