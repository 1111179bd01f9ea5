"""The list of models as plain data: rows, columns, filter, order, and details."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len

from tuiprobe.catalog.presets import Preset, presets
from tuiprobe.numbers import number
from tuiprobe.plaintext import holds_all, plain
from tuiprobe.tui.widgets.rows import RowColumn, kept_columns, row_text

if TYPE_CHECKING:
    from tuiprobe.catalog.listing import Listed

COLUMNS = (
    RowColumn("model", 18),
    RowColumn("backbone", 9, drop=2, term="representation"),
    RowColumn("pretraining", 12, drop=5, term="training"),
    RowColumn("kind", 10, drop=4, term="training"),
    RowColumn("width", 5, right=True, drop=7, term="channel"),
    RowColumn("size", 5, right=True, drop=6, term="weights"),
    RowColumn("weights", 9, drop=3, term="weights"),
    RowColumn("ImageNet %", 10, right=True, drop=1, term="published-accuracy"),
    RowColumn("robustness +", 12, right=True, drop=1, term="effective-robustness"),
)
CACHED = {"yes": "✓", "no": "-", "none": "no public", "": "…"}


GROUPS = {
    "demonstration": "DEMONSTRATION  ships with tuiprobe; says nothing about real CLIPs",
    "zero-shot": "ZERO-SHOT  CLIPs, which answer by texts",
    "finetuned": "FINETUNED  CLIPs trained further on ImageNet",
    "supervised": "SUPERVISED  trained on ImageNet's labels",
    "": "ALL OTHERS  kind of training not catalogued",
}
"""Headings of the list by group, in order."""


@dataclass(frozen=True, slots=True)
class GroupHeading:
    """The heading of a group.

    Attributes:
        title: Its text.
    """

    title: str


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model as the list shows it.

    Attributes:
        name: The value for `--model`.
        spec: The explicit spec.
        backbone: Architecture.
        pretraining: Data or tag of the weights.
        kind: Kind of training; empty where the catalog does not know.
        width: Channels of the representation; None where it is unknown.
        parameters: In millions; None where it is unknown.
        cached: `yes`, `no`, `none` where no public weights exist; empty before it is known.
        imagenet: Published accuracy, a fraction.
        robustness: Published effective robustness, a fraction.
        extrapolated: Whether its baseline has no model at this accuracy.
        group: Key of `GROUPS`.
        text: The text that the filter searches.
    """

    name: str
    spec: str
    backbone: str
    pretraining: str
    kind: str
    width: int | None
    parameters: float | None
    cached: str
    imagenet: float | None
    robustness: float | None
    extrapolated: bool
    group: str
    text: str


def first_rows() -> list[ModelRow]:
    """Returns the presets without what needs the large tables: quick, for the first paint."""
    return [_preset_row(preset) for preset in presets().values()]


def row_of(listed: Listed) -> ModelRow:
    """Returns a model of the catalog's list as a row."""
    if listed.preset is not None:
        return _preset_row(listed.preset, listed)
    backbone, tag = _parts(listed.spec)
    return ModelRow(
        name=listed.name,
        spec=listed.spec,
        backbone=backbone,
        pretraining=tag,
        kind="",
        width=None,
        parameters=listed.parameters,
        cached=listed.cached,
        imagenet=listed.imagenet,
        robustness=listed.robustness,
        extrapolated=listed.extrapolated,
        group="",
        text=listed.spec,
    )


def rows_of_packages(answer: str) -> list[ModelRow]:
    """Returns the models of other packages from what `tuiprobe models --json` printed."""
    from tuiprobe.catalog.listing import Listed

    listed = (Listed(**each) for each in json.loads(answer) if each["preset"] is None)
    return [row_of(each) for each in listed]


def _preset_row(preset: Preset, listed: Listed | None = None) -> ModelRow:
    words = (preset.name, preset.spec, preset.backbone, preset.pretraining, preset.training)
    return ModelRow(
        name=preset.name,
        spec=preset.spec,
        backbone=preset.backbone,
        pretraining=preset.pretraining,
        kind=preset.training,
        width=preset.width,
        parameters=preset.parameters / 1e6,
        cached=listed.cached if listed else "",
        imagenet=listed.imagenet if listed else None,
        robustness=listed.robustness if listed else None,
        extrapolated=listed.extrapolated if listed else False,
        group=_group(preset),
        text=" ".join(words),
    )


def _group(preset: Preset) -> str:
    if preset.shipped:
        return "demonstration"
    return "zero-shot" if preset.training == "captions" else preset.training


def grouped(rows: Sequence[ModelRow]) -> list[ModelRow | GroupHeading]:
    """Returns the rows by group, each group under its heading with its number of models."""
    listed: list[ModelRow | GroupHeading] = []
    for group, title in GROUPS.items():
        own = [row for row in rows if row.group == group]
        if own:
            listed += [GroupHeading(f"{title} ({len(own):,})"), *own]
    return listed


def catalogue(shown: int, rows: Sequence[ModelRow], marked: int) -> str:
    """Returns how many models there are, of which libraries, and from when the list is."""
    from tuiprobe.catalog import names

    file = names.current_file()
    versions = names.generated_with(file)
    of = " and ".join(f"{library} {version}" for library, version in versions.items())
    day = names.listed_on(file)
    parts = [f"{marked} marked"] if marked else []
    parts += [f"{shown:,} shown"] if shown < len(rows) else []
    parts.append(f"{len(rows):,} models of {of}" + (f", list of {day}" if day else ""))
    return " · ".join(parts)


def line(columns: Sequence[RowColumn], cells: Sequence[str], width: int) -> str:
    """Returns a row of exactly `width` cells, whose name takes the place of columns it needs.

    >>> columns = [RowColumn("model", 6), RowColumn("kind", 6), RowColumn("IN", 4, right=True)]
    >>> line(columns, ["a long name", "timm", "71.5"], 18)
    'a long name   71.5'
    """
    kept = kept_columns(columns, width)
    name = cell_len(plain(cells[0]))
    room = width - sum(columns[i].width + 1 for i in kept[1:])
    while len(kept) > 1 and room < name:
        room += columns[kept.pop(1)].width + 1
    return row_text([columns[i] for i in kept], [cells[i] for i in kept], width)


def _parts(spec: str) -> tuple[str, str]:
    """Returns architecture and tag of a spec.

    >>> _parts("open_clip:ViT-B-16/openai"), _parts("timm:resnet50.a1_in1k")
    (('ViT-B-16', 'openai'), ('resnet50', 'a1_in1k'))
    """
    loader, _, rest = spec.partition(":")
    architecture, _, tag = rest.partition("/" if loader == "open_clip" else ".")
    return architecture, tag


def filtered(rows: Sequence[ModelRow], query: str) -> list[ModelRow]:
    """Returns the rows that hold every word of the query, whatever the case."""
    return [row for row in rows if holds_all(row.text, query.split())]


_KEYS: tuple[Callable[[ModelRow], str | float | None], ...] = (
    lambda row: row.name.lower(),
    lambda row: row.backbone.lower(),
    lambda row: row.pretraining.lower(),
    lambda row: row.kind or None,
    lambda row: row.width,
    lambda row: row.parameters,
    lambda row: row.cached != "yes",
    lambda row: row.imagenet,
    lambda row: row.robustness,
)


def ordered(rows: Sequence[ModelRow], column: int, down: bool) -> list[ModelRow]:
    """Returns the rows by the raw values of a column; rows without one come last."""
    key = _KEYS[column]
    known = [row for row in rows if key(row) is not None]
    known.sort(key=key, reverse=down)  # type: ignore[arg-type]
    return known + [row for row in rows if key(row) is None]


def cells(row: ModelRow, marked: bool) -> list[str]:
    """Returns the text of each column."""
    star = "*" if row.extrapolated else ""
    return [
        f"{'☑' if marked else '☐'} {row.name}",
        row.backbone,
        row.pretraining,
        row.kind,
        "" if row.width is None else str(row.width),
        _millions(row.parameters),
        CACHED[row.cached],
        "" if row.imagenet is None else number(row.imagenet, "share", bare=True),
        "" if row.robustness is None else f"{_points(row.robustness, bare=True)}{star}",
    ]


def _points(value: float, bare: bool = False) -> str:
    return number(value, "points", signed=True, bare=bare)


def _millions(parameters: float | None) -> str:
    if parameters is None:
        return ""
    return f"{parameters:.0f} M" if parameters < 999.5 else f"{parameters / 1000:.1f} B"


def details(row: ModelRow) -> list[str]:
    """Returns the details of a model, one line each; outside strings are not escaped."""
    preset = presets().get(row.name)
    lines = [row.spec]
    if preset is not None:
        lines += [
            f"backbone {preset.backbone} · {preset.training}",
            f"pretrained on {preset.pretraining}",
            f"input {preset.size} px, {preset.interpolation}, {preset.normalization} mean and std",
            f"activation {preset.activation} · width {preset.width}",
        ]
        if preset.note:
            lines.append(preset.note)
    lines.append(f"weights: {_WEIGHTS[row.cached]}")
    if row.imagenet is not None:
        lines += ["", f"published ImageNet {number(row.imagenet, 'share')}"]
        if row.robustness is not None:
            beyond = ", extrapolated" if row.extrapolated else ""
            lines.append(f"published robustness {_points(row.robustness)} (standard{beyond})")
    return lines


_WEIGHTS = {
    "yes": "on this machine",
    "no": "not on this machine; f fetches them",
    "none": "none are public: UNTRAINED, unless checkpoint names a file",
    "": "looking",
}


MARKS = {"pass": "✓", "warn": "!", "fail": "✗", "skip": "-"}


def check_lines(checks: list[dict[str, str]]) -> list[str]:
    """Returns the findings of `tuiprobe doctor --json` as lines, the count first.

    >>> check_lines([{"name": "weights", "status": "pass", "detail": "ok", "fix": ""}])
    ['', 'preflight 1 of 1 ✓', '✓ weights: ok']
    """
    counted = [check for check in checks if check["status"] != "skip"]
    passed = sum(check["status"] == "pass" for check in counted)
    sign = "✓" if passed == len(counted) else "!"
    lines = ["", f"preflight {passed} of {len(counted)} {sign}"]
    for check in sorted(checks, key=lambda check: "fwps".index(check["status"][0])):
        lines.append(f"{MARKS[check['status']]} {check['name']}: {check['detail']}")
        if check["fix"] and check["status"] in ("warn", "fail"):
            lines.append(f"  → {check['fix']}")
    return lines
