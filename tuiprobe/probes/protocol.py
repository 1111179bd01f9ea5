"""The protocol of a probe: the steps from a run directory to a result.

`inputs` reads the run directory, `compute` turns arrays into a result, `describe` presents it to
people, `named` names its numbers for programs, and `Options` says what a user may choose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeAlias, TypeVar

from pydantic import BaseModel

from tuiprobe.results import DataSet, Model, NotRun, ProbeResult
from tuiprobe.results.base import figures_in
from tuiprobe.results.section import Block, NamedFact, NamedFigure, NamedSet, Section

if TYPE_CHECKING:
    from tuiprobe.probes.reader import RunReader

Results: TypeAlias = "Mapping[str, ProbeResult | NotRun]"
"""The results of the probes named in `after`, by id."""

Need: TypeAlias = Literal["head", "no head", "labels", "target", "concepts", "channel"]
"""What a built-in probe needs: a head; a model without one; labels of the first set; a target set;
a concept set; a channel that stands out, which is known only after measuring."""


@dataclass(frozen=True)
class Options:
    """The options of a probe.

    A subclass is a frozen dataclass. Each field has a default and is documented by its
    `tuiprobe.options.Option`.
    """


@dataclass(frozen=True)
class Subject:
    """What a description is about.

    Attributes:
        model: The encoder.
        data: Sets of images, the in-distribution one first, target sets too.
        concept_set: Name of the set with concepts; None without.
    """

    model: Model
    data: tuple[DataSet, ...]
    concept_set: str | None = None


@dataclass(frozen=True)
class Named:
    """Everything in a result that has a name.

    Attributes:
        figures: Numbers.
        facts: Findings of one word each.
        sets: Sets of things found, for comparing two runs.
    """

    figures: tuple[NamedFigure, ...] = ()
    facts: tuple[NamedFact, ...] = ()
    sets: tuple[NamedSet, ...] = ()


def named_figures(
    model: BaseModel,
    names: Mapping[str, str],
    data: str,
    place: str,
    more: Mapping[str, Mapping[str, Any]] | None = None,
    **common: Any,
) -> Iterator[NamedFigure]:
    """Yields the figures of a model that have a name, in the order of its fields.

    The id of a figure is its dotted path in the model, unless `more` gives another one.

    Args:
        model: A result, or a part of one.
        names: What people call each figure, by its path.
        data: Set of images that it was computed on.
        place: Layer, or what else it is of.
        more: Further fields of the `NamedFigure` of a path.
        common: Further fields of all of them.
    """
    for path, figure in figures_in(model):
        if path in names:
            fields: dict[str, Any] = {"id": path, **common, **(more or {}).get(path, {})}
            yield NamedFigure(name=names[path], data=data, place=place, figure=figure, **fields)


_Inputs = TypeVar("_Inputs")
_Result = TypeVar("_Result", bound=ProbeResult)


class Probe(Generic[_Inputs, _Result]):
    """One question about a run.

    A probe is computed after those named in `after`; `inputs` gets their results.
    """

    id: ClassVar[str]
    """The key of its part in a report: lower-case letters, digits and underscores."""
    title: ClassVar[str]
    """Heads its section and its tab."""
    block: ClassVar[Block | None] = None
    """The block of the card that its lines belong to; None for none."""
    Options: ClassVar[type[Options]] = Options
    Result: ClassVar[type[ProbeResult]]
    after: ClassVar[tuple[str, ...]] = ()

    def inputs(self, run: RunReader, options: Any, results: Results) -> _Inputs | NotRun:
        """Reads what the probe needs from a run directory, or says why it cannot run.

        Args:
            run: The run directory, read with checks.
            options: Options of the type `Options`.
            results: Of the probes named in `after`.
        """
        raise NotImplementedError

    def compute(self, inputs: _Inputs, options: Any) -> _Result | NotRun:
        """Turns arrays into a result: no file, no clock, seeded.

        Raises:
            DataError: If the inputs cannot be used; the reason replaces the result.
        """
        raise NotImplementedError

    def describe(self, result: _Result, subject: Subject) -> Section:
        """Describes a result to people."""
        raise NotImplementedError

    def named(self, result: _Result) -> Named:
        """Names the numbers and findings of a result for comparisons, gates and tables."""
        return Named()
