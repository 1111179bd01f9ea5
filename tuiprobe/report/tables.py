"""CSV tables: every figure of a report, and every table of its sections, in plain rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

from tuiprobe.report.common import table_files
from tuiprobe.report.text import cell
from tuiprobe.results import Estimate, Figure, NotRun, Report, given
from tuiprobe.results.section import Code, Strong, Table, Value

Row = list[str | int | float | bool | None]
FIGURE = ["value", "low", "high", "value_unit", "n", "method", "not_run_because"]


def tables(report: Report) -> dict[str, str]:
    """Returns CSV text by table name; numbers in full precision, empty where there is none."""
    counts = ["data", "source", "images", "measured", "skipped", "nonfinite", "classes"]
    files = {
        "figures": _csv(["probe", "data", "place", "figure", "name", *FIGURE], _figures(report)),
        "data": _csv(counts, _data(report)),
        "skipped": _csv(["data", "path", "reason"], _skipped(report)),
        "nonfinite": _csv(["data", "path"], _nonfinite(report)),
    }
    return files | {name: _table(table) for _, name, table in table_files(report)}


def _csv(header: list[str], rows: Iterable[Row]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([cell(name) for name in header])
    for row in rows:
        writer.writerow([cell(value) if isinstance(value, str) else value for value in row])
    return file.getvalue()


def figure_cells(figure: Figure) -> Row:
    """Returns a figure under the columns `FIGURE`; empty where there is none."""
    if not given(figure):
        return [None, None, None, None, None, None, figure.reason]
    unit = None if figure.unit == "none" else figure.unit
    return [figure.value, figure.low, figure.high, unit, figure.n, figure.method, None]


def _table(table: Table) -> str:
    """Returns a table as CSV, one row per figure; a row with several gets a `column` column."""
    places = [
        i
        for i in range(len(table.columns))
        if any(isinstance(row[i], Estimate | NotRun) for row in table.rows)
    ]
    others = [i for i in range(len(table.columns)) if i not in places]
    header = [table.columns[i].id for i in others]
    if not places:
        return _csv(header, ([_cell(row[i]) for i in others] for row in table.rows))
    header += [*(["figure"] if len(places) > 1 else []), *FIGURE]
    return _csv(header, _long(table, others, places))


def _long(table: Table, others: list[int], places: list[int]) -> Iterator[Row]:
    for row in table.rows:
        about = [_cell(row[i]) for i in others]
        for i in places:
            name: Row = [table.columns[i].id] if len(places) > 1 else []
            if (cells := _figure_cells(row[i], table.columns[i].unit)) is not None:
                yield [*about, *name, *cells]


def _figure_cells(value: Value, unit: str) -> Row | None:
    """Returns the cells of a value in a column of figures; None where there is nothing to write."""
    if isinstance(value, Estimate | NotRun):
        return figure_cells(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return [value, None, None, None if unit == "none" else unit, None, None, None]
    text = _cell(value)
    return None if text in (None, "", "-") else [None, None, None, None, None, None, text]


def _cell(value: Value) -> str | int | float | bool | None:
    if isinstance(value, Code):
        return value.code
    if isinstance(value, Strong):
        return value.strong
    assert not isinstance(value, Estimate | NotRun)
    return value


def _figures(report: Report) -> Iterator[Row]:
    for part in report.parts:
        for named in part.figures:
            place = (named.data, named.place, named.id, named.name)
            yield [part.probe, *place, *figure_cells(named.figure)]


def _data(report: Report) -> Iterator[Row]:
    for data in report.data:
        counts: Row = [data.images, data.measured, len(data.skipped), data.nonfinite, data.classes]
        yield [data.name, data.source, *counts]


def _skipped(report: Report) -> Iterator[Row]:
    for data in report.data:
        for image in data.skipped:
            yield [data.name, image.path, image.reason]


def _nonfinite(report: Report) -> Iterator[Row]:
    """Yields the listed images that are not finite; the table `data` has the full count."""
    for data in report.data:
        for path in data.nonfinite_images:
            yield [data.name, path]
