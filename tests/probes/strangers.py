"""Probes as other packages might bring them: a sound one, and some that fail at each step."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from tuiprobe.options import Option
from tuiprobe.probes.content import prose
from tuiprobe.probes.protocol import Named, Options, Probe, Results, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import Estimate, NotRun, ProbeResult
from tuiprobe.results.section import NamedFigure, Section


@dataclass(frozen=True)
class Choice(Options):
    """One option."""

    power: Annotated[int, Option("Power that lengths are raised to.", ge=1)] = 1


class Length(ProbeResult):
    """The mean length of a representation.

    Attributes:
        length: itself.
        width: channels, by the outlier probe.
    """

    probe: ClassVar[str] = "length"

    length: float
    width: int


class MeanLength(Probe[Any, Length]):
    """A sound probe."""

    id = "length"
    title = "Mean length"
    Options = Choice
    Result = Length
    after: ClassVar[tuple[str, ...]] = ("outliers",)

    def inputs(self, run: RunReader, options: Choice, results: Results) -> Any:
        """Reads representations; takes the width from the outlier probe."""
        outliers = results["outliers"]
        return run.features(run.id_and_shifts[0].name)["features"], outliers.taps[0].channels

    def compute(self, inputs: Any, options: Choice) -> Length | NotRun:
        """Takes the mean."""
        features, width = inputs
        lengths = np.linalg.norm(features, axis=1) ** options.power
        return Length(length=float(lengths.mean()), width=width)

    def describe(self, result: Length, subject: Subject) -> Section:
        """Tells it in a sentence."""
        return Section(
            title=self.title,
            headline=(f"Representations of {subject.model.name} have a length.",),
            warnings=("lengths <b>say</b> little",),
            content=(prose("The mean length is ", result.length, "."),),
        )

    def named(self, result: Length) -> Named:
        """Names it."""
        figure = Estimate(value=result.length, low=None, high=None, n=1, method="mean")
        return Named(
            figures=(NamedFigure(id="length", name="length", data="val", place="h", figure=figure),)
        )


class Early(MeanLength):
    """Asks for nothing."""

    id = "early"
    after: ClassVar[tuple[str, ...]] = ()

    def inputs(self, run: RunReader, options: Choice, results: Results) -> Any:
        """Takes its own width."""
        features = run.features(run.id_and_shifts[0].name)["features"]
        return features, features.shape[1]


class FailsInInputs(Early):
    """Raises while it reads."""

    def inputs(self, run: RunReader, options: Choice, results: Results) -> Any:
        """Raises."""
        raise KeyError("inputs")


class FailsInCompute(Early):
    """Raises while it computes."""

    def compute(self, inputs: Any, options: Choice) -> Length:
        """Raises."""
        raise ZeroDivisionError("compute")


class FailsInDescribe(Early):
    """Raises while it tells its result."""

    def describe(self, result: Length, subject: Subject) -> Section:
        """Raises."""
        raise IndexError("describe")


class FailsInNamed(Early):
    """Raises while it names its figures."""

    def named(self, result: Length) -> Named:
        """Raises."""
        raise AttributeError("named")


class GivesSomethingElse(Early):
    """Its result is none."""

    def compute(self, inputs: Any, options: Choice) -> Any:
        """Returns a number."""
        return 3.0


class Refuses(Early):
    """Cannot even be made."""

    def __init__(self) -> None:
        raise RuntimeError("not on a Monday")


class First(Early):
    """Half a circle."""

    id = "first"
    after: ClassVar[tuple[str, ...]] = ("second",)


class Second(Early):
    """The other half."""

    id = "second"
    after: ClassVar[tuple[str, ...]] = ("first",)


class Lost(Early):
    """Asks for a probe that is not there."""

    id = "lost"
    after: ClassVar[tuple[str, ...]] = ("outliers", "nowhere")
