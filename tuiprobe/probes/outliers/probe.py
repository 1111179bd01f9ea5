"""The outlier probe: what it reads, and the names of its figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from tuiprobe.catalog.untrained import Untrained, untrained
from tuiprobe.probes import BUILT_IN
from tuiprobe.probes.inputs import TapArrays
from tuiprobe.probes.intervals import exact
from tuiprobe.probes.outliers.compute import probe_outliers
from tuiprobe.probes.outliers.describe import describe
from tuiprobe.probes.outliers.result import Heights, OutlierResult, Outliers, UntrainedReference
from tuiprobe.probes.outliers.rules import llm_int8
from tuiprobe.probes.protocol import Named, Options, Probe, Results, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import Estimate, Figure, Model, NotRun
from tuiprobe.results.figures import Fig, named_figures
from tuiprobe.results.headlines import HEIGHT
from tuiprobe.results.section import MeanOf, NamedFact, NamedFigure, NamedSet, Section

OUTLIER_CHANNELS = Fig("outlier_channels", "outlier channels", "outlier-channel", role="signature")
"""How many there are."""


@dataclass(frozen=True)
class Inputs:
    """What the probe computes from.

    Attributes:
        taps: Every tap of every set, by set in order.
        paths: Path of each sample by id, by set.
        blocks: Taps of the first set that are blocks of a residual stream.
        all_blocks: Whether these are all of its blocks.
        model: The encoder.
        seed: Seed of the bootstrap.
        untrained: Shipped figures of the same architecture with random weights, if there are any.
    """

    taps: tuple[TapArrays, ...]
    paths: Mapping[str, Mapping[int, str]]
    blocks: tuple[TapArrays, ...]
    all_blocks: bool
    model: Model
    seed: int
    untrained: Untrained | None


class OutlierFeatures(Probe[Inputs, OutlierResult]):
    """Which channels dominate the representation, and in how many images."""

    id = "outliers"
    title = BUILT_IN["outliers"].title
    block = "inside"
    Result = OutlierResult

    def inputs(self, run: RunReader, options: Options, results: Results) -> Inputs:
        """Reads the statistics of every set at every tap."""
        taps = tuple(run.tap(data, tap) for data in run.images for tap in run.plan.taps)
        first = run.images[0].name
        return Inputs(
            taps=taps,
            paths={data.name: run.paths(data.name) for data in run.images},
            blocks=tuple(tap for tap in taps if tap.set == first and tap.tap in run.plan.blocks),
            all_blocks=run.plan.all_blocks,
            model=run.plan.model,
            seed=run.spec.seed,
            untrained=untrained(run.plan.model.architecture, run.plan.model.representation),
        )

    def compute(self, inputs: Inputs, options: Options) -> OutlierResult:
        """Computes all figures and outcomes, and the criteria over blocks."""
        taps = tuple(
            probe_outliers(tap, inputs.paths[tap.set], inputs.seed, inputs.model)
            for tap in inputs.taps
        )
        reference = None
        if inputs.untrained is not None:
            shipped, method = inputs.untrained, "shipped with tuiprobe"
            (value, low, high), n = shipped.kurtosis, shipped.n
            reference = UntrainedReference(
                architecture=shipped.architecture,
                data=shipped.data,
                n=n,
                width=shipped.width,
                kurtosis=Estimate(value=value, low=low, high=high, n=n, method=method),
                persistence=exact(shipped.persistence, n, method),
            )
        return OutlierResult(
            taps=taps,
            cross_layer=(llm_int8(inputs.blocks, all_blocks=inputs.all_blocks),),
            untrained=reference,
        )

    def describe(self, result: OutlierResult, subject: Subject) -> Section:
        """Describes the outcome, the channels, and the layers."""
        return describe(result, subject.model)

    def named(self, result: OutlierResult) -> Named:
        """Names figures of every tap, the outcome, and the outlier channels of each set."""
        finals = result.finals()
        figures: list[NamedFigure] = []
        for tap in result.taps:
            figures += _figures(tap, leading=tap is finals[0])
        outcome = NamedFact(id="outcome", name="outlier features", value=finals[0].outcome.value)
        sets = tuple(
            NamedSet(
                id="channels",
                name="outlier channels",
                data=final.data,
                members=tuple(str(row.channel) for row in final.outlier_channels),
                basis={"width": str(final.channels)},
            )
            for final in finals
            if isinstance(final.heights, Heights)
        )
        return Named(figures=tuple(figures), facts=(outcome,), sets=sets)


def _figures(tap: Outliers, *, leading: bool) -> Iterator[NamedFigure]:
    """Yields the figures of one tap; those of the leading one may be signatures of robustness."""
    role = {} if leading else {"role": None}

    def more(of: BaseModel, field: str) -> Mapping[str, Any]:
        if of is tap and field == "kurtosis" and tap.final:
            return {**role, "mean_of": MeanOf(values="kurtosis", sets=(tap.data,))}
        return role

    count: Figure = tap.heights if isinstance(tap.heights, NotRun) else exact(
        len(tap.outlier_channels), tap.heights.n, "count of channels", "count"
    )  # fmt: skip
    for fig, figure in ((HEIGHT, tap.highest), (OUTLIER_CHANNELS, count)):
        yield fig.named(figure, tap.data, tap.tap, inner=tap.inner, **role)
    yield from named_figures(tap, more)
