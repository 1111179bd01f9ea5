"""The outlier probe: what it reads, and the names of its figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tuiprobe.probes.inputs import TapArrays
from tuiprobe.probes.outliers.compute import probe_outliers
from tuiprobe.probes.outliers.describe import describe
from tuiprobe.probes.outliers.neighbours import llm_int8
from tuiprobe.probes.outliers.result import OutlierResult, Outliers, PersistentChannels
from tuiprobe.probes.outliers.verdict import judge
from tuiprobe.probes.protocol import Found, Named, Options, Probe, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import DataSet, Estimate, Figure, Model, NotRun
from tuiprobe.results.figures import figures_in
from tuiprobe.results.section import MeanOf, NamedFact, NamedFigure, NamedSet, Section

NAMES = {
    "kurtosis": "kurtosis",
    "bound": "largest kurtosis possible",
    "relative_kurtosis": "kurtosis / (C - 1)",
    "centred_kurtosis": "kurtosis after centring",
    "persistence.value": "persistence",
    "persistence.null_high": "persistence if channels were shuffled, at most",
    "persistence.self_share": "share of a channel with itself",
    "persistence.cross_share": "share of a channel between two images",
    "persistence.effective_channels": "effective channels",
    "rms_kurtosis": "channel RMS kurtosis",
    "mean_cosine": "mean cosine between images",
}
HEADLINES = ("kurtosis", "centred_kurtosis", "persistence.value")
SIGNATURES = (
    "kurtosis",
    "relative_kurtosis",
    "centred_kurtosis",
    "persistence.value",
    "persistence.effective_channels",
    "rms_kurtosis",
    "mean_cosine",
)


@dataclass(frozen=True)
class Inputs:
    """What the probe computes from.

    Attributes:
        taps: Every tap of every set, by set in order.
        paths: Path of each sample by id, by set.
        blocks: Taps of the first set that are blocks of a residual stream.
        all_blocks: Whether these are all of its blocks.
        model: The encoder.
        data: The sets.
        seed: Seed of the bootstrap.
    """

    taps: tuple[TapArrays, ...]
    paths: Mapping[str, Mapping[int, str]]
    blocks: tuple[TapArrays, ...]
    all_blocks: bool
    model: Model
    data: tuple[DataSet, ...]
    seed: int


class OutlierFeatures(Probe[Inputs, OutlierResult]):
    """Which channels dominate the representation, and in how many images."""

    id = "outliers"
    title = "Outlier features"
    block = "inside"
    Result = OutlierResult

    def inputs(self, run: RunReader, options: Options, found: Found) -> Inputs:
        """Reads the statistics of every set at every tap."""
        taps = tuple(run.tap(data, tap) for data in run.images for tap in run.plan.taps)
        first = run.images[0].name
        return Inputs(
            taps=taps,
            paths={data.name: run.paths(data.name) for data in run.images},
            blocks=tuple(one for one in taps if one.set == first and one.tap in run.plan.blocks),
            all_blocks=run.plan.all_blocks,
            model=run.plan.model,
            data=run.images,
            seed=run.spec.seed,
        )

    def compute(self, inputs: Inputs, options: Options) -> OutlierResult:
        """Computes all figures, the criteria over blocks, and the verdict."""
        taps = tuple(
            probe_outliers(tap, paths=inputs.paths[tap.set], seed=inputs.seed)
            for tap in inputs.taps
        )
        first = inputs.data[0]
        final = next(one for one in taps if one.final and one.data == first.name)
        return OutlierResult(
            verdict=judge(final, inputs.model, first),
            taps=taps,
            cross_layer=(llm_int8(inputs.blocks, all_blocks=inputs.all_blocks),),
        )

    def describe(self, result: OutlierResult, subject: Subject) -> Section:
        """Describes the outcome, the channels, and the layers."""
        return describe(result)

    def named(self, result: OutlierResult) -> Named:
        """Names figures of every tap, the outcome, and the persistent channels of each set."""
        finals = result.finals()
        return Named(
            figures=tuple(_figures(result.taps, finals[0].data)),
            facts=(NamedFact(id="verdict", name="outlier features", value=result.verdict.outcome),),
            sets=tuple(
                NamedSet(
                    id="channels",
                    name="persistent channels",
                    data=one.data,
                    members=tuple(str(channel.channel) for channel in one.persistent.channels),
                    basis={"width": str(one.channels)},
                )
                for one in finals
                if isinstance(one.persistent, PersistentChannels)
            ),
        )


def _figures(taps: tuple[Outliers, ...], first: str) -> Iterator[NamedFigure]:
    for one in taps:
        leading = one.final and one.data == first
        for id, figure in figures_in(one):
            if id != "persistent":  # only holds the reason here, which the last figure has too
                yield _named(one, id, NAMES[id], figure, leading)
        yield _named(one, "persistent_channels", "persistent channels", _count(one), leading)


def _named(one: Outliers, id: str, name: str, figure: Figure, leading: bool) -> NamedFigure:
    signature = leading and id in (*SIGNATURES, "persistent_channels")
    return NamedFigure(
        id=id,
        name=name,
        data=one.data,
        place=one.tap,
        figure=figure,
        headline=30 + HEADLINES.index(id) if one.final and id in HEADLINES else None,
        role="signature" if signature else None,
        inner=not one.final,
        mean_of=_mean_of(one) if id == "kurtosis" else None,
    )


def _mean_of(one: Outliers) -> MeanOf | None:
    return MeanOf(values="kurtosis", sets=(one.data,)) if one.final else None


def _count(one: Outliers) -> Figure:
    if isinstance(one.persistent, NotRun):
        return one.persistent
    return Estimate(
        value=len(one.persistent.channels), low=None, high=None, n=one.persistent.rows,
        method="count of channels",
    )  # fmt: skip
