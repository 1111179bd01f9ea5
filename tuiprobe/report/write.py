"""Write every report of a run from its results.json."""

from tuiprobe.checksums import is_sealed, refuse_lost_seal
from tuiprobe.report.formats import WRITTEN, export
from tuiprobe.report.summary import summary
from tuiprobe.results.report import MAX_REPORT_BYTES, Report
from tuiprobe.run.directory import RunDir


def read_report(directory: RunDir) -> Report:
    """Reads the report of a run directory, which is not trusted.

    Raises:
        DamagedFileError: results.json is altered, or no report of this schema version.
        DamagedFileError: results.json is missing, too large, no regular file or a link.
    """
    file = directory.results_file
    content = file.read_bytes(MAX_REPORT_BYTES)
    found = Report.parse(content, file)
    if not is_sealed(content, file):
        refuse_lost_seal(file, directory.plan_file)
    return found


def write_reports(directory: RunDir) -> str:
    """Writes report.html, report.md, tables/*.csv and figures/*.svg of a run beside its results.

    Returns:
        A summary of a few lines for standard output.
    """
    report = read_report(directory)
    export(report, directory, WRITTEN, directory.path)
    return summary(report)
