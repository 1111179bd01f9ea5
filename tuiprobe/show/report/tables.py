"""CSV tables: every figure of a report, and every table of its sections, in plain rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from operator import attrgetter
from typing import Any

from tuiprobe.errors import UsageError
from tuiprobe.plaintext import csv_cell
from tuiprobe.results import Estimate, Figure, NotRun, Report, is_known
from tuiprobe.results.section import Code, Strong, Table, Value
from tuiprobe.results.subject import Prediction

CsvRow = Sequence[str | int | float | bool | None]
OF_EVERY_REPORT = ("figures", "data", "skipped", "nonfinite")
"""Names of the table files that are of no single probe."""
FIGURE = ["value", "low", "high", "value_unit", "n", "method", "not_run_because"]
_UNITS = {"none": None}
"""Units without a name."""
FIGURES = ["probe", "data", "place", "figure", "name", *FIGURE]


def tables(report: Report) -> dict[str, str]:
    """Returns CSV text by table name; numbers in full precision."""
    counts = ["data", "source", "images", "measured", "skipped", "nonfinite", "classes"]
    data: list[CsvRow] = [
        (d.name, d.source, d.images, d.measured, len(d.skipped), d.nonfinite, d.classes)
        for d in report.data
    ]
    skipped = ([each.name, i.path, i.reason] for each in report.data for i in each.skipped)
    nonfinite = ([each.name, path] for each in report.data for path in each.nonfinite_images)
    files = {
        "figures": _csv(FIGURES, _figures(report)),
        "data": _csv(counts, data),
        "skipped": _csv(["data", "path", "reason"], skipped),
        "nonfinite": _csv(["data", "path"], nonfinite),
    }
    return files | {name: _table(table) for _, name, table in table_files(report)}


def figures_frame(report: Report) -> Any:
    """Returns all figures as a pandas `DataFrame`; see `Report.to_frame`.

    Raises:
        UsageError: If pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise UsageError("to_frame needs pandas: pip install pandas") from error
    return pandas.DataFrame(_figures(report), columns=FIGURES)


def predictions_table(pictures: Iterable[Prediction]) -> str:
    """Returns label, answer and confidences of images as CSV; `class` is the model's answer."""
    columns = {"sha256": "digest", "class": "answer"}
    names = ("set", "path", "sha256", "label", "class", "confidence", "calibrated", "second",
             "unattended")  # fmt: skip
    values = attrgetter(*(columns.get(name, name) for name in names))
    return _csv(list(names), map(values, pictures))


def table_files(report: Report) -> Iterator[tuple[str, str, Table]]:
    """Yields the tables that have files: whose it is, the name of the file, the table."""
    used = set(OF_EVERY_REPORT)
    for part in report.parts:
        for piece in part.section.content if part.section is not None else ():
            if isinstance(piece, Table) and piece.file and piece.rows:
                name = free_name(piece.id, part.probe, used.__contains__)
                used.add(name)
                yield part.probe, name, piece


def free_name(id: str, probe: str, used: Callable[[str], bool]) -> str:
    """Returns a name that no other table or chart of the report has.

    Args:
        id: Id of the table or chart; probes of several packages may use the same.
        probe: Whose it is.
        used: Whether a name is used.

    >>> free_name("a", "p", {"a"}.__contains__), free_name("a", "p", {"a", "p_a"}.__contains__)
    ('p_a', 'p_a_2')
    """
    names = (f"{probe}_{id}" + (f"_{n}" if n > 1 else "") for n in count(1))
    return id if not used(id) else next(name for name in names if not used(name))


def _csv(header: list[str], rows: Iterable[CsvRow]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([csv_cell(name) for name in header])
    for row in rows:
        writer.writerow([csv_cell(value) if isinstance(value, str) else value for value in row])
    return file.getvalue()


def figure_cells(figure: Figure) -> CsvRow:
    """Returns a figure under the columns `FIGURE`."""
    if not is_known(figure):
        return [None, None, None, None, None, None, figure.reason]
    unit = _UNITS.get(figure.unit, figure.unit)
    return [figure.value, figure.low, figure.high, unit, figure.n, figure.method, None]


def _table(table: Table) -> str:
    """Returns a table as CSV, one row per figure; a row with several gets a `column` column."""
    figures = [
        i
        for i in range(len(table.columns))
        if any(isinstance(row[i], Estimate | NotRun) for row in table.rows)
    ]
    others = [i for i in range(len(table.columns)) if i not in figures]
    header = [table.columns[i].id for i in others]
    if not figures:
        return _csv(header, ([_cell(row[i]) for i in others] for row in table.rows))
    header += [*(["figure"] if len(figures) > 1 else []), *FIGURE]
    return _csv(header, _long(table, others, figures))


def _long(table: Table, others: list[int], figures: list[int]) -> Iterator[CsvRow]:
    for row in table.rows:
        about = [_cell(row[i]) for i in others]
        for i in figures:
            name: CsvRow = [table.columns[i].id] if len(figures) > 1 else []
            if (cells := _figure_cells(row[i], table.columns[i].unit)) is not None:
                yield [*about, *name, *cells]


def _figure_cells(value: Value, unit: str) -> CsvRow | None:
    """Returns the cells of a value in a column of figures."""
    if isinstance(value, Estimate | NotRun):
        return figure_cells(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return [value, None, None, _UNITS.get(unit, unit), None, None, None]
    text = _cell(value)
    return None if text in (None, "") else [None, None, None, None, None, None, text]


def _cell(value: Value) -> str | int | float | bool | None:
    if isinstance(value, Code):
        return value.code
    if isinstance(value, Strong):
        return value.strong
    assert not isinstance(value, Estimate | NotRun)
    return value


def _figures(report: Report) -> Iterator[CsvRow]:
    for part in report.parts:
        for named in part.figures:
            about = (named.data, named.place, named.id, named.name)
            yield [part.probe, *about, *figure_cells(named.figure)]
