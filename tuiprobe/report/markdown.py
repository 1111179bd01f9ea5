"""report.md: the card, then the evidence in brief, readable in a terminal; and model-card.md.

A section is its sentence, what it means, and one small table; `report.html` and tables/ hold the
rest. A comparison is written in full.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from string import Template

from tuiprobe.numbers import suffix
from tuiprobe.plaintext import plain
from tuiprobe.report.common import (
    NAMED_IMAGES,
    data_rows,
    image_name,
    left_out,
    opening_pieces,
    subject_rows,
    table_files,
)
from tuiprobe.report.text import (
    code,
    escaped,
    in_column,
    markdown_cell,
    markdown_text,
    opening,
)
from tuiprobe.results import Report, given
from tuiprobe.results.card import card
from tuiprobe.results.headlines import BY_ID
from tuiprobe.results.reproduce import (
    command,
    command_note,
    provenance,
    software,
    verified,
)
from tuiprobe.results.section import (
    Chart,
    Content,
    Heading,
    NamedFigure,
    Points,
    Prose,
    Section,
    Strip,
    Table,
    Text,
    Value,
)
from tuiprobe.results.subject import PROBE as PREFLIGHT
from tuiprobe.texttable import markdown_table

LISTED_ROWS = 40
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
    files: dict[str, list[tuple[str, Table]]] = {}
    for probe, name, one in table_files(report):
        files.setdefault(probe, []).append((name, one))
    for part in report.parts:
        if part.section is not None and part.probe != PREFLIGHT:
            lines += _brief(part.section, files.get(part.probe, ()))
    lines += _not_run(report)
    lines += _reproduce(report)
    return "\n".join(lines).rstrip("\n") + "\n"


def model_card(report: Report) -> str:
    """Returns metadata (`model-index`) and a section for a model card of the Hugging Face hub.

    The text around them is `model-card.md` beside this file.
    """
    from huggingface_hub import EvalResult, ModelCardData

    sources = {one.name: one.source for one in report.data}
    rows, results = [], []
    for one in (one for part in report.parts for one in part.figures):
        if one.headline is None or one.inner or one.id not in BY_ID or not given(one.figure):
            continue
        name, data, value = BY_ID[one.id].name, _measured_on(one), one.figure
        rows.append([escaped(name), escaped(data), escaped(value.with_interval())])
        metric = name.replace(" ", "_")
        _, _, ends = value.with_interval().rpartition(" (")
        if value.low is not None:
            name += f" (95 % interval {ends[:-1]}{suffix(value.unit)})"
        results.append(
            EvalResult(
                task_type="image-classification",
                dataset_type=plain(sources.get(data, data)),
                dataset_name=plain(data),
                metric_type="accuracy" if one.id == "top1" else metric,
                metric_value=float(f"{value.value:.6g}"),
                metric_name=name,
            )
        )
    table = markdown_table(["figure", "of", "value (95 % interval)"], rows)
    metadata = ModelCardData(
        model_name=plain(report.model.name), tags=["tuiprobe"], eval_results=results or None
    )
    return Template(Path(__file__).with_name("model-card.md").read_text("utf-8")).substitute(
        metadata=metadata.to_yaml(line_break="\n").rstrip("\n"),
        opening="\n".join([opening(escaped(report.title)), *_warnings(report)]).rstrip("\n"),
        card="\n".join(["", *_card(report, "###"), ""]),
        figures="\n".join(table) if rows else "",
        measured=escaped(provenance(report)),
        command=_command(report),
    )


def _measured_on(one: NamedFigure) -> str:
    """Returns the set that a figure is of, or the sets that it is the mean of."""
    sets = one.mean_of.sets if one.mean_of is not None else ()
    return f"mean of {', '.join(sets)}" if len(sets) > 1 else (*sets, one.data)[0]


def section_markdown(section: Section) -> str:
    """Returns one section alone and in full, its title as the first heading."""
    lines = [f"# {escaped(section.title)}", ""]
    if section.headline:
        lines += [_line(section.headline), ""]
    for one in section.content:
        lines += _content(one)
    return "\n".join(lines).rstrip("\n") + "\n"


def _warnings(report: Report) -> list[str]:
    lines = [f"> - **Warning:** {escaped(warning)}" for warning in report.warnings]
    return ["", *lines, ""] if lines else [""]


def _card(report: Report, heading: str = "##") -> list[str]:
    lines: list[str] = []
    if report.model.weights.kind == "untrained":
        lines += ["**The weights are random.** Nothing here describes a trained model.", ""]
    for block in card(report):
        lines += [f"{heading} {block.title}", *(f"- {_line(one)}" for one in block.lines), ""]
    return lines


def _brief(section: Section, files: Sequence[tuple[str, Table]]) -> list[str]:
    """Returns a section's sentence, what it means, its first small table, and its files."""
    lines = [f"## {escaped(section.title)}"]
    if section.headline:
        lines.append(_line(section.headline))
    for one in section.content[: opening_pieces(section.content)]:
        lines += _content(one)[:1] if isinstance(one, Heading) else []
        texts = one.items if isinstance(one, Points) else ()
        texts = (one.text,) if isinstance(one, Prose) else texts
        lines += [f"- {_line(text)}" for text in texts]
    tables = (one for one in section.content if isinstance(one, Table))
    small = next((one for one in tables if _is_small(one)), None)
    told = [f"`tables/{name}.csv` ({len(one.rows):,})" for name, one in files if one is not small]
    if told:
        lines.append(f"- Rows in full: {', '.join(told)}.")
    return [*lines, "", *(_table(small) if small is not None else [])]


def _is_small(one: Table) -> bool:
    """Returns whether a terminal shows a table well."""
    if not one.reading or not one.file or not 0 < len(one.rows) <= SMALL_ROWS:
        return False
    return len(one.columns) <= SMALL_COLUMNS


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


def _content(one: Content) -> list[str]:
    if isinstance(one, Heading):
        return [f"### {markdown_text(one.text)}", ""]
    if isinstance(one, Prose):
        return [_line(one.text), ""]
    if isinstance(one, Points):
        return [*(f"- {_line(item)}" for item in one.items), ""]
    if isinstance(one, Table):
        return _table(one) if one.reading else []
    if isinstance(one, Strip):
        return list(_strip(one)) if not one.folded else []
    assert isinstance(one, Chart)
    return []  # charts are files of their own


def _table(one: Table) -> list[str]:
    if not one.rows:
        return []
    shown = one.rows[: LISTED_ROWS if one.shown is None else one.shown]
    lines = [_line(one.title), ""] if one.title else []
    header = [markdown_cell(column.title) for column in one.columns]
    lines += markdown_table(header, [_cells(one, row) for row in shown])
    rest = len(one.rows) - len(shown)
    if rest > 0:
        where = f"`tables/{one.id}.csv`" if one.file else "`tables/`"
        lines += [f"and {rest:,} more in {where}.", ""]
    return lines


def _cells(one: Table, row: Sequence[Value]) -> list[str]:
    return [
        markdown_cell((in_column(value, column),))
        for value, column in zip(row, one.columns, strict=True)
    ]


def _strip(one: Strip) -> Iterator[str]:
    for end in one.ends:
        images = ", ".join(
            f"{code(image_name(i))} ({escaped(text)})" for i, text in end.captioned(NAMED_IMAGES)
        )
        yield f"- {_line(one.title)}, {escaped(end.label)}: {images}"
    yield ""


def _not_run(report: Report) -> list[str]:
    rows = [
        f"- {opening(escaped(one.title))}: {escaped(report.why_not(one.probe))}"
        for one in report.parts
        if one.not_run is not None
    ]
    return ["## Not run", *rows, ""] if rows else []
