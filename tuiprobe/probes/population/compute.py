"""Where a model stands: the untrained architecture, and models filed in the atlas."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tuiprobe.catalog.signatures import Signature, reference_of
from tuiprobe.probes.outliers.result import Outliers
from tuiprobe.probes.population.result import Population, Reference
from tuiprobe.results import Estimate, Figure, Model, NotRun, given


def population(
    final: Outliers, model: Model, shipped: Sequence[Signature], filed: Sequence[Signature]
) -> Population:
    """Returns the references for a model.

    Args:
        final: Its figures on the first set.
        model: The encoder.
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
    own_kurtosis = _value(final.kurtosis)
    own_persistence = _value(final.persistence.value)
    return Population(
        untrained=None if untrained is None else _reference(untrained),
        filed=tuple(_reference(one) for one in trained),
        lower_kurtosis=_lower(trained, own_kurtosis, lambda s: _filed(s.kurtosis)),
        lower_persistence=_lower(trained, own_persistence, lambda s: _filed(s.persistence)),
    )


def _lower(
    others: list[Signature], own: float | None, figure: Callable[[Signature], float | None]
) -> int:
    values = [figure(one) for one in others]
    return sum(own is not None and value is not None and value < own for value in values)


def _value(figure: Figure) -> float | None:
    return figure.value if given(figure) else None


def _filed(figure: tuple[float, float | None, float | None] | None) -> float | None:
    return None if figure is None else figure[0]


def _reference(one: Signature) -> Reference:
    return Reference(
        model=one.model,
        architecture=one.architecture,
        weights=one.weights,  # type: ignore[arg-type]
        data=one.data,
        n=one.n,
        width=one.width,
        kurtosis=_figure(one.kurtosis, one.n),
        persistence=_figure(one.persistence, one.n),
    )


def _figure(figure: tuple[float, float | None, float | None] | None, n: int) -> Figure:
    if figure is None:
        return NotRun(reason="not given in its run")
    value, low, high = figure
    return Estimate(value=value, low=low, high=high, n=n, method="as filed in the atlas")
