"""The protocol of a probe: the steps from a run directory to a result.

`inputs` reads the run directory, `compute` turns arrays into a result, `describe` presents it to
people, `named` names its numbers for programs, and `Options` says what a user may choose.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeAlias, TypeVar

from tuiprobe.results import Model, NotRun, ProbeResult, SetSummary
from tuiprobe.results.figures import named_figures
from tuiprobe.results.section import Block, NamedFact, NamedFigure, NamedSet, Section

if TYPE_CHECKING:
    from tuiprobe.measure.arrays.head_arrays import SetFeatures
    from tuiprobe.measure.run.arrays import HeadArrays
    from tuiprobe.measure.run.records import SetRecord
    from tuiprobe.probes.reader import RunReader
    from tuiprobe.results.accuracy import Accuracy
    from tuiprobe.results.labelled_set import LabelledSet
    from tuiprobe.results.subject import Prediction

Results: TypeAlias = "Mapping[str, ProbeResult | NotRun]"
"""The results of the probes named in `after`, by id."""


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
        concept_set: Name of the set with concepts.
    """

    model: Model
    data: tuple[SetSummary, ...]
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
    """The block of the card that its lines belong to."""
    Options: ClassVar[type[Options]] = Options
    Result: ClassVar[type[ProbeResult]]
    after: ClassVar[tuple[str, ...]] = ()

    def inputs(self, run: RunReader, options: Any, results: Results) -> _Inputs | NotRun:
        """Reads the inputs of the probe from a run directory, or returns why it cannot run.

        Args:
            run: The run directory, read with checks.
            options: Options of the type `Options`.
            results: Of the probes named in `after`.
        """
        raise NotImplementedError

    def check_baseline(self, sets: Sequence[SetRecord], text: str, path: str) -> str:
        """Rejects a user's CSV of baseline models that does not fit the sets of a run.

        Args:
            sets: The sets, the in-distribution one first.
            text: Content of the file.
            path: Names the file in errors.

        Returns:
            What of it is not used, in words.

        Raises:
            UsageError: If it does not fit.
        """
        return ""

    def live(
        self,
        head: HeadArrays,
        first: SetFeatures,
        shifts: Sequence[SetFeatures],
        targets: Sequence[SetFeatures],
    ) -> Mapping[str, Accuracy | NotRun]:
        """Estimates accuracy on sets without labels while a run measures.

        Args:
            head: The head.
            first: Images in distribution so far.
            shifts: Images of shifts so far.
            targets: Images without labels so far.

        Returns:
            The accuracy by name of the target, or why there is none.
        """
        return {}

    def with_promises(self, result: _Result, images: Iterable[Prediction]) -> Iterable[Prediction]:
        """Adds to images the smallest share of errors with which they may run unattended."""
        return images

    def cut_to_labels(
        self, result: _Result, labelled: Mapping[str, LabelledSet]
    ) -> tuple[_Result, Section]:
        """Cuts estimates to what labels prove that were given after the report was written.

        Args:
            result: As it was written.
            labelled: What labels say, by name of the set.

        Returns:
            The result, and its description beside the labels.
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
        """Names the numbers and findings of a result for comparisons, gates and tables.

        The numbers are those that the result declares; a probe says here what depends on values.
        """
        return Named(figures=tuple(named_figures(result)))
