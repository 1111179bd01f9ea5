"""The quantisation probe: what it reads, and its description."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from pydantic import BaseModel

from tuiprobe.probes import BUILT_IN
from tuiprobe.probes.base.head_arrays import SetFeatures
from tuiprobe.probes.content import ColumnOf, prose, series, table
from tuiprobe.probes.protocol import Named, Options, Probe, Results, Subject
from tuiprobe.probes.quantisation.compute import (
    AnswersChanged,
    NeighbourOverlap,
    Quantisation,
    Quantised,
    Sqnr,
    TapRows,
    answers_changed,
    neighbours_after_rounding,
    quantise,
)
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import NotRun, is_known
from tuiprobe.results.figures import columns, named_figures
from tuiprobe.results.section import (
    Chart,
    Code,
    Drawn,
    Section,
    SectionContent,
    Text,
    Value,
)
from tuiprobe.run.checked_arrays import HeadArrays

NOTE: Final = (
    "Symmetric rounding by the largest absolute value, measured on the rows that the run keeps. "
    "6 dB are one bit. An offset that is the same in every image counts as signal; dB without "
    "offset are of what varies between images. Few runtimes support one scale per channel: an "
    "integer product sums over channels, and cannot take out a factor that differs from one to "
    "the next."
)


SCHEMES = {
    "tensor": "one scale",
    "channel": "a scale a channel",
}


ROLES: Final[tuple[Drawn, ...]] = ("main", "second")


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
    title = BUILT_IN["quantisation"].title
    block = "deploy"
    Result = Quantisation

    def inputs(self, run: RunReader, options: Options, results: Results) -> Inputs | NotRun:
        """Reads the rows that the run keeps, and the largest values of all positions."""
        taps: list[TapRows] = []
        for data in run.id_and_shifts:
            for record in run.plan.taps:
                tap = run.tap(data, record)
                if tap.rows.size:
                    ends = [np.nan_to_num(np.abs(tap.statistics[end])) for end in ("min", "max")]
                    largest = np.asarray(np.maximum(*ends), dtype=np.float64)
                    taps.append(TapRows(tap.set, tap.tap, tap.final, tap.rows, largest))
        if not any(tap.final for tap in taps):
            return NotRun(reason="no image has a finite representation")
        head = None if isinstance(run.head, NotRun) else run.head
        return Inputs(tuple(taps), run.spec.seed, run.answered_sets, head)

    def compute(self, inputs: Inputs, options: Options) -> Quantisation:
        """Rounds the rows of every tap, and answers from the rounded representations."""
        taps = tuple(quantise(tap, inputs.seed) for tap in inputs.taps)
        final = next(tap for tap in inputs.taps if tap.final)
        if inputs.head is None:
            overlaps = neighbours_after_rounding(inputs.sets, final.largest, inputs.seed)
            return Quantisation(taps=taps, neighbours=overlaps)
        changed = answers_changed(inputs.head, inputs.sets, final.largest)
        return Quantisation(taps=taps, answers=changed)

    def describe(self, result: Quantisation, subject: Subject) -> Section:
        """Describes what changes, the final representation, the profile over layers, every tap."""
        card, charts = tuple(_card(result)), _charts(result)
        return Section(
            title=self.title,
            headline=card[0],
            card=card,
            pictures=tuple(chart.id for chart in charts),
            content=(
                *_changes(result),
                prose(NOTE),
                *charts,
                _table(result),
            ),
        )

    def named(self, result: Quantisation) -> Named:
        """Names what is declared; headlines are of the first set, rounded with one scale."""
        first = result.final().data

        def more(of: BaseModel, field: str) -> Mapping[str, Any]:
            leads = isinstance(of, AnswersChanged | NeighbourOverlap) and (
                (of.data, of.scheme) == (first, "tensor")
            )
            return {} if leads else {"headline": None}

        return Named(figures=tuple(named_figures(result, more)))


def _card(result: Quantisation) -> Iterator[Text]:
    shares = [(row.changed.value, row) for row in result.answers
              if row.scheme == "tensor" and is_known(row.changed)]  # fmt: skip
    if not shares:
        for near in result.neighbours[:1]:
            yield ("Rounded to INT8 with one scale, ", near.kept,
                   f" of the ten nearest neighbours on {near.data} stay.")  # fmt: skip
        if not result.neighbours:
            yield ("There are too few images to say what INT8 changes.",)
        return
    first, worst = shares[0][1], max(shares, key=lambda pair: pair[0])[1]
    line: Text = ("INT8 with one scale changes ", first.changed,
                  f" of the answers on {first.data}{_accuracy(first)}")  # fmt: skip
    if worst is not first:
        more = f" on set {worst.data}{_accuracy(worst)}"
        line = (*line, ", at worst ", worst.changed, more)
    yield (*line, ".")
    finer = next((row for row in result.answers if row.scheme == "channel"), None)
    if finer is None or not is_known(finer.changed) or not is_known(first.changed):
        return
    if (finer.changed.high or 0.0) < (first.changed.low or 0.0):
        yield "With one scale per channel, ", finer.changed, f" change on {finer.data}."


def _accuracy(changed: AnswersChanged) -> str:
    """Returns the change of accuracy, if it can be told from none."""
    top1 = changed.top1
    if not is_known(top1):
        return ""
    if top1.low is not None and top1.high is not None and top1.low <= 0 <= top1.high:
        return " (accuracy: no measurable change)"
    return f" (accuracy {top1.alone(signed=True)})"


def _changes(result: Quantisation) -> Iterator[SectionContent]:
    """Yields the tables of what changes; none without any image."""
    about: list[ColumnOf] = ["data", ("scheme", "scales")]
    if result.answers:
        yield table(
            "int8_answers",
            [*about, *columns(AnswersChanged, "changed", "top1")],
            [[Code(code=row.data), SCHEMES[row.scheme], row.changed, row.top1]
             for row in result.answers],
            "Answers from the rounded representation",
        )  # fmt: skip
    if result.neighbours:
        yield table(
            "int8_neighbours",
            [*about, *columns(NeighbourOverlap, "kept")],
            [[Code(code=row.data), SCHEMES[row.scheme], row.kept] for row in result.neighbours],
            "The ten nearest neighbours in the rounded representation",
        )


def _ratios(tap: Quantised) -> list[Sqnr]:
    """Returns signal over noise in the order of `SCHEMES`."""
    return [tap.tensor, tap.channel]


def _charts(result: Quantisation) -> list[Chart]:
    """Returns the profile over layers; none where only the final representation was measured."""
    taps = result.profile()
    if len(taps) < 2:
        return []
    columns = zip(*(_ratios(tap) for tap in taps), strict=True)
    lines = [
        series(name, [ratio.energy for ratio in ratios], role)
        for name, role, ratios in zip(SCHEMES.values(), ROLES, columns, strict=True)
    ]
    return [
        Chart(
            id="int8_layers",
            title=f"Signal over INT8 rounding noise by layer on {taps[0].data}",
            x_label="layer",
            y_label="dB",
            series=tuple(line for line in lines if line.x),
            ticks=tuple(tap.tap for tap in taps),
            note="Inner layers: one position per image; the scale is that of all positions.",
        )
    ]


def _table(result: Quantisation) -> SectionContent:
    ratios_of: list[ColumnOf] = [
        (f"{scheme}_{kind}", f"{name}, {about}")
        for scheme, name in SCHEMES.items()
        for kind, about in (("energy", "dB"), ("variance", "dB without offset"))
    ]
    rows: list[list[Value]] = []
    for tap in result.taps:
        ratios = [figure for ratio in _ratios(tap) for figure in (ratio.energy, ratio.variance)]
        name = Code(code=tap.data), Code(code=tap.tap)
        rows.append([*name, tap.channels, tap.rows, *ratios])
    return table(
        "int8",
        ["data", ("tap", "layer"), "channels", "rows", *ratios_of],
        rows,
        "Signal over INT8 rounding noise",
        shown=24,
    )  # fmt: skip
