"""The description of privileged directions."""

from __future__ import annotations

from collections.abc import Iterator

from tuiprobe.numbers import number
from tuiprobe.probes.directions.result import Basis, Directions, PruningCurve
from tuiprobe.probes.telling import heading, known, prose, series, several, table
from tuiprobe.results.section import (
    Chart,
    Code,
    Content,
    Drawn,
    RowSubject,
    Section,
    Series,
    Table,
    Value,
)

SHOWN_FRACTIONS = (0.0, 0.5, 0.8, 0.9)
LEADING = 8
ROLES: dict[str, Drawn] = {
    "importance": "main",
    "singular value": "second",
    "reduced-rank regression": "third",
    "principal components": "context",
    "random directions": "control",
    "random subspace": "control",
}


def describe(result: Directions) -> Section:
    """Describes importances, the leading directions, and pruning with its controls."""
    # The mean row, nearly all of a zero-shot head's importance, changes no answer.
    basis = next((one for one in reversed(result.bases) if one.centred), None)
    return Section(
        title="Privileged directions",
        headline=()
        if basis is None
        else (f"The first of {several(basis.rank, 'direction')} of the head has ",
              f"{basis.top_share.alone()} of the importance."),
        content=tuple(_content(result)),
    )  # fmt: skip


def _content(result: Directions) -> Iterator[Content]:
    yield prose(
        "Right singular vectors of the head (", Code(code=result.head),
        f", {result.classes} classes), and of the head without its mean row, whose removal changes "
        "no prediction. Data: ", Code(code=result.data), ".",
    )  # fmt: skip
    yield _bases(result.bases)
    for basis in result.bases:
        yield _leading(basis)
        yield importances(basis)
    yield from _all_directions(result.bases)
    curves = [(basis, curve) for basis in result.bases for curve in basis.curves]
    if not curves:
        return
    yield heading("Pruning")
    yield prose("Top-1 accuracy with directions pruned. Random orders show their 95 % band.")
    for basis in result.bases:
        yield from prunings(basis)
    columns = [("fraction", "pruned"), ("kept", "kept"), ("accuracy", "top-1")]
    about = [("data", "data"), ("matrix", "matrix"), ("order", "kept longest"),
             ("control", "control")]  # fmt: skip
    yield table(
        "pruning_overview",
        [*about, *((f"at_{part:g}", f"{part:.0%} pruned") for part in SHOWN_FRACTIONS)],
        [_row(basis, curve) for basis, curve in curves],
        folded=True,
        file=False,
    )
    yield table(
        "pruning",
        [*about, *columns],
        [
            [*_about(basis, curve), point.fraction, point.kept, point.accuracy]
            for basis, curve in curves
            for point in curve.points
        ],
        reading=False,
    )


def _bases(bases: tuple[Basis, ...]) -> Table:
    figures: dict[str, list[Value]] = {
        "rank": [basis.rank for basis in bases],
        "share of the most important direction": [basis.top_share for basis in bases],
        "effective rank of the importances": [basis.effective_rank for basis in bases],
        "concentration of the importances": [basis.gini for basis in bases],
        "abs(cos(first direction, mean row))": [basis.mean_row_cosine for basis in bases],
        "share on the outlier channels": [basis.outlier_share for basis in bases],
        "expected for a random direction": [basis.outlier_expected for basis in bases],
    }
    columns = [("figure", ""), *((f"matrix_{i}", _name(one)) for i, one in enumerate(bases))]
    return table(
        "both_forms_of_the_head",
        columns,
        ([n, *values] for n, values in figures.items()),
        file=False,
    )


def _leading(basis: Basis) -> Table:
    columns = (
        ("direction", "direction"), ("singular_value", "strength"),
        ("importance", "importance"),
        ("on_outlier", "share on the outlier channels", "share"),
        ("channels", "channels of largest weight"),
    )  # fmt: skip
    rows: list[list[Value]] = [
        [
            one.index, one.singular_value, one.importance,
            "-" if one.outlier_share is None else one.outlier_share,
            ", ".join(str(channel) for channel in one.channels),
        ]
        for one in basis.directions
    ]  # fmt: skip
    subjects = [
        [RowSubject(kind="direction", number=one.index, centred=basis.centred),
         *(RowSubject(kind="channel", number=channel) for channel in one.channels)]
        for one in basis.directions
    ]  # fmt: skip
    title = f"The most important directions of the {_name(basis)}:"
    return table(f"leading_{_slug(basis)}", columns, rows, title, subjects=subjects,
                 shown=LEADING, file=False)  # fmt: skip


def _all_directions(bases: tuple[Basis, ...]) -> Iterator[Table]:
    columns = [
        ("matrix", "matrix"), ("direction", "direction"), ("singular_value", "singular value"),
        ("importance", "importance"), ("on_outlier_channels", "on outlier channels"),
    ]  # fmt: skip
    rows: list[list[Value]] = []
    for basis in bases:
        shares = basis.outlier_shares or (None,) * basis.rank
        each = zip(basis.singular_values, basis.importances, shares, strict=True)
        rows += [[basis.matrix, i, *values] for i, values in enumerate(each)]
    yield table("directions", columns, rows, reading=False)


def _row(basis: Basis, curve: PruningCurve) -> list[Value]:
    nearest = [
        min(curve.points, key=lambda point: abs(point.fraction - part)) for part in SHOWN_FRACTIONS
    ]
    return [*_about(basis, curve), *(point.accuracy for point in nearest)]


def _about(basis: Basis, curve: PruningCurve) -> list[Value]:
    return [
        Code(code=curve.data), basis.matrix, curve.order, "yes" if curve.control else "no"
    ]  # fmt: skip


def importances(basis: Basis) -> Chart:
    """Returns the share of the importance of every direction, in the order of singular values."""
    places = tuple(float(i) for i in range(len(basis.importances)))
    whole = sum(basis.importances) or 1.0
    shares = tuple(importance / whole for importance in basis.importances)
    bars = Series(name="share of the importance", x=places, y=shares, mark="bars")
    return Chart(
        id=f"importance_{_slug(basis)}",
        title=f"Importance of directions, {_name(basis)}",
        x_label="direction, by strength",
        y_label="share of the importance",
        series=(bars,),
        y_unit="share",
        ticks=tuple(str(i) for i in range(len(basis.importances))),
        note=f"All together {number(sum(basis.importances))}; shares are of this sum.",
    )


def prunings(basis: Basis) -> list[Chart]:
    """Returns accuracy against the fraction pruned, one chart a data set, with controls."""
    names = list(dict.fromkeys(curve.data for curve in basis.curves))
    return [
        Chart(
            id=f"pruning_{_slug(basis)}_{number}",
            title=f"Pruning on {name}, {_name(basis)}",
            x_label="fraction of the rank pruned",
            y_label="top-1 accuracy",
            series=tuple(_curve(curve) for curve in basis.curves if curve.data == name),
            x_unit="share",
            y_unit="share",
            folded=number > 0,
        )
        for number, name in enumerate(names)
    ]


def _curve(curve: PruningCurve) -> Series:
    places, figures = known([point.accuracy for point in curve.points])
    x = [curve.points[int(place)].fraction for place in places]
    return series(curve.order, x, figures, ROLES[curve.order])


def _name(basis: Basis) -> str:
    """Returns what people call the matrix."""
    return "class weights, centred" if basis.centred else "class weights"


def _slug(basis: Basis) -> str:
    return "centred" if basis.centred else "plain"
