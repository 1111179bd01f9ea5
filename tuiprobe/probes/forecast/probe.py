"""The probe that sets measured accuracies beside those expected of published peers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tuiprobe.catalog.baselines import ShiftFamily, family_of_row
from tuiprobe.catalog.forecast import kind_of, own_family
from tuiprobe.catalog.left_out import FEWEST_FAMILIES, FEWEST_MODELS
from tuiprobe.probes.forecast import TITLE
from tuiprobe.probes.forecast.compute import Start, forecast
from tuiprobe.probes.forecast.describe import describe
from tuiprobe.probes.forecast.peers import NO_IMAGENET, UNTRAINED
from tuiprobe.probes.forecast.result import Forecast
from tuiprobe.probes.intervals import exact
from tuiprobe.probes.protocol import Found, Named, Options, Probe, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.probes.robustness.baselines import family_of, published_of
from tuiprobe.probes.robustness.result import Accuracy, Robustness
from tuiprobe.results import Inapplicable, NotRun, given
from tuiprobe.results.section import NamedFigure, Section


class ForecastFromPeers(Probe[Start, Forecast]):
    """Accuracy under shift as published models of the same kind of training lead to expect it."""

    id = "forecast"
    title = TITLE
    block = "shifts"
    Result = Forecast
    after = ("robustness",)

    def inputs(self, run: RunReader, options: Options, found: Found) -> Start | NotRun:
        """Takes the ImageNet accuracy that was measured, or the published one."""
        model = run.plan.model
        if model.weights.kind == "untrained":
            return NotRun(reason=UNTRAINED)
        if model.ablated:
            return NotRun(reason="channels are ablated: it is no longer the published model")
        sets = family_of(run.sets) if run.sets else None
        if sets is not None and sets.own is not None:
            return _too_few(sets.own)
        row = published_of(model)
        try:
            kind = kind_of(model.training, row)
        except ValueError as error:
            return NotRun(reason=str(error))
        without = own_family(kind, row, model.architecture)
        accuracies = _accuracies(found) if sets is not None else ()
        if accuracies and given(accuracies[0].top1):
            shifts = tuple(one for one in accuracies[1:] if one.shift is not None)
            return Start(kind, accuracies[0].top1, "", without, shifts)
        if row is None or row.imagenet is None:
            return NotRun(
                reason=NO_IMAGENET,
                remedy="measure ImageNet's validation set: `--suite auto`",
            )
        published = exact(row.imagenet, 50_000, "as published")
        return Start(kind, published, row.spec, without)

    def compute(self, inputs: Start, options: Options) -> Forecast | NotRun:
        """Computes the forecast and the difference from what was measured."""
        return forecast(inputs)

    def describe(self, result: Forecast, subject: Subject) -> Section:
        """Describes the forecast, what was measured beside it, and the forecast's own error."""
        return describe(result)

    def named(self, result: Forecast) -> Named:
        """Names forecast and difference of the mean and of every shift."""
        return Named(figures=tuple(_figures(result)))


def _accuracies(found: Found) -> Sequence[Accuracy]:
    robustness = found["robustness"]
    return robustness.accuracies if isinstance(robustness, Robustness) else ()


def _too_few(own: ShiftFamily) -> Inapplicable:
    models = [row for rows in own.models().values() for row in rows]
    families = {family_of_row(row) for row in models}
    return Inapplicable(
        reason=f"accuracies of {len(models)} models ({len(families)} families) are "
        f"known for these sets, and a forecast needs {FEWEST_MODELS} models of {FEWEST_FAMILIES} "
        "families"
    )


def _figures(result: Forecast) -> Iterator[NamedFigure]:
    names = {"forecast": "forecast", "beyond": "measured minus forecast"}
    for one in result.expectations:
        for id, name in names.items():
            yield NamedFigure(
                id=f"forecast.{id}" if id != "forecast" else id,
                name=name,
                data=", ".join(one.target),
                place=f"published {result.kind} models",
                figure=getattr(one, id),
            )
