"""CSV rows of what rests on a head: accuracies, effective robustness, directions."""

from collections.abc import Iterator

from tuiprobe.report.cells import FIGURE, Row, cells
from tuiprobe.results import NotRun
from tuiprobe.results.report import Report


def head_tables(report: Report) -> dict[str, tuple[list[str], Iterator[Row]]]:
    """Header and rows by table name; a table without rows is left out by the caller."""
    return {
        "accuracies": (["data", "shift", "classes", "figure", *FIGURE], _accuracies(report)),
        "effective_robustness": (
            ["baseline", "target", "axis", "models", "above", "extrapolated", "figure", *FIGURE],
            _effective(report),
        ),
        "directions": (
            ["matrix", "direction", "singular_value", "importance", "on_persistent_channels"],
            _directions(report),
        ),
        "pruning": (
            ["data", "matrix", "kept_longest", "control", "pruned", "kept", *FIGURE],
            _pruning(report),
        ),
        "ablation": (["data", "mode", "channels", "figure", *FIGURE], _ablation(report)),
    }


def _accuracies(report: Report) -> Iterator[Row]:
    if report.robustness is None:
        return
    for one in report.robustness.accuracies:
        about: Row = [one.data, one.shift, one.classes]
        yield [*about, "top1", *cells(one.top1)]
        yield [*about, "top5", *cells(one.top5)]
        yield [*about, "id_own_classes", *cells(one.id_own_classes)]
    for alternative in report.robustness.own_names:
        if isinstance(alternative.accuracy, NotRun):
            continue
        about = [alternative.data, alternative.accuracy.shift, alternative.accuracy.classes]
        yield [*about, "top1_own_names", *cells(alternative.accuracy.top1)]
        yield [*about, "top5_own_names", *cells(alternative.accuracy.top5)]


def _effective(report: Report) -> Iterator[Row]:
    if report.robustness is None or isinstance(report.robustness.effective, NotRun):
        return
    for one in report.robustness.effective:
        target = " ".join(one.target)
        about: Row = [one.baseline, target, one.axis, one.models, one.above, one.extrapolated]
        yield [*about, "precision", *cells(one.value)]
        yield [*about, "prediction", *cells(one.prediction)]
        yield [*about, "percentile", *cells(one.percentile)]


def _directions(report: Report) -> Iterator[Row]:
    if report.directions is None:
        return
    for basis in report.directions.bases:
        shares = basis.persistent_shares or (None,) * basis.rank
        rows = zip(basis.singular_values, basis.importances, shares, strict=True)
        for i, (singular, importance, share) in enumerate(rows):
            yield [_matrix(basis.centred), i, singular, importance, share]


def _matrix(centred: bool) -> str:
    return "W minus its mean row" if centred else "W"


def _pruning(report: Report) -> Iterator[Row]:
    if report.directions is None:
        return
    for basis in report.directions.bases:
        for curve in basis.curves:
            about: Row = [curve.data, _matrix(basis.centred), curve.order, curve.control]
            for point in curve.points:
                yield [*about, point.fraction, point.kept, *cells(point.accuracy)]


def _ablation(report: Report) -> Iterator[Row]:
    if report.directions is None or isinstance(report.directions.ablations, NotRun):
        return
    for one in report.directions.ablations:
        about: Row = [one.data, one.mode, " ".join(str(c) for c in one.channels)]
        for name in ("before", "after", "difference", "random", "matched"):
            yield [*about, name, *cells(getattr(one, name))]
