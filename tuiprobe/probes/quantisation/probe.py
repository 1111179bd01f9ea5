"""The quantisation probe: what INT8 costs the activations, and which part few channels cause."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tuiprobe.probes.channels import acted_on
from tuiprobe.probes.heads import SetFeatures
from tuiprobe.probes.inputs import Float64, TapArrays
from tuiprobe.probes.outliers.result import OutlierResult
from tuiprobe.probes.protocol import Found, Named, Options, Probe, Subject
from tuiprobe.probes.quantisation import TITLE
from tuiprobe.probes.quantisation.answers import answers_changed, neighbours_kept
from tuiprobe.probes.quantisation.compute import TapRows, quantise
from tuiprobe.probes.quantisation.describe import NAMES, describe
from tuiprobe.probes.quantisation.result import Apart, Quantisation
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import NotRun, ProbeResult
from tuiprobe.results.base import figures_in
from tuiprobe.results.headlines import INT8, INT8_NEIGHBOURS
from tuiprobe.results.section import NamedFigure, Section
from tuiprobe.run.checked_arrays import HeadArrays

INT8_ID = "int8"


@dataclass(frozen=True)
class Inputs:
    """What is rounded.

    Attributes:
        taps: Rows of every set at every tap that keeps some.
        seed: Seed of subsamples and bootstrap.
        sets: Representations of all sets.
        head: The head; None without one.
    """

    taps: tuple[TapRows, ...]
    seed: int
    sets: tuple[SetFeatures, ...] = ()
    head: HeadArrays | None = None


class QuantisationRisk(Probe[Inputs, Quantisation]):
    """Signal over the noise of rounding to INT8, by scales and layers."""

    id = "quantisation"
    title = TITLE
    block = "deploy"
    Result = Quantisation
    after = ("outliers",)

    def inputs(self, run: RunReader, options: Options, found: Found) -> Inputs | NotRun:
        """Reads the rows that the run keeps, and the largest values of all positions."""
        taps = (run.tap(data, tap) for data in run.images for tap in run.plan.taps)
        rows = tuple(one for tap in taps if (one := _rows(tap, found["outliers"])) is not None)
        if not any(one.final for one in rows):
            return NotRun(reason="no image has a finite representation")
        head = None if isinstance(run.head, str) else run.head
        return Inputs(rows, run.spec.seed, (*run.head_sets, *run.target_sets), head)

    def compute(self, inputs: Inputs, options: Options) -> Quantisation:
        """Rounds the rows of every tap, and answers from the rounded representations."""
        taps = tuple(quantise(tap, inputs.seed) for tap in inputs.taps)
        final = next(tap for tap in inputs.taps if tap.final)
        if inputs.head is None:
            kept = neighbours_kept(inputs.sets, final.largest, final.apart, inputs.seed)
            return Quantisation(taps=taps, neighbours=kept)
        changed = answers_changed(inputs.head, inputs.sets, final.largest, final.apart)
        return Quantisation(taps=taps, answers=changed)

    def describe(self, result: Quantisation, subject: Subject) -> Section:
        """Describes the final representation and the profile over layers."""
        return describe(result)

    def named(self, result: Quantisation) -> Named:
        """Names the figures of every tap."""
        return Named(figures=tuple(_figures(result)))


def _rows(tap: TapArrays, outliers: ProbeResult | NotRun) -> TapRows | None:
    rows = tap.rows if tap.features is None else tap.features
    if rows is None or not rows.size:
        return None
    channels, why = _apart(tap, outliers)
    final = tap.features is not None
    return TapRows(tap.set, tap.tap, final, rows, _largest(tap), channels, why)


def _largest(tap: TapArrays) -> Float64:
    ends = [np.nan_to_num(np.abs(tap.statistics[name])) for name in ("min", "max")]
    return np.asarray(np.maximum(*ends), dtype=np.float64)


def _apart(tap: TapArrays, outliers: ProbeResult | NotRun) -> tuple[tuple[int, ...], Apart | None]:
    """Returns the channels that stand out at a tap, and what they are.

    At the final representation these are the channels that other probes act on too.
    """
    if not isinstance(outliers, OutlierResult):
        return (), None
    if tap.features is not None:
        chosen = acted_on(outliers)
        return chosen.channels, chosen.why
    for one in outliers.taps:
        if (one.data, one.tap) == (tap.set, tap.tap):
            return tuple(channel.channel for channel in one.outlier_channels), "outlier"
    return (), None


def _figures(result: Quantisation) -> Iterator[NamedFigure]:
    first = result.final().data
    for changed in result.answers:
        leads = changed.data == first and changed.scheme == "tensor"
        for id, name, figure in (
            ("changed", "answers that INT8 changes", changed.changed),
            ("top1", "accuracy that INT8 changes", changed.top1),
        ):
            yield NamedFigure(
                id=f"{INT8_ID}.{id}", name=name, data=changed.data, place=changed.scheme,
                figure=figure, headline=INT8 if leads and id == "changed" else None,
            )  # fmt: skip
    for near in result.neighbours:
        leads = near.data == first and near.scheme == "tensor"
        yield NamedFigure(
            id=f"{INT8_ID}.neighbours", name="nearest neighbours that INT8 keeps", data=near.data,
            place=near.scheme, figure=near.kept, headline=INT8_NEIGHBOURS if leads else None,
        )  # fmt: skip
    for one in result.taps:
        for id, figure in figures_in(one):
            whole = id == "tensor.energy" and one.final
            yield NamedFigure(
                id=INT8_ID if whole else f"{INT8_ID}.{id}",
                name=NAMES[id],
                data=one.data,
                place=one.tap,
                figure=figure,
                inner=not one.final,
            )
