"""What a report draws, as plain data: the SVG figures and the plots in the terminal show the same.

Charts come from results (and the published accuracies of the catalog) alone; how they look is
decided by whoever draws them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tuiprobe.probes.concepts.result import Concepts, DirectionFamily
from tuiprobe.probes.directions.result import Basis, PruningCurve
from tuiprobe.probes.outliers.result import Outliers
from tuiprobe.report.chart import Chart, Role, Series
from tuiprobe.report.scatter import scatter
from tuiprobe.results import Figure, given
from tuiprobe.results.report import Report

_FAMILY_ROLES: dict[str, Role] = {
    "singular vectors of W": "second",
    "singular vectors of centred W": "main",
    "channels": "third",
    "principal components": "context",
    "random directions": "control",
}
_ORDER_ROLES: dict[str, Role] = {
    "importance": "main",
    "singular value": "second",
    "reduced-rank regression": "third",
    "principal components": "context",
    "random directions": "control",
    "random subspace": "control",
}


def charts(report: Report) -> list[Chart]:
    """Every chart of a report, in the order of its sections."""
    found: list[Chart] = []
    finals = [one for one in report.outliers if one.final]
    for one in finals[:1]:
        found += [shares(one), *layers(report.outliers, one.data)]
    if report.directions is not None:
        for basis in report.directions.bases:
            found += [importances(basis), *prunings(basis)]
    if report.concepts is not None:
        found.append(unique_concepts(report.concepts))
    if report.robustness is not None:
        found += scatter(report.robustness, report.model.name)
    return [chart for chart in found if any(series.x for series in chart.series)]


def shares(one: Outliers) -> Chart:
    """The leading channels by their share of the fourth moment, beside an even share."""
    places, known = _known([share.share for share in one.shares])
    channels = tuple(str(one.shares[int(place)].channel) for place in places)
    bars = _series("share", tuple(float(i) for i in range(len(known))), known, "main")
    even = 1 / one.channels
    ends = (-0.5, len(known) - 0.5)
    reference = Series(
        f"evenly shared: {even:.2g}", ends, (even, even), mark="line", role="reference"
    )
    return Chart(
        name="shares",
        title=f"Leading channels on {one.data}",
        x_label="channel",
        y_label="share of the fourth moment",
        series=(_as_bars(bars), reference) if known else (),
        ticks=channels,
    )


def layers(outliers: Iterable[Outliers], data: str) -> list[Chart]:
    """Kurtosis by layer on one set; nothing where only the final representation was measured."""
    taps = [one for one in outliers if one.data == data]
    if len(taps) < 2:
        return []
    taps = [one for one in taps if not one.final] + [one for one in taps if one.final]
    places, known = _known([one.kurtosis for one in taps])
    kurtosis = _series("kurtosis", places, known, "main")
    basis = Series(
        "after a random rotation",
        tuple(float(i) for i in range(len(taps))),
        tuple(one.basis_reference for one in taps),
        role="reference",
    )
    centred_places, centred = _known([one.centred_kurtosis for one in taps])
    after = _series("after centring", centred_places, centred, "second")
    return [
        Chart(
            name="layers",
            title=f"Kurtosis by layer on {data}",
            x_label="layer",
            y_label="kurtosis",
            series=(basis, after, kurtosis),
            ticks=tuple(one.tap for one in taps),
        )
    ]


def importances(basis: Basis) -> Chart:
    """The importance of every direction, in the order of singular values."""
    places = tuple(float(i) for i in range(len(basis.importances)))
    bars = Series("importance", places, basis.importances, mark="bars")
    return Chart(
        name=f"importance_{_slug(basis)}",
        title=f"Importance of directions, {matrix(basis)}",
        x_label="direction, by singular value",
        y_label="importance",
        series=(bars,),
        ticks=tuple(str(i) for i in range(len(basis.importances))),
    )


def prunings(basis: Basis) -> list[Chart]:
    """Accuracy against the fraction pruned, one chart a data set, controls with their bands."""
    names = list(dict.fromkeys(curve.data for curve in basis.curves))
    return [
        Chart(
            name=f"pruning_{_slug(basis)}_{number}",
            title=f"Pruning on {name}, {matrix(basis)}",
            x_label="fraction of the rank pruned",
            y_label="top-1 accuracy",
            series=tuple(_pruning(curve) for curve in basis.curves if curve.data == name),
        )
        for number, name in enumerate(names)
    ]


def unique_concepts(found: Concepts) -> Chart:
    """Unique concepts over thresholds of average precision, random directions beside them."""
    return Chart(
        name="concepts",
        title=f"Unique concepts on {found.data}",
        x_label="threshold of average precision",
        y_label="unique concepts",
        series=tuple(_family(one) for one in found.families),
    )


def matrix(basis: Basis) -> str:
    """What a basis belongs to, in words."""
    return "W minus its mean row" if basis.centred else "W"


def _slug(basis: Basis) -> str:
    return "centred" if basis.centred else "plain"


def _pruning(curve: PruningCurve) -> Series:
    places, known = _known([point.accuracy for point in curve.points])
    x = tuple(curve.points[int(place)].fraction for place in places)
    return _series(curve.order, x, known, _ORDER_ROLES[curve.order])


def _family(one: DirectionFamily) -> Series:
    places, known = _known([point.concepts for point in one.curve])
    x = tuple(one.curve[int(place)].threshold for place in places)
    return _series(one.family, x, known, _FAMILY_ROLES[one.family])


def _known(figures: Sequence[Figure]) -> tuple[tuple[float, ...], list[Figure]]:
    pairs = [(float(i), one) for i, one in enumerate(figures) if given(one)]
    return tuple(place for place, _ in pairs), [one for _, one in pairs]


def _series(name: str, x: tuple[float, ...], figures: Sequence[Figure], role: Role) -> Series:
    known = [one for one in figures if given(one)]
    low = tuple(one.value if one.low is None else one.low for one in known)
    high = tuple(one.value if one.high is None else one.high for one in known)
    return Series(name, x, tuple(one.value for one in known), low, high, role=role)


def _as_bars(one: Series) -> Series:
    return Series(one.name, one.x, one.y, one.low, one.high, "bars", one.role)
