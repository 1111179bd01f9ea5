"""The population probe: the figures of other models, for comparison."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tuiprobe.catalog.signatures import Signature, filed, shipped
from tuiprobe.folders import signatures_file
from tuiprobe.probes.outliers.probe import OutlierFeatures
from tuiprobe.probes.outliers.result import OutlierResult
from tuiprobe.probes.population.compute import population
from tuiprobe.probes.population.result import Grade, Population, Reference
from tuiprobe.probes.protocol import Found, Named, Options, Probe, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.probes.telling import prose, several, table
from tuiprobe.results import Figure, Model, NotRun, given
from tuiprobe.results.section import Code, Content, NamedFigure, Section, Strong, Table, Value

LISTED = 20


@dataclass(frozen=True)
class Inputs:
    """Figures of the final representation on the first set, the encoder, and other models."""

    own: Mapping[str, Figure]
    model: Model
    source: str
    shipped: Sequence[Signature]
    filed: Sequence[Signature]


class PopulationOfModels(Probe[Inputs, Population]):
    """Where a model stands: the same architecture untrained, and models filed in the atlas."""

    id = "population"
    title = "Where it stands"
    Result = Population
    after = ("outliers",)

    def inputs(self, run: RunReader, options: Options, found: Found) -> Inputs | NotRun:
        """Takes the figures of the outlier probe, and reads the signatures of other models."""
        outliers = found["outliers"]
        if not isinstance(outliers, OutlierResult):
            return NotRun(reason="there are no outlier figures to compare")
        first = run.images[0]
        own = {
            one.id: one.figure
            for one in OutlierFeatures().named(outliers).figures
            if one.data == first.name and not one.inner
        }
        # A damaged line must not fail the run; `tuiprobe atlas signatures` names it.
        others = filed(signatures_file()).signatures
        return Inputs(own, run.plan.model, first.source, shipped(), others)

    def compute(self, inputs: Inputs, options: Options) -> Population:
        """Finds the references for the model and its place among them."""
        return population(inputs.own, inputs.model, inputs.source, inputs.shipped, inputs.filed)

    def describe(self, result: Population, subject: Subject) -> Section:
        """Describes the untrained architecture, and where the figures lie among filed models."""
        content = (*_untrained(result, subject.model), *_filed(result, subject.model))
        return Section(title=self.title, content=content)

    def named(self, result: Population) -> Named:
        """Names the share of filed models below each figure."""
        return Named(
            figures=tuple(
                NamedFigure(
                    id=f"below.{one.id}",
                    name=f"share of filed models below in {one.name}",
                    data="filed models",
                    place="same kind and images",
                    figure=one.below,
                )
                for one in result.places
                if given(one.below)
            )
        )


def _untrained(found: Population, model: Model) -> Iterator[Content]:
    if found.untrained is None:
        yield prose("No untrained reference is available for ", Code(code=model.architecture), ".")
        return
    yield prose(
        "For comparison: the same architecture with random weights, on other images (persistence "
        "without interval). Its figures are not zero."
    )
    yield _references("untrained", (found.untrained,))


def _filed(found: Population, model: Model) -> Iterator[Content]:
    if not found.filed:
        yield prose(
            f"No other model of kind {model.representation} is filed on this machine. ",
            Code(code="tuiprobe atlas add RUN"),
            " adds one, and the next report shows it here.",
        )
        return
    yield prose(
        f"{several(len(found.filed), 'other model')} of kind {model.representation} "
        f"{'is' if len(found.filed) == 1 else 'are'} filed. Figures depend on the images, so only "
        "models measured on the same source are compared:"
    )
    yield table(
        "places",
        [("figure", "figure"), ("own", "this model"), ("below", "share of filed models below")],
        [[one.name, one.own, one.below] for one in found.places],
    )
    yield prose(*_grade(found.grade))
    yield _references("filed", found.filed)


def _grade(found: Grade | NotRun) -> Iterator[Value]:
    if isinstance(found, NotRun):
        yield from ("What height says about effective robustness: ", found)
        return
    yield (
        f"Effective robustness ({found.baseline}) of {several(found.models, 'filed model')}, "
        "predicted from ImageNet accuracy and height with one pretraining set left out at a time, "
        f"is off by {100 * found.error:.1f} points on average over {found.sets} sets; from "
        f"accuracy alone by {100 * found.error_alone:.1f} points. "
    )
    if found.better:
        yield from ("Height reduces the error by ", found.gain, " (a fraction, over the sets).")
    else:
        yield "Height is no better than accuracy alone."


def _references(id: str, references: tuple[Reference, ...]) -> Table:
    columns = [
        ("model", "model"), ("weights", "weights"), ("data", "data"), ("n", "n"), ("width", "C"),
        ("height", "height"), ("offset", "offset share"), ("kurtosis", "kurtosis"),
        ("persistence", "P"),
    ]  # fmt: skip
    rows: list[list[Value]] = [
        [
            Code(code=one.model),
            Strong(strong="untrained") if one.weights == "untrained" else one.weights,
            Code(code=one.data), one.n, one.width, _known(one.height), _known(one.offset),
            one.kurtosis, one.persistence,
        ]
        for one in references
    ]  # fmt: skip
    return table(id, columns, rows, shown=LISTED)


def _known(figure: Figure) -> Value:
    return figure if given(figure) else "-"
