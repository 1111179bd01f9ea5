"""`tuiprobe runs`: lists runs and their figures; deletes runs by name."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tuiprobe.errors import UsageError
from tuiprobe.numbers import MISSING
from tuiprobe.texttable import TextColumn, text_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tuiprobe.run.listing import RunRow

_MODEL: Final = 20
_DATA: Final = 14
"""Columns of the model and the data; longer ones are cut, and `--json` has them whole."""


def runs(
    words: Annotated[
        list[str] | None,
        typer.Argument(help="Parts of name, model, data, state or outcome; all must be there."),
    ] = None,
    root: Annotated[Path, typer.Option(help="Where run directories are kept.")] = Path("runs"),
    sort: Annotated[
        str, typer.Option(help="changed, name, state, model, images, kurtosis, ...")
    ] = "changed",
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete the runs that are listed, after asking.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List runs, the latest first: state, figures with half their interval, outcome.

    Where words leave one run, the command that does what it did follows.
    """
    from tuiprobe.errors import TuiprobeError
    from tuiprobe.plaintext import plain
    from tuiprobe.report.reading import rows_with_labels
    from tuiprobe.run.directory import RunDir
    from tuiprobe.run.listing import SORTS, command_of_run, find_runs, read_runs
    from tuiprobe.run.listing import as_json as plain_row

    if sort not in SORTS:
        raise UsageError(f"--sort {sort!r}: choose among {', '.join(SORTS)}")
    if not root.is_dir():
        raise UsageError(f"{root} is no directory; name one with --root")
    found = find_runs(root)
    rows: Iterable[RunRow] = rows_with_labels(read_runs(found, words or ()))
    if sort != "changed":
        rows = sorted(rows, key=SORTS[sort], reverse=sort not in ("name", "state", "model", "data"))
    if delete:
        _delete(list(rows), words or [], yes)
        return
    if as_json:
        print(json.dumps({"schema_version": 1, "runs": [plain_row(row) for row in rows]}, indent=1))
        return
    read: list[RunRow] = []
    for line in table(_kept(rows, read), [one.name for one in found]):
        print(line, flush=True)  # prints a row as soon as its run is read
    if not read:
        print("no run matches" if words else f"no runs in {root}", file=sys.stderr)
    if words and len(read) == 1:
        try:
            print(command_of_run(RunDir(read[0].path)))
        except TuiprobeError as error:
            print(f"no command repeats it: {plain(str(error))}", file=sys.stderr)


def _kept(rows: Iterable[RunRow], into: list[RunRow]) -> Iterator[RunRow]:
    for row in rows:
        into.append(row)
        yield row


def table(rows: Iterable[RunRow], names: Iterable[str]) -> Iterator[str]:
    """Yields headings and rows as lines of aligned columns; nothing if there are no rows.

    Rows are printed as they come, so column widths are those of typical content.

    Args:
        rows: What to show.
        names: Names of all runs that may get a row.

    >>> list(table([], ["name"]))
    []
    """
    from tuiprobe.plaintext import plain
    from tuiprobe.results.headlines import LISTED
    from tuiprobe.run.state import STATES

    columns = [
        TextColumn("run", max((len(plain(name)) for name in names), default=0)),
        TextColumn("model", _MODEL),
        TextColumn("data", _DATA),
        *(TextColumn(one.heading, len(one.usual), right=True) for one in LISTED if one.shown),
        TextColumn("state", max(map(len, STATES))),
        TextColumn("date", len("2026-01-31 12:00")),
        TextColumn(""),
    ]
    yield from text_table(columns, map(_cells, rows))


def _cells(row: RunRow) -> tuple[str, ...]:
    from tuiprobe.plaintext import plain
    from tuiprobe.results.headlines import LISTED

    figures = (row.cell(one.field) for one in LISTED if one.shown)
    words = "" if row.state == "done" else plain(row.status.words)
    changed = datetime.fromtimestamp(row.changed / 1e9).strftime("%Y-%m-%d %H:%M")
    about = (_cut(row.model, _MODEL), _cut(row.source or row.data, _DATA))
    return (plain(row.name), *about, *figures, row.status.word, changed, words)


def _cut(text: str, width: int) -> str:
    from tuiprobe.plaintext import plain

    whole = plain(text) or MISSING
    return whole if len(whole) <= width else f"{whole[: width - 1]}…"


def _delete(rows: list[RunRow], words: list[str], yes: bool) -> None:
    from tuiprobe.plaintext import plain
    from tuiprobe.run.directory import RunDir, delete_run, kept_files

    if not words:
        raise UsageError("--delete takes words that say which runs, for example a part of a name")
    running = [row.name for row in rows if not row.deletable]
    if running:
        raise UsageError(f"still running, so nothing is deleted: {', '.join(running)}")
    if not rows:
        raise UsageError("no run matches, so nothing is deleted")
    for row in rows:
        print(plain(str(row.path)), file=sys.stderr)
    if not yes and not _confirmed(len(rows)):
        print("nothing was deleted", file=sys.stderr)
        return
    for row in rows:
        kept = delete_run(RunDir(row.path))
        print(plain(str(row.path)))
        if kept:
            print(plain(kept_files(row.path, kept)), file=sys.stderr)


def _confirmed(count: int) -> bool:
    if not sys.stdin.isatty():
        raise UsageError("--delete asks first and there is no terminal to ask at; add --yes")
    print(f"delete {'this run' if count == 1 else f'these {count} runs'}? [y/N] ", end="",
          file=sys.stderr, flush=True)  # fmt: skip
    return sys.stdin.readline().strip().lower() in ("y", "yes")
