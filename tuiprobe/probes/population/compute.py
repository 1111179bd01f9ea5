"""Where a model stands: the untrained architecture, and models filed in the atlas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tuiprobe.catalog.left_out import FEWEST_MODELS
from tuiprobe.catalog.signatures import FIGURES, Signature, reference_of
from tuiprobe.probes.population.grade import grade
from tuiprobe.probes.population.result import Place, Population, Reference
from tuiprobe.probes.proportions import wilson
from tuiprobe.results import Estimate, Figure, Model, NotRun, given

PLACED = {
    "height": "height of the highest channel",
    "offset": "offset share",
    "kurtosis": "kurtosis",
}
"""What is placed, with its name for people; persistence is not, for an offset alone raises it."""

Filed = tuple[float, float | None, float | None] | None


def population(
    own: Mapping[str, Figure],
    model: Model,
    source: str,
    shipped: Sequence[Signature],
    filed: Sequence[Signature],
) -> Population:
    """Returns the references for a model.

    Args:
        own: Its figures on the first set, by id.
        model: The encoder.
        source: Where the images of the first set came from.
        shipped: Signatures of untrained architectures.
        filed: Signatures of other models on this machine.
    """
    trained = [
        one
        for one in filed
        if one.weights in ("pretrained", "checkpoint")
        and one.representation == model.representation
        and one.digest != model.weights.digest
    ]
    untrained = reference_of(model.architecture, model.representation, shipped)
    same = [one for one in trained if one.data == source]
    return Population(
        untrained=None if untrained is None else _reference(untrained),
        filed=tuple(_reference(one) for one in trained),
        places=tuple(_place(name, own.get(FIGURES[name]), same) for name in PLACED),
        grade=grade(same),
    )


def _place(name: str, own: Figure | None, filed: Sequence[Signature]) -> Place:
    values = [figure[0] for one in filed if (figure := _figure_of(one, name)) is not None]
    own = own if own is not None else NotRun(reason="not given in this run")
    return Place(id=FIGURES[name], name=PLACED[name], own=own, below=_below(own, values))


def _below(own: Figure, values: Sequence[float]) -> Figure:
    if not given(own):
        return NotRun(reason=own.reason)
    if len(values) < FEWEST_MODELS:
        return NotRun(
            reason=f"{len(values)} filed models have it on the same images; "
            f"{FEWEST_MODELS} are needed",
            remedy="`tuiprobe atlas add RUN`",
        )
    return wilson(sum(value < own.value for value in values), len(values))


def _figure_of(one: Signature, name: str) -> Filed:
    figure: Filed = getattr(one, name)
    return figure


def _reference(one: Signature) -> Reference:
    return Reference(
        model=one.model,
        architecture=one.architecture,
        weights=one.weights,  # type: ignore[arg-type]
        data=one.data,
        n=one.n,
        width=one.width,
        height=_figure(one.height, one.n),
        offset=_figure(one.offset, one.n),
        kurtosis=_figure(one.kurtosis, one.n),
        persistence=_figure(one.persistence, one.n),
    )


def _figure(figure: Filed, n: int) -> Figure:
    if figure is None:
        return NotRun(reason="not given in its run")
    value, low, high = figure
    return Estimate(value=value, low=low, high=high, n=n, method="as filed in the atlas")
