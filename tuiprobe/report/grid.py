"""The paper's tables: a row a backbone, a column a training, one table a figure; and the gaps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tuiprobe.catalog.presets import Preset, presets
from tuiprobe.probes.outliers.result import Outliers
from tuiprobe.report.text import escaped, figure, table
from tuiprobe.results import Figure, NotRun, given
from tuiprobe.results.report import Report

PRUNED = 0.8
"""The part of the directions that the paper prunes without harm."""

_NONE = NotRun(reason="not in the report")
_BLANK = "-"


@dataclass(frozen=True)
class Gap:
    """A model without figures, and why."""

    model: str
    reason: str


def paper_tables(reports: Mapping[str, Report], gaps: tuple[Gap, ...]) -> str:
    """Returns the tables as Markdown.

    Args:
        reports: By the name of the preset or spec that was run.
        gaps: Models that were not run.
    """
    lines = ["# The paper's tables", ""]
    if reports:
        lines += [_subject(reports), ""]
        for title, read in TABLES.items():
            lines += _one_table(title, {name: read(one) for name, one in reports.items()})
    lines += _gaps(reports, gaps)
    return "\n".join(lines).rstrip("\n") + "\n"


def _subject(reports: Mapping[str, Report]) -> str:
    images = {
        ", ".join(f"{one.measured} of {one.name}" for one in report.data)
        for report in reports.values()
    }
    seen = "; or ".join(escaped(one) for one in sorted(images))
    return (
        f"Images: {seen}. Brackets are 95 % intervals. Kurtosis and concepts compare only within "
        "one kind of representation: zero-shot is projected, finetuned and supervised ViTs are "
        "token, supervised ResNets pooled."
    )


def column_of(preset: Preset) -> str:
    """Returns the column of a preset: zero-shot by pretraining data, else the training.

    >>> column_of(presets()["rn50_yfcc15m"]), column_of(presets()["vitb16_openai_ft_in1k"])
    ('YFCC15M', 'finetuned from WIT-400M')
    >>> column_of(presets()["rn50_in1k"]), column_of(presets()["rn50_a1_in1k"])
    ('supervised', 'supervised (a1)')
    """
    if preset.training == "finetuned":
        return f"finetuned from {preset.pretraining}"
    if preset.training == "supervised":
        return "supervised (a1)" if (preset.tag or "").startswith("a1_") else "supervised"
    return preset.pretraining


def _place(name: str) -> tuple[str, str]:
    preset = presets().get(name)
    return (name, "other") if preset is None else (preset.backbone, column_of(preset))


def _one_table(title: str, figures: Mapping[str, Figure]) -> list[str]:
    found = {_place(name): one for name, one in figures.items() if given(one)}
    if not found:
        return [f"## {title}", "", "No model has this figure.", ""]
    order = [_place(name) for name in (*presets(), *figures)]
    columns = _in_order([c for _, c in order], {c for _, c in found})
    backbones = _in_order([b for b, _ in order], {b for b, _ in found})
    rows = [
        [escaped(backbone), *(_cell(found.get((backbone, column))) for column in columns)]
        for backbone in backbones
    ]
    return [f"## {title}", "", *table(["backbone", *columns], rows)]


def _in_order(names: list[str], wanted: set[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if name in wanted]


def _cell(one: Figure | None) -> str:
    return _BLANK if one is None else figure(one)


def _gaps(reports: Mapping[str, Report], gaps: tuple[Gap, ...]) -> list[str]:
    lines = [f"- {escaped(gap.model)}: {escaped(gap.reason)}" for gap in gaps]
    for name, report in reports.items():
        if report.model.weights.kind == "untrained":
            lines.append(f"- {escaped(name)}: UNTRAINED, its figures describe a random network")
        if report.title.startswith("PARTIAL"):
            lines.append(f"- {escaped(name)}: PARTIAL, not all images were measured")
        for title, read in TABLES.items():
            one = read(report)
            if not given(one):
                lines.append(
                    f"- {escaped(name)}: no {title[0].lower()}{title[1:]}: "
                    f"{escaped(_reason(report, one))}"
                )
    return ["## Gaps", "", *(lines or ["None."])]


def _reason(report: Report, one: NotRun) -> str:
    if one is not _NONE:
        return one.reason
    return "; ".join(f"{part.part}: {part.reason}" for part in report.not_run) or one.reason


def _final(report: Report) -> Outliers:
    return next(o for o in report.outliers if o.final and o.data == report.data[0].name)


def _accuracy(report: Report) -> Figure:
    return report.robustness.accuracies[0].top1 if report.robustness else _NONE


def _shifts(report: Report) -> Figure:
    return report.robustness.mean_shift if report.robustness else _NONE


def _effective(report: Report) -> Figure:
    if report.robustness is None:
        return _NONE
    if isinstance(report.robustness.effective, NotRun):
        return report.robustness.effective
    headlines = report.robustness.headlines()
    return headlines[0].value if headlines else _NONE


def _pruned(report: Report) -> Figure:
    if report.directions is None:
        return _NONE
    points = [
        point
        for basis in report.directions.bases
        if not basis.centred
        for curve in basis.curves
        if curve.order == "importance" and curve.data == report.data[0].name
        for point in curve.points
    ]
    near = min(points, key=lambda point: abs(point.fraction - PRUNED), default=None)
    return _NONE if near is None or abs(near.fraction - PRUNED) > 0.02 else near.accuracy


def _unique(report: Report) -> Figure:
    return report.concepts.families[0].unique if report.concepts else _NONE


def _excess(report: Report) -> Figure:
    return report.concepts.excess if report.concepts else _NONE


TABLES: dict[str, Callable[[Report], Figure]] = {
    "Accuracy in distribution": _accuracy,
    "Mean accuracy under shift": _shifts,
    "Effective robustness": _effective,
    "Activation kurtosis": lambda report: _final(report).kurtosis,
    "Persistence": lambda report: _final(report).persistence.value,
    "Accuracy in distribution with 80 % of the directions pruned": _pruned,
    "Unique concepts": _unique,
    "Unique concepts over random directions": _excess,
}
"""Title of each table, and where its figure is."""
