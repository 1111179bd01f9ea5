"""The parts of report.md that rest on a linear head: accuracies and privileged directions."""

from tuiprobe.probes.directions.result import Ablation, Basis, Directions, PruningCurve
from tuiprobe.report.markdown_robustness import robustness_sections
from tuiprobe.report.text import code, figure, number, table
from tuiprobe.results import NotRun
from tuiprobe.results.report import Report

SHOWN_FRACTIONS = (0.0, 0.5, 0.8, 0.9)
LEADING = 8


def head_sections(report: Report) -> list[str]:
    """Accuracies under shift and privileged directions; nothing where there is no head."""
    lines = []
    if report.robustness is not None:
        lines += robustness_sections(report.robustness)
    if report.directions is not None:
        lines += _directions(report.directions)
    return lines


def _directions(directions: Directions) -> list[str]:
    lines = [
        f"## Privileged directions on {code(directions.data)}",
        "",
        f"Right singular vectors of the head ({code(directions.head)}, {directions.classes} "
        "classes), and of the head without its mean row, which changes no prediction.",
        "",
        *table(["", *(_name(basis) for basis in directions.bases)], _basis_rows(directions.bases)),
    ]
    for basis in directions.bases:
        lines += _leading(basis)
    for basis in directions.bases:
        lines += _pruning(basis)
    return lines + _ablations(directions.ablations)


def _name(basis: Basis) -> str:
    return "W - mean row" if basis.centred else "W"


def _basis_rows(bases: tuple[Basis, ...]) -> list[list[str]]:
    figures = {
        "rank": [str(basis.rank) for basis in bases],
        "share of the most important direction": [figure(basis.top_share) for basis in bases],
        "effective rank of the importances": [figure(basis.effective_rank) for basis in bases],
        "Gini of the importances": [figure(basis.gini) for basis in bases],
        "abs(cos(first direction, mean row))": [figure(one.mean_row_cosine) for one in bases],
        "part on the persistent channels": [figure(basis.persistent_share) for basis in bases],
        "the same for a random direction": [figure(one.persistent_expected) for one in bases],
    }
    return [[name, *values] for name, values in figures.items()]


def _leading(basis: Basis) -> list[str]:
    """The most important directions; tables/directions.csv has all."""
    rows = [
        [
            str(one.index),
            number(one.singular_value),
            figure(one.importance),
            "-" if one.persistent_share is None else number(one.persistent_share),
            ", ".join(str(channel) for channel in one.channels),
        ]
        for one in basis.directions[:LEADING]
    ]
    header = ["direction", "singular value", "importance", "part on the persistent channels",
              "channels it leans on"]  # fmt: skip
    return [f"The most important directions of {_name(basis)}:", "", *table(header, rows)]


def _pruning(basis: Basis) -> list[str]:
    """Top-1 with a part of the directions pruned, at a few fractions; results.json has all."""
    rows = [_curve_row(curve) for curve in basis.curves]
    if not rows:
        return []
    header = ["data", "kept longest", *(f"{part:.0%} pruned" for part in SHOWN_FRACTIONS)]
    title = f"Top-1 with directions of {_name(basis)} pruned; random orders with their 95 % band:"
    return [title, "", *table(header, rows)]


def _curve_row(curve: PruningCurve) -> list[str]:
    def at(wanted: float) -> str:
        nearest = min(curve.points, key=lambda point: abs(point.fraction - wanted))
        return f"{figure(nearest.accuracy)}, {nearest.kept} kept"

    order = f"{curve.order} (control)" if curve.control else curve.order
    return [code(curve.data), order, *(at(part) for part in SHOWN_FRACTIONS)]


def _ablations(ablations: tuple[Ablation, ...] | NotRun) -> list[str]:
    if isinstance(ablations, NotRun):
        return [f"Channel ablation: not run ({ablations.reason}).", ""]
    rows = [
        [
            code(one.data),
            f"set to {one.mode}",
            number(len(one.channels)),
            *(
                figure(part)
                for part in (one.before, one.after, one.difference, one.random, one.matched)
            ),
        ]
        for one in ablations
    ]
    header = ["data", "persistent channels", "how many", "top-1 before", "after",
              "difference, paired", "random channels", "channels of like size"]  # fmt: skip
    return [*table(header, rows)]
