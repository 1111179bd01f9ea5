"""The list of models: columns, groups, filter, order and details, and its table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.style import Style
from textual.binding import Binding, BindingType

from tuiprobe.catalog.published_models import ListedModel, presets
from tuiprobe.numbers import number, short_count
from tuiprobe.plaintext import holds_all, plain
from tuiprobe.show.tui.text import fitted
from tuiprobe.show.tui.widgets.rows import RowColumn, RowTable, row_text, visible_columns

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
SORTS_DOWN = (False,) * 4 + (True,) * (len(COLUMNS) - 4)
CACHED = {"yes": "✓", "no": "-", "none": "no public", "": "…"}
_WEIGHTS = {
    "yes": "on this machine",
    "no": "not on this machine; a run fetches them",
    "none": "none are public: UNTRAINED, unless checkpoint names a file",
    "": "looking",
}

GROUPS = {
    "demonstration": "DEMONSTRATION  ships with tuiprobe; says nothing about real CLIPs",
    "zero-shot": "ZERO-SHOT  CLIPs, which answer by texts",
    "finetuned": "FINETUNED  CLIPs trained further on ImageNet",
    "supervised": "SUPERVISED  trained on ImageNet's labels",
    "": "ALL OTHERS  kind of training not catalogued",
}
"""Headings of the list by group, in order."""


def first_models() -> list[ListedModel]:
    """Returns the presets without what needs the large tables: quick, for the first paint."""
    return [
        ListedModel(
            preset.name, preset.spec, preset, "", preset.parameters / 1e6, None, None, False
        )
        for preset in presets().values()
    ]


def group_of(model: ListedModel) -> str:
    """Returns the key of a model's group in `GROUPS`."""
    if model.preset is None:
        return ""
    if model.preset.shipped:
        return "demonstration"
    return "zero-shot" if model.preset.training == "captions" else model.preset.training


def grouped(models: Sequence[ListedModel]) -> list[ListedModel | str]:
    """Returns the models by group, each group under its heading with its number of models."""
    rows: list[ListedModel | str] = []
    for group, title in GROUPS.items():
        members = [model for model in models if group_of(model) == group]
        if members:
            rows += [f"{title} ({len(members):,})", *members]
    return rows


def counts(matching: int, total: int, marked: int) -> str:
    """Returns how many models there are, of which libraries, and from when the list is."""
    from tuiprobe.catalog import published_models

    file = published_models.current_file()
    versions = published_models.generated_with(file)
    libraries = " and ".join(f"{library} {version}" for library, version in versions.items())
    day = published_models.list_date(file)
    parts = [f"{marked} marked"] if marked else []
    parts += [f"{matching:,} shown"] if matching < total else []
    parts.append(f"{total:,} models of {libraries}" + (f", list of {day}" if day else ""))
    return " · ".join(parts)


def _described(model: ListedModel) -> tuple[str, str, str, int | None]:
    """Returns architecture, data or tag of the weights, kind of training and width.

    >>> _described(ListedModel("x", "timm:resnet50.a1_in1k", None, "", None, None, None, False))
    ('resnet50', 'a1_in1k', '', None)
    """
    preset = model.preset
    if preset is not None:
        return preset.backbone, preset.pretraining, preset.training, preset.width
    loader, _, rest = model.spec.partition(":")
    backbone, _, tag = rest.partition("/" if loader == "open_clip" else ".")
    return backbone, tag, "", None


def filtered(models: Sequence[ListedModel], query: str) -> list[ListedModel]:
    """Returns the models that hold every word of the query, whatever the case."""
    words = query.split()
    return [
        model
        for model in models
        if holds_all(" ".join((model.name, model.spec, *_described(model)[:3])), words)
    ]


def ordered(models: Sequence[ListedModel], column: int, down: bool) -> list[ListedModel]:
    """Returns the models by the raw values of a column; those without a value come last."""

    def key(model: ListedModel) -> str | float | None:
        backbone, tag, kind, width = _described(model)
        return (
            model.name.lower(), backbone.lower(), tag.lower(), kind or None, width,
            model.parameters, model.cached != "yes", model.imagenet, model.robustness,
        )[column]  # fmt: skip

    valued = [model for model in models if key(model) is not None]
    valued.sort(key=key, reverse=down)  # type: ignore[arg-type]
    return valued + [model for model in models if key(model) is None]


def cells(model: ListedModel, marked: bool) -> list[str]:
    """Returns the text of each column."""
    backbone, tag, kind, width = _described(model)
    size = "" if model.parameters is None else short_count(1e6 * model.parameters)
    robustness = ""
    if model.robustness is not None:
        robustness = number(model.robustness, "points", signed=True, bare=True)
        robustness += "*" if model.extrapolated else ""
    return [
        f"{'☑' if marked else '☐'} {model.name}",
        backbone,
        tag,
        kind,
        "" if width is None else str(width),
        size,
        CACHED[model.cached],
        "" if model.imagenet is None else number(model.imagenet, "share", bare=True),
        robustness,
    ]


def line(columns: Sequence[RowColumn], cells: Sequence[str], width: int) -> str:
    """Returns a row of exactly `width` cells, whose name takes the place of columns it needs.

    >>> columns = [RowColumn("model", 6), RowColumn("kind", 6), RowColumn("IN", 4, right=True)]
    >>> line(columns, ["a long name", "timm", "71.5"], 18)
    'a long name   71.5'
    """
    visible = visible_columns(columns, width)
    name = cell_len(plain(cells[0]))
    room = width - sum(columns[i].width + 1 for i in visible[1:])
    while len(visible) > 1 and room < name:
        room += columns[visible.pop(1)].width + 1
    return row_text([columns[i] for i in visible], [cells[i] for i in visible], width)


def details(model: ListedModel) -> list[str]:
    """Returns the details of a model, one line each; outside strings are not escaped."""
    preset = model.preset
    lines = [model.spec]
    if preset is not None:
        lines += [
            f"backbone {preset.backbone} · {preset.training}",
            f"pretrained on {preset.pretraining}",
            f"input {preset.size} px, {preset.interpolation}, {preset.normalization} mean and std",
            f"activation {preset.activation} · width {preset.width}",
        ]
        if preset.note:
            lines.append(preset.note)
    lines.append(f"weights: {_WEIGHTS[model.cached]}")
    if model.imagenet is not None:
        lines += ["", f"published ImageNet {number(model.imagenet, 'share')}"]
        if model.robustness is not None:
            points = number(model.robustness, "points", signed=True)
            beyond = ", extrapolated" if model.extrapolated else ""
            lines.append(f"published robustness {points} (standard{beyond})")
    return lines


class ModelTable(RowTable[ListedModel | str]):
    """The models by group; the cursor passes over headings, and no name is cut."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "set up run", tooltip="Set up a run of the marked models"),
    ]

    @property
    def model(self) -> ListedModel | None:
        """The model under the cursor; None where there is none."""
        return self.current if isinstance(self.current, ListedModel) else None

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of the glossary for the model under the cursor."""
        model = self.model
        if model is None:
            return super().explained()
        term = "demonstration" if group_of(model) == "demonstration" else "training"
        untrained = ("untrained",) if model.cached == "none" else ()
        more = ("extrapolated",) if model.extrapolated else ()
        return tuple(dict.fromkeys((term, *untrained, *super().explained(), *more, "weights")))

    def row_line(self, row: ListedModel | str, width: int) -> str:
        """Returns the text of a row; a long name takes the place of columns beside it."""
        if isinstance(row, str):
            return fitted(row, width)
        return line(self.columns, self._cells(row), width)

    def row_style(self, row: ListedModel | str) -> Style:
        """Returns the style of a row; headings have one of their own."""
        heading = isinstance(row, str)
        return self.get_component_rich_style("rows--heading") if heading else self.rich_style

    def _move_cursor(self, row: int) -> None:
        """Goes to the model nearest to a row; beyond a heading, as the cursor moves."""
        back = row < self.cursor
        models = (i for i, row in enumerate(self.rows) if isinstance(row, ListedModel))
        row = min(models, key=lambda i: (abs(i - row), (i > row) == back), default=row)
        super()._move_cursor(row)
        if row == 1 and self.rows and isinstance(self.rows[0], str):
            self.scroll_to(y=0, animate=False)  # the heading above it
