"""A probe: how long the representations are, and which images have the longest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from tuiprobe.options import Option
from tuiprobe.probes.content import prose, table
from tuiprobe.probes.intervals import bootstrap_mean
from tuiprobe.probes.protocol import Named, Probe, Results, Subject
from tuiprobe.probes.protocol import Options as NoOptions
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import Estimate, NotRun, ProbeResult, TopImage
from tuiprobe.results.figures import Fig, named_figures
from tuiprobe.results.section import (
    Chart,
    Code,
    NamedFact,
    NamedSet,
    Section,
    Series,
    Strip,
    StripEnd,
)


@dataclass(frozen=True)
class LengthOptions(NoOptions):
    longest: Annotated[int, Option("Images that are named.", ge=1)] = 3


class LengthResult(ProbeResult):
    probe: ClassVar[str] = "lengths"

    place: ClassVar[str] = "embedding"

    data: str
    mean: Annotated[Estimate, Fig("mean_length", "mean length", headline=90, role="signature")]
    longest: tuple[TopImage, ...]


Inputs = tuple[str, np.ndarray, np.ndarray, Mapping[int, str]]


class Lengths(Probe[Inputs, LengthResult]):
    id = "lengths"
    title = "Lengths"
    block = "inside"
    Options = LengthOptions
    Result = LengthResult

    def inputs(self, run: RunReader, options: NoOptions, results: Results) -> Inputs:
        name = run.id_and_shifts[0].name
        arrays = run.features(name)
        return name, arrays["features"], arrays["ids"], run.paths(name)

    def compute(self, inputs: Inputs, options: NoOptions) -> LengthResult | NotRun:
        assert isinstance(options, LengthOptions)
        name, features, ids, paths = inputs
        length = np.linalg.norm(features.astype(np.float64), axis=1)
        mean = bootstrap_mean(length, 0)
        if isinstance(mean, NotRun):
            return mean
        order = np.argsort(-length)[: options.longest]
        longest = tuple(
            TopImage(sample_id=int(ids[i]), path=paths[int(ids[i])], value=length[i], position=0)
            for i in order
        )
        return LengthResult(data=name, mean=mean, longest=longest)

    def describe(self, result: LengthResult, subject: Subject) -> Section:
        values = tuple(item.value for item in result.longest)
        places = tuple(float(i) for i in range(len(values)))
        series = Series(name="length", x=places, y=values, mark="bars")
        return Section(
            title=self.title,
            headline=("Representations are ", result.mean, " long on ", Code(code=result.data)),
            card=(("length ", result.mean),),
            content=(
                prose("Longer than most <b>say</b> little."),
                table(
                    "longest", [("image", "image"), ("length", "length")],
                    [[Code(code=image.path or ""), image.value] for image in result.longest],
                ),
                Chart(id="lengths", title="Lengths", x_label="", y_label="", series=(series,)),
                Strip(
                    id="longest", title=("The longest",), data=result.data,
                    ends=(StripEnd(label="largest", images=result.longest),),
                ),
            ),
        )  # fmt: skip

    def named(self, result: LengthResult) -> Named:
        return Named(
            figures=tuple(named_figures(result)),
            facts=(NamedFact(id="reach", name="reach", value="short"),),
            sets=(
                NamedSet(
                    id="longest", name="longest images", data=result.data,
                    members=tuple(str(item.sample_id) for item in result.longest),
                ),
            ),
        )  # fmt: skip
