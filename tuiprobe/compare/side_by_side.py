"""The models of one command in one table."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from tuiprobe.files import Entry
from tuiprobe.probes.outliers.result import Outliers
from tuiprobe.report.text import escaped, figure, table
from tuiprobe.report.write import read_report
from tuiprobe.results import Figure, NotRun
from tuiprobe.results.report import Report
from tuiprobe.run.directory import RunDir

_ABSENT = NotRun(reason="not in this report")


def write_side_by_side(directories: Sequence[RunDir], place: Path) -> Path:
    """Writes the table of finished runs, named by their keys, and returns its path.

    Raises:
        DataError: If a run has no readable report.
        RunError: If the table cannot be written.
    """
    reports = [read_report(directory) for directory in directories]
    keys = "".join(sorted(report.key for report in reports))
    name = f"comparison-{hashlib.sha256(keys.encode()).hexdigest()[:8]}.md"
    file = Entry(place, name)
    file.write_text(side_by_side(reports))
    return file.path


def side_by_side(reports: Sequence[Report]) -> str:
    """Returns Markdown: a row a model, a column a headline figure, each with its interval.

    Args:
        reports: Of runs over the same data, in the order of the command.
    """
    images = ", ".join(f"{one.measured} of {one.name}" for one in reports[0].data)
    header = ["model", "representation", "verdict", *_COLUMNS]
    rows = [
        [
            escaped(report.title.partition(" on ")[0] if _unlike(report) else report.model.name),
            report.model.representation,
            escaped(report.verdict.outcome),
            *(figure(read(report)) for read in _COLUMNS.values()),
        ]
        for report in reports
    ]
    lines = [
        "# Models side by side",
        "",
        f"Images of {escaped(reports[0].model.name)}: {escaped(images)}. Brackets are 95 % "
        "intervals. Kurtosis and persistence compare only within one kind of representation.",
        "",
        *table(header, rows),
        *(f"- {escaped(note)}" for note in _notes(reports)),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def _unlike(report: Report) -> bool:
    """Whether the title says what the model's name does not: untrained, partial."""
    return report.model.weights.kind == "untrained" or report.title.startswith("PARTIAL")


def _notes(reports: Sequence[Report]) -> list[str]:
    first = [(one.source, one.measured) for one in reports[0].data]
    notes = [
        f"{report.model.name} saw other images: "
        + ", ".join(f"{one.measured} of {one.name}" for one in report.data)
        for report in reports
        if [(one.source, one.measured) for one in report.data] != first
    ]
    for report in reports:
        notes += [
            f"{report.model.name}: {one.nonfinite} of {one.measured} images of {one.name} are left "
            "out, because their representation is not finite"
            for one in report.data
            if one.nonfinite
        ]
        notes += [
            f"{report.model.name}: {part.part} not run, because {part.reason}"
            for part in report.not_run
        ]
    return notes


def _final(report: Report) -> Outliers:
    return next(o for o in report.outliers if o.final and o.data == report.data[0].name)


def _accuracy(report: Report) -> Figure:
    return report.robustness.accuracies[0].top1 if report.robustness else _ABSENT


def _shifts(report: Report) -> Figure:
    return report.robustness.mean_shift if report.robustness else _ABSENT


def _effective(report: Report) -> Figure:
    headlines = report.robustness.headlines() if report.robustness else ()
    return headlines[0].value if headlines else _ABSENT


def _top_share(report: Report) -> Figure:
    bases = report.directions.bases if report.directions else ()
    return bases[0].top_share if bases else _ABSENT


def _concepts(report: Report) -> Figure:
    return report.concepts.excess if report.concepts else _ABSENT


_COLUMNS: dict[str, Callable[[Report], Figure]] = {
    "kurtosis": lambda report: _final(report).kurtosis,
    "after centring": lambda report: _final(report).centred_kurtosis,
    "persistence": lambda report: _final(report).persistence.value,
    "accuracy": _accuracy,
    "mean of shifts": _shifts,
    "effective robustness": _effective,
    "importance of the top direction": _top_share,
    "concepts over random directions": _concepts,
}
