"""The population probe: the figures of other models, for comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tuiprobe.catalog.signatures import Signature, filed, shipped
from tuiprobe.folders import signatures_file
from tuiprobe.probes.outliers.result import OutlierResult, Outliers
from tuiprobe.probes.population.compute import population
from tuiprobe.probes.population.result import Population, Reference
from tuiprobe.probes.protocol import Found, Options, Probe, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.probes.telling import prose, several, table
from tuiprobe.results import Model, NotRun
from tuiprobe.results.section import Code, Content, Section, Strong, Table, Value

LISTED = 20


@dataclass(frozen=True)
class Inputs:
    """Figures of the final representation on the first set, the encoder, and other models."""

    final: Outliers
    model: Model
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
        # A damaged line must not fail the run; `tuiprobe atlas signatures` names it.
        others = filed(signatures_file()).signatures
        return Inputs(outliers.finals()[0], run.plan.model, shipped(), others)

    def compute(self, inputs: Inputs, options: Options) -> Population:
        """Finds the references for the model."""
        return population(inputs.final, inputs.model, inputs.shipped, inputs.filed)

    def describe(self, result: Population, subject: Subject) -> Section:
        """Describes the untrained architecture, and where the figures lie among filed models."""
        content = (*_untrained(result, subject.model), *_filed(result, subject.model))
        return Section(title=self.title, content=content)


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
        f"Among {several(len(found.filed), 'filed model')} of kind {model.representation}: "
        f"{found.lower_kurtosis} lower in kurtosis, {found.lower_persistence} in "
        "persistence."
    )
    yield _references("filed", found.filed)


def _references(id: str, references: tuple[Reference, ...]) -> Table:
    columns = [
        ("model", "model"), ("weights", "weights"), ("data", "data"), ("n", "n"), ("width", "C"),
        ("kurtosis", "kurtosis"), ("persistence", "P"),
    ]  # fmt: skip
    rows: list[list[Value]] = [
        [
            Code(code=one.model),
            Strong(strong="untrained") if one.weights == "untrained" else one.weights,
            Code(code=one.data), one.n, one.width, one.kurtosis, one.persistence,
        ]
        for one in references
    ]  # fmt: skip
    return table(id, columns, rows, shown=LISTED)
