"""A figure is named by the declaration at its field, wherever its result stands."""

import re
import typing
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel

from tuiprobe.catalog.glossary import terms
from tuiprobe.probes import registry
from tuiprobe.results import Estimate, Figure, NotRun, ProbeResult
from tuiprobe.results.base import Frozen
from tuiprobe.results.figures import (
    FIGURES,
    HEADLINES,
    LISTED,
    Fig,
    columns,
    declared,
    named_figures,
)


class Ends(Frozen):
    """Both ends of a layer."""

    low: Annotated[Figure, Fig("low", "{outer}, low end")]


class Layer(Frozen):
    """One layer."""

    place: str
    inner: bool
    ends: Annotated[Ends, Fig("reach.{self.place}", "reach")]
    length: Annotated[Figure, Fig("length", "length", heading="long", term="n", headline=90)]
    aside: Figure


class Lengths(ProbeResult):
    """Layers of a set."""

    probe: ClassVar[str] = "lengths"
    data: str
    layers: Annotated[tuple[Layer, ...], FIGURES]
    total: Annotated[Figure, Fig("total", "total length", role="signature")]
    nothing: Annotated[tuple[Layer, ...] | NotRun, FIGURES] = NotRun(reason="not asked for")


ONE = Estimate(value=1.0, low=None, high=None, n=3, method="by hand")


def test_names_place_and_rank_follow_from_the_field() -> None:
    layers = tuple(
        Layer(place=name, inner=inner, ends=Ends(low=ONE), length=ONE, aside=ONE)
        for name, inner in (("stem", True), ("final", False))
    )
    result = Lengths(data="val", layers=layers, total=NotRun(reason="too short"))
    named = list(named_figures(result))
    assert [(one.id, one.name, one.place, one.headline) for one in named] == [
        ("reach.stem.low", "reach, low end", "stem", None),
        ("length", "length", "stem", None),  # of an inner layer
        ("reach.final.low", "reach, low end", "final", None),
        ("length", "length", "final", 90),
        ("total", "total length", "lengths", None),
    ]
    assert {one.data for one in named} == {"val"}
    assert [one.inner for one in named] == [True, True, False, False, False]
    assert (named[-1].role, named[-1].figure) == ("signature", NotRun(reason="too short"))
    (column,) = columns(Layer, "length")
    assert (column.id, column.title, column.term) == ("length", ("long",), "n")


def test_what_depends_on_values_is_said_beside_the_field() -> None:
    layer = Layer(place="final", inner=False, ends=Ends(low=ONE), length=ONE, aside=ONE)

    def more(of: BaseModel, field: str) -> dict[str, Any]:
        return {"role": "outcome"} if of is layer and field == "length" else {}

    roles = {one.id: one.role for one in named_figures(layer, more, data="val")}
    assert roles == {"reach.final.low": None, "length": "outcome"}


def models_in(kind: Any) -> Iterator[type[BaseModel]]:
    """Yields the classes of results in a type."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for inner in typing.get_args(kind):
        yield from models_in(inner)


def test_every_declaration_of_a_probe_has_words_and_a_known_term() -> None:
    known = {term.id for term in terms()}
    waiting: list[type[BaseModel]] = [probe.Result for probe in registry().probes]
    figs = [*HEADLINES, *(listed.figure for listed in LISTED)]
    while waiting:
        kind = waiting.pop()
        for field, fig in declared(kind).items():
            figs.append(fig)
            waiting += models_in(kind.model_fields[field].annotation)
    assert len(figs) > 60
    for fig in figs:
        assert fig.term in ("", *known), fig
        assert re.fullmatch(r"[a-z0-9_.{}]*", fig.id), fig
        assert "value" not in fig.id.split("."), fig
