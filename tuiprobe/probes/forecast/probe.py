"""The probe that sets measured accuracies beside those expected of published peers."""

from __future__ import annotations

from collections.abc import Iterator

from tuiprobe.catalog.baselines import family_of_row
from tuiprobe.catalog.forecast import kind_of, own_family
from tuiprobe.catalog.leave_family_out import FEWEST_FAMILIES, FEWEST_MODELS
from tuiprobe.numbers import number
from tuiprobe.probes.content import points, prose, several, table, value_or_dash
from tuiprobe.probes.forecast import TITLE
from tuiprobe.probes.forecast.compute import Start, forecast
from tuiprobe.probes.forecast.peers import NO_IMAGENET, UNTRAINED
from tuiprobe.probes.forecast.result import Forecast
from tuiprobe.probes.intervals import exact
from tuiprobe.probes.protocol import Named, Options, Probe, Results, Subject, named_figures
from tuiprobe.probes.reader import RunReader
from tuiprobe.probes.robustness.baselines import family_of, published_of
from tuiprobe.probes.robustness.result import Robustness
from tuiprobe.results import Inapplicable, NotRun, given
from tuiprobe.results.section import Code, NamedFigure, Section, Text, Value

SIDES = {
    "above": "above what its peers reach",
    "within": "within what its peers reach",
    "below": "below what its peers reach",
}
"""Where a measured accuracy lies, in words; outside the 95 % prediction interval only."""


class ForecastFromPeers(Probe[Start, Forecast]):
    """Accuracy under shift as published models of the same kind of training lead to expect it."""

    id = "forecast"
    title = TITLE
    block = "shifts"
    Result = Forecast
    after = ("robustness",)

    def inputs(self, run: RunReader, options: Options, results: Results) -> Start | NotRun:
        """Takes the ImageNet accuracy that was measured, or the published one."""
        model = run.plan.model
        if model.weights.kind == "untrained":
            return NotRun(reason=UNTRAINED)
        if model.ablated:
            return NotRun(reason="channels are ablated: it is no longer the published model")
        sets = family_of(run.sets) if run.sets else None
        if sets is not None and sets.own is not None:
            rows = [row for rows in sets.own.models().values() for row in rows]
            families = {family_of_row(row) for row in rows}
            return Inapplicable(
                reason=f"accuracies of {len(rows)} models ({len(families)} families) are "
                f"known for these sets, and a forecast needs {FEWEST_MODELS} models of "
                f"{FEWEST_FAMILIES} families"
            )
        published = published_of(model)
        try:
            kind = kind_of(model.training, published)
        except ValueError as error:
            return NotRun(reason=str(error))
        without = own_family(kind, published, model.architecture)
        robustness = results["robustness"]
        if sets is not None and isinstance(robustness, Robustness):
            first, *others = robustness.accuracies
            if given(first.top1):
                shifts = tuple(accuracy for accuracy in others if accuracy.shift is not None)
                return Start(kind, first.top1, "", without, shifts)
        if published is None or published.imagenet is None:
            return NotRun(
                reason=NO_IMAGENET, remedy="measure ImageNet's validation set: `--suite auto`"
            )
        accuracy = exact(published.imagenet, 50_000, "as published")
        return Start(kind, accuracy, published.spec, without)

    def compute(self, inputs: Start, options: Options) -> Forecast | NotRun:
        """Computes the forecast and the difference from what was measured."""
        return forecast(inputs)

    def describe(self, result: Forecast, subject: Subject) -> Section:
        """Describes the forecast, what was measured beside it, and the forecast's own error."""
        expectations: list[list[Value]] = [
            [
                f"mean of {', '.join(row.target)}" if len(row.target) > 1 else row.target[0],
                value_or_dash(row.measured),
                row.forecast,
                row.low_80,
                row.high_80,
                value_or_dash(row.beyond),
                "-" if row.side is None else "no" if row.side == "within" else row.side,
            ]
            for row in result.expectations
        ]
        return Section(
            title=TITLE,
            card=tuple(_card(result)),
            content=(
                prose(*_origin(result)),
                table(
                    "forecast",
                    [
                        ("target", "shift"), "measured", ("forecast", "forecast (95 %)"),
                        ("low_80", "80 % from", "share"), ("high_80", "to", "share"),
                        ("beyond", "measured minus forecast"), ("side", "beyond its peers"),
                    ],
                    expectations,
                ),
                points(
                    [
                        _error(result),
                        "The interval is where the accuracy of a model from a family not seen "
                        f"before may lie. With {several(result.families, 'family', 'families')} no "
                        "method can guarantee its level; the shares above are what was seen.",
                        "It is about ImageNet's published shifts only and says nothing about other "
                        "images. A difference within the interval is no evidence of robustness "
                        "beyond the peers.",
                    ]
                ),
            ),
        )  # fmt: skip

    def named(self, result: Forecast) -> Named:
        """Names forecast and difference of the mean and of every shift."""
        names = {"forecast": "forecast", "beyond": "measured minus forecast"}
        more, place = {"beyond": {"id": "forecast.beyond"}}, f"published {result.kind} models"
        figures: list[NamedFigure] = []
        for row in result.expectations:
            figures += named_figures(row, names, ", ".join(row.target), place, more)
        return Named(figures=tuple(figures))


def _card(result: Forecast) -> Iterator[Text]:
    mean, worst = result.expectations[0], result.errors[0]
    which = "its accuracy"
    if result.source == "published" and given(result.imagenet):
        which = f"its published ImageNet accuracy ({result.imagenet.alone()}, not measured here)"
    yield (
        f"Forecast from {result.kind} models of {which}: mean of {len(mean.target)} shifts ",
        mean.forecast,
        f"; off by {number(result.mean_error, 'points')} on average over families left out "
        f"({worst.family} {number(worst.error, 'points', bare=True)}).",
    )
    for row in result.expectations:
        if row.side is not None:
            target = row.target[0]
            if len(row.target) > 1:
                target = f"mean of {len(row.target)} shifts"
            yield f"Measured minus forecast, {target}: ", row.beyond, f", {SIDES[row.side]}."
            return


def _origin(result: Forecast) -> Iterator[Value]:
    """Yields the accuracy that the forecast starts from, and the models that it rests on."""
    start = "measured in this run" if result.source == "measured" else "published for "
    yield from ("ImageNet accuracy ", result.imagenet, f", {start}")
    if result.source == "published":
        yield Code(code=result.published_as)
    yield (
        f". The line is fitted to {several(result.models, f'published {result.kind} model')} of "
        f"{several(result.families, 'family', 'families')}"
    )
    yield (
        f", without the family {result.without} of this model."
        if result.without
        else "; the family of this model is not known, so none was left out."
    )


def _error(result: Forecast) -> str:
    worst = result.errors[0]
    return (
        f"For the published {result.kind} models, each family left out in turn, the forecast of "
        f"the mean of all shifts was off by {number(result.mean_error, 'points')} on average over "
        f"{len(result.errors)} families, most for {worst.family} "
        f"({number(worst.error, 'points')}). "
        f"Its 95 % interval held {number(result.covered_models, 'share')} of the models, "
        f"{number(result.covered_families, 'share')} averaged over families."
    )
