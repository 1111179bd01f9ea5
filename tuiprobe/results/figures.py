"""A figure is declared once, at the field of the result that holds it.

Names for comparisons and gates, ranks among the headline figures, headings of columns and terms of
the glossary follow from the declaration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple

from pydantic import BaseModel

from tuiprobe.results.base import Estimate, Figure, NotRun
from tuiprobe.results.section import Column, NamedFigure, Role


@dataclass(frozen=True)
class Fig:
    """The declaration of a figure: `accuracy: Annotated[Share, Fig("top1", "top-1")]`.

    At a field that holds other results, alone or in a list, it says that these hold figures; their
    ids follow its id. `{self.FIELD}` in an id or name stands for a field of the result that
    holds the figure, and `{outer}` for the name of the declaration around it.

    Attributes:
        id: For programs: words, joined by dots.
        name: For people.
        term: Id in the glossary.
        heading: Of a column; the name if empty.
        role: See `NamedFigure`.
        headline: Rank among the figures that a reader sees first.
        where: Where points of it are gained or lost, for a sentence; empty where it is no accuracy.
        of_a_set: Whether a report has it for several sets, so that its name takes the set.
        within_kind: Whether it compares only within one kind of representation.
    """

    id: str = ""
    name: str = ""
    term: str = ""
    heading: str = ""
    role: Role | None = None
    headline: int | None = None
    where: str = ""
    of_a_set: bool = False
    within_kind: bool = False

    @property
    def is_accuracy(self) -> bool:
        """Whether it is an accuracy, or a difference of accuracies."""
        return bool(self.where)

    def named(self, figure: Figure, data: str, place: str, **more: Any) -> NamedFigure:
        """Returns a figure with its names.

        Args:
            figure: The figure.
            data: Set of images that it was computed on.
            place: Layer, or what else it is of.
            more: Further fields of the `NamedFigure`.
        """
        # A layer before the final representation has no headline figure.
        headline = None if more.get("inner") else self.headline
        fields = {"id": self.id, "name": self.name, "role": self.role, "headline": headline}
        return NamedFigure(**{**fields, **more}, data=data, place=place, figure=figure)


FIGURES: Final = Fig()
"""Declares that the results in a field hold figures."""

More = Callable[[BaseModel, str], Mapping[str, Any]]
"""Returns further fields of the `NamedFigure` for a result and the name of its field."""


@cache
def declared(kind: type[BaseModel]) -> dict[str, Fig]:
    """Returns the declarations of a class of results by field, in their order."""
    return {
        name: fig
        for name, field in kind.model_fields.items()
        for fig in field.metadata
        if isinstance(fig, Fig)
    }


def named_figures(
    result: BaseModel,
    more: More = lambda result, field: {},
    outer: Fig = FIGURES,
    **about: Any,
) -> Iterator[NamedFigure]:
    """Yields the declared figures of a result, and of the results in its declared fields.

    `data`, `place` and `inner` of a `NamedFigure` are fields or properties of the result, or else
    those of the result around it; without any place, it is the probe's id.

    Args:
        result: A result, or a part of one.
        more: What depends on values.
        outer: The declaration of the field that holds the result.
        about: Data, place and inner of the result around it.
    """
    about |= {
        name: value
        for name in ("data", "place", "inner")
        if (value := getattr(result, name, None)) is not None
    }
    about.setdefault("place", getattr(result, "probe", ""))
    for field, fig in declared(type(result)).items():
        value = getattr(result, field)
        words = {"self": result, "outer": outer.name}
        id = ".".join(filter(None, (outer.id, fig.id.format(**words))))
        name = fig.name.format(**words)
        if isinstance(value, Estimate | NotRun):
            if name:
                fields = {"id": id, "name": name, **about, **more(result, field)}
                yield fig.named(value, **fields)
        elif value is not None:
            for inner in value if isinstance(value, tuple) else (value,):
                yield from named_figures(inner, more, Fig(id, name), **about)


def column(id: str, fig: Fig) -> Column:
    """Returns the column of a table for a declared figure."""
    return Column(id=id, title=(fig.heading or fig.name,), term=fig.term)


def columns(kind: type[BaseModel], *fields: str) -> list[Column]:
    """Returns the columns of a table for declared figures of a class of results."""
    return [column(field, declared(kind)[field]) for field in fields]


LABELLED: Final = Fig(
    "labelled", "accuracy by labels", "accuracy-by-labels", headline=9,
    where="on {data} by labels", of_a_set=True,
)  # fmt: skip
TOP1: Final = Fig("top1", "top-1", "top-1", headline=10, where="on {data}", of_a_set=True)
MEAN_SHIFT: Final = Fig(
    "mean_shift", "mean of shifts", "top-1", headline=11, where="on the mean of the shifts"
)
EFFECTIVE: Final = Fig(
    "effective_robustness", "effective robustness", "effective-robustness", headline=12,
    where="of effective robustness",
)  # fmt: skip
TARGET: Final = Fig(
    "target", "estimated accuracy", "estimate", role="estimate", headline=13,
    where="of estimated accuracy on {data}", of_a_set=True,
)  # fmt: skip
HEIGHT: Final = Fig(
    "height", "highest channel", "height", role="signature", headline=20, within_kind=True
)
OFFSET: Final = Fig(
    "offset.share", "offset share", "offset-share", role="signature", headline=21, within_kind=True
)
KURTOSIS: Final = Fig(
    "kurtosis", "kurtosis", "kurtosis", role="signature", headline=22, within_kind=True
)

HEADLINES: Final = (
    LABELLED, TOP1, MEAN_SHIFT, EFFECTIVE, TARGET, HEIGHT, OFFSET, KURTOSIS,
)  # fmt: skip
"""In the order of their ranks: accuracy first, kurtosis last. Of several sets, the figure of the
first one counts: top-1 of the in-distribution set, accuracies of the first target set."""

BY_ID: Final = {fig.id: fig for fig in HEADLINES}
BY_RANK: Final = {fig.headline: fig for fig in HEADLINES}

PERSISTENCE: Final = Fig("persistence", "persistence", "persistence", "P", role="signature")

TARGET_ERROR: Final = Fig(
    "target_error", "mean absolute error of the estimate", "estimate", role="estimate"
)
"""The figure that goes with every estimate: its mean absolute error on labelled shifts."""


LABELS_CURVE: Final = "labels"
"""Id of the chart of a fitted head's accuracy by the number of labels, which comparisons join."""


class ListedFigure(NamedTuple):
    """A figure of the list of runs.

    Attributes:
        field: Its name in `summary.json`, in `runs --json` and for `--sort`.
        figure: Its declaration.
        heading: Of its column.
    """

    field: str
    figure: Fig
    heading: str

    @property
    def shown(self) -> bool:
        """Whether the table shows it; others are in `--json`, and sort it."""
        return self.figure.is_accuracy


LISTED: Final = (
    ListedFigure("target", TARGET, "on your pictures"),
    ListedFigure("accuracy", TOP1, "in distribution"),
    ListedFigure("shifts", MEAN_SHIFT, "mean of shifts"),
    ListedFigure("kurtosis", KURTOSIS, "kurtosis"),
    ListedFigure("persistence", PERSISTENCE, "P"),
)
"""The figures that a list of runs has of each."""
