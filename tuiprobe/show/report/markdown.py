"""report.md: the card, then the evidence in brief, readable in a terminal.

A section is its sentence, what it means, and one small table; `report.html` and tables/ hold the
rest. A comparison is written in full.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tuiprobe.plaintext import markdown_table
from tuiprobe.results import Report
from tuiprobe.results.card import card, data_rows, left_out, not_run, sets_line, subject_rows
from tuiprobe.results.reproduce import (
    command,
    command_note,
    next_step,
    provenance,
    software,
    verified,
)
from tuiprobe.results.section import (
    Bullets,
    Chart,
    Heading,
    Prose,
    Section,
    SectionContent,
    Strip,
    Table,
    Text,
)
from tuiprobe.results.subject import PROBE as PREFLIGHT
from tuiprobe.show.report.page_layout import opening_pieces
from tuiprobe.show.report.strings import (
    NAMED_IMAGES,
    cells_of,
    code,
    escaped,
    image_name,
    markdown_cell,
    markdown_text,
    opening,
)
from tuiprobe.show.report.tables import table_files

MARKDOWN_ROWS = 40
"""Rows of a table that a comparison shows."""
SMALL_ROWS, SMALL_COLUMNS = 4, 6
"""Size of the largest table that a terminal shows well."""

READ = (
    "Intervals are 95 % where nothing else is said. Full precision, n and method of every figure "
    "are in `results.json` and `tables/`."
)


def markdown(report: Report) -> str:
    """Returns the report as GitHub-flavoured Markdown."""
    lines = [f"# {escaped(report.title)}", *_warnings(report), escaped(provenance(report)), ""]
    lines += _card(report)
    if following := next_step(report):
        lines += [f"**Next:** {markdown_text(following)}", ""]
    if sets := sets_line(report):
        lines += [markdown_text(sets), ""]
    files: dict[str, list[tuple[str, Table]]] = {}
    for probe, name, table in table_files(report):
        files.setdefault(probe, []).append((name, table))
    for part in report.parts:
        if part.section is not None and part.probe != PREFLIGHT:
            lines += _brief(part.section, files.get(part.probe, ()))
    missing = [
        f"- {opening(escaped(', '.join(titles)))}: {escaped(reason)}"
        for reason, titles in not_run(report).items()
    ]
    lines += ["## Not run", *missing, ""] if missing else []
    lines += _reproduce(report)
    return "\n".join(lines).rstrip("\n") + "\n"


def section_markdown(section: Section) -> str:
    """Returns one section alone and in full, its title as the first heading."""
    lines = [f"# {escaped(section.title)}", ""]
    if section.headline:
        lines += [_line(section.headline), ""]
    for piece in section.content:
        lines += _content(piece)
    return "\n".join(lines).rstrip("\n") + "\n"


def _warnings(report: Report) -> list[str]:
    lines = [f"> - **{kind.capitalize()}:** {escaped(text)}" for kind, text in report.remarks]
    return ["", *lines, ""] if lines else [""]


def _card(report: Report, heading: str = "##") -> list[str]:
    lines: list[str] = []
    if report.model.weights.kind == "untrained":
        lines += ["**The weights are random.** Nothing here describes a trained model.", ""]
    for block in card(report):
        lines += [f"{heading} {block.title}", *(f"- {_line(line)}" for line in block.lines), ""]
    return lines


def _brief(section: Section, files: Sequence[tuple[str, Table]]) -> list[str]:
    """Returns a section's sentence, what it means, its first small table, and its files."""
    lines = [f"## {escaped(section.title)}"]
    if section.headline:
        lines.append(_line(section.headline))
    for piece in section.content[: opening_pieces(section.content)]:
        lines += _content(piece)[:1] if isinstance(piece, Heading) else []
        texts = piece.items if isinstance(piece, Bullets) else ()
        texts = (piece.text,) if isinstance(piece, Prose) else texts
        lines += [f"- {_line(text)}" for text in texts]
    tables = (piece for piece in section.content if isinstance(piece, Table))
    small = next(
        (
            table
            for table in tables
            if table.reading
            and table.file
            and 0 < len(table.rows) <= SMALL_ROWS
            and len(table.columns) <= SMALL_COLUMNS
        ),
        None,
    )
    others = [(name, table) for name, table in files if table is not small]
    links = [f"`tables/{name}.csv` ({len(table.rows):,})" for name, table in others]
    if links:
        lines.append(f"- Rows in full: {', '.join(links)}.")
    return [*lines, "", *(_table(small) if small is not None else [])]


def _command(report: Report) -> str:
    line, note = command(report), command_note(report)
    return "\n\n".join([*([code(line)] if line else []), *([note] if note else [])])


def _reproduce(report: Report) -> list[str]:
    lines = ["## How to reproduce", _command(report)]
    if (checks := verified(report)) is not None:
        lines.append(f"- {_line(checks.headline)}")
    about = (*subject_rows(report), *software(report))
    lines += [f"- {escaped(name)}: {markdown_text(text)}" for name, text in about]
    header, rows = data_rows(report)
    lines += [
        "",
        *markdown_table(header, [[markdown_cell((cell,)) for cell in row] for row in rows]),
    ]
    for title, images in left_out(report):
        lines += [_line(title), "", *(f"- {_line(image)}" for image in images), ""]
    return [*lines, READ]


def _line(text: Text) -> str:
    return opening(markdown_text(text))


def _content(piece: SectionContent) -> list[str]:
    if isinstance(piece, Heading):
        return [f"### {markdown_text(piece.text)}", ""]
    if isinstance(piece, Prose):
        return [_line(piece.text), ""]
    if isinstance(piece, Bullets):
        return [*(f"- {_line(item)}" for item in piece.items), ""]
    if isinstance(piece, Table):
        return _table(piece) if piece.reading else []
    if isinstance(piece, Strip):
        return list(_strip(piece)) if not piece.folded else []
    assert isinstance(piece, Chart)
    return []  # charts are separate files


def _table(table: Table) -> list[str]:
    if not table.rows:
        return []
    shown_rows = table.rows[: MARKDOWN_ROWS if table.shown is None else table.shown]
    rows = cells_of(shown_rows, table.columns)
    lines = [_line(table.title), ""] if table.title else []
    header = [markdown_cell(column.title) for column in table.columns]
    lines += markdown_table(header, [[markdown_cell((cell,)) for cell in row] for row in rows])
    left = len(table.rows) - len(rows)
    if left > 0:
        where = f"`tables/{table.id}.csv`" if table.file else "`tables/`"
        lines += [f"and {left:,} more in {where}.", ""]
    return lines


def _strip(strip: Strip) -> Iterator[str]:
    for end in strip.ends:
        images = ", ".join(
            f"{code(image_name(i))} ({escaped(text)})" for i, text in end.captioned(NAMED_IMAGES)
        )
        yield f"- {_line(strip.title)}, {escaped(end.label)}: {images}"
    yield ""
