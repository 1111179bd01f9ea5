"""The outlier probe: what it reads, and the names of its figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tuiprobe.catalog.untrained import Untrained, untrained
from tuiprobe.probes.inputs import TapArrays
from tuiprobe.probes.intervals import exact
from tuiprobe.probes.outliers import TITLE
from tuiprobe.probes.outliers.channel_result import Heights
from tuiprobe.probes.outliers.compute import probe_outliers
from tuiprobe.probes.outliers.describe import describe
from tuiprobe.probes.outliers.neighbours import llm_int8
from tuiprobe.probes.outliers.result import OutlierResult, Outliers, UntrainedReference
from tuiprobe.probes.outliers.rule import circumstances
from tuiprobe.probes.protocol import Found, Named, Options, Probe, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import DataSet, Estimate, Figure, Model, NotRun
from tuiprobe.results.base import figures_in
from tuiprobe.results.headlines import HEIGHT, KURTOSIS, OFFSET
from tuiprobe.results.section import MeanOf, NamedFact, NamedFigure, NamedSet, Section

NAMES = {
    "kurtosis": "kurtosis",
    "bound": "largest kurtosis possible",
    "persistence.value": "persistence",
    "persistence.null_high": "persistence if channels were shuffled, at most",
    "persistence.self_share": "share of a channel with itself",
    "persistence.cross_share": "share of a channel between two images",
    "persistence.effective_channels": "effective channels",
    "offset.share": "offset share",
    "offset.kurtosis": "kurtosis of the offset",
    "offset.null_999": "kurtosis of a random direction, .999 quantile",
    "offset.predicted": "kurtosis predicted from the offset",
    "offset.predicted_uneven": "kurtosis predicted, each channel's own variance",
    "offset.explained": "part of the kurtosis that the offset explains",
    "residual.kurtosis": "kurtosis after centring",
    "residual.persistence": "persistence after centring",
    "rms_kurtosis": "channel RMS kurtosis",
    "mean_cosine": "mean cosine between images",
    "centred_cosine": "mean cosine between centred images",
    "nearest_cosine": "cosine with the nearest other image, centred",
}
HEADLINES = {"offset.share": OFFSET, "kurtosis": KURTOSIS}
SIGNATURES = (
    "kurtosis",
    "offset.share",
    "offset.kurtosis",
    "offset.explained",
    "residual.kurtosis",
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
        untrained: Shipped figures of the same architecture with random weights, if there are any.
    """

    taps: tuple[TapArrays, ...]
    paths: Mapping[str, Mapping[int, str]]
    blocks: tuple[TapArrays, ...]
    all_blocks: bool
    model: Model
    data: tuple[DataSet, ...]
    seed: int
    untrained: Untrained | None


class OutlierFeatures(Probe[Inputs, OutlierResult]):
    """Which channels dominate the representation, and in how many images."""

    id = "outliers"
    title = TITLE
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
            untrained=untrained(run.plan.model.architecture, run.plan.model.representation),
        )

    def compute(self, inputs: Inputs, options: Options) -> OutlierResult:
        """Computes all figures and outcomes, and the criteria over blocks."""
        sets = {one.name: one for one in inputs.data}
        taps = tuple(
            probe_outliers(
                tap,
                paths=inputs.paths[tap.set],
                seed=inputs.seed,
                about=circumstances(inputs.model, sets[tap.set], tap.labels),
            )
            for tap in inputs.taps
        )
        return OutlierResult(
            taps=taps,
            cross_layer=(llm_int8(inputs.blocks, all_blocks=inputs.all_blocks),),
            untrained=_reference(inputs.untrained),
        )

    def describe(self, result: OutlierResult, subject: Subject) -> Section:
        """Describes the outcome, the channels, and the layers."""
        return describe(result, subject.model)

    def named(self, result: OutlierResult) -> Named:
        """Names figures of every tap, the outcome, and the outlier channels of each set."""
        finals = result.finals()
        return Named(
            figures=tuple(_figures(result.taps, finals[0].data)),
            facts=(
                NamedFact(id="outcome", name="outlier features", value=finals[0].outcome.value),
            ),
            sets=tuple(
                NamedSet(
                    id="channels",
                    name="outlier channels",
                    data=one.data,
                    members=tuple(str(channel.channel) for channel in one.outlier_channels),
                    basis={"width": str(one.channels)},
                )
                for one in finals
                if isinstance(one.heights, Heights)
            ),
        )


def _reference(untrained: Untrained | None) -> UntrainedReference | None:
    if untrained is None:
        return None
    value, low, high = untrained.kurtosis
    n, method = untrained.n, "shipped with tuiprobe"
    return UntrainedReference(
        architecture=untrained.architecture,
        data=untrained.data,
        n=n,
        width=untrained.width,
        kurtosis=Estimate(value=value, low=low, high=high, n=n, method=method),
        persistence=exact(untrained.persistence, n, method),
    )


def _figures(taps: tuple[Outliers, ...], first: str) -> Iterator[NamedFigure]:
    for one in taps:
        leading = one.final and one.data == first
        yield _named(one, "height", "highest channel, sigma", one.highest, leading, HEIGHT)
        for id, figure in figures_in(one):
            if id in NAMES:
                yield _named(one, id, NAMES[id], figure, leading, HEADLINES.get(id))
        yield _named(one, "outlier_channels", "outlier channels", _count(one), leading, None)


def _named(
    one: Outliers, id: str, name: str, figure: Figure, leading: bool, rank: int | None
) -> NamedFigure:
    signature = leading and id in (*SIGNATURES, "height", "outlier_channels")
    return NamedFigure(
        id=id,
        name=name,
        data=one.data,
        place=one.tap,
        figure=figure,
        headline=rank if one.final else None,
        role="signature" if signature else None,
        inner=not one.final,
        mean_of=_mean_of(one) if id == "kurtosis" else None,
    )


def _mean_of(one: Outliers) -> MeanOf | None:
    return MeanOf(values="kurtosis", sets=(one.data,)) if one.final else None


def _count(one: Outliers) -> Figure:
    if isinstance(one.heights, NotRun):
        return one.heights
    return exact(len(one.outlier_channels), one.heights.n, "count of channels")
