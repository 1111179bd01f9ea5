"""Write every report of a run from its results.json."""

from pydantic import ValidationError

from tuiprobe.files import DamagedFileError
from tuiprobe.report.formats import WRITTEN, export
from tuiprobe.report.summary import summary
from tuiprobe.results import Report
from tuiprobe.rundir import RunDir


def read_report(directory: RunDir) -> Report:
    """The report of a run directory, which is treated as hostile.

    Raises:
        DamagedFileError: results.json is no report of this schema version.
        DataError: it is missing, too large or a link.
    """
    file = directory.results_file
    try:
        return Report.model_validate_json(file.read_bytes())
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DamagedFileError(
            f"{file} is no report of this version of tuiprobe: {where}: {first['msg']}; "
            "write it again with `tuiprobe reprobe`"
        ) from error


def write_reports(directory: RunDir) -> str:
    """Write report.html, report.md, tables/*.csv and figures/*.svg of a run beside its results.

    Returns:
        A summary of a few lines for standard output.
    """
    report = read_report(directory)
    export(report, directory, WRITTEN, directory.path)
    return summary(report)
