"""The paper's tables: a row a backbone, a column a training, one table a figure; and the gaps."""

from collections.abc import Mapping
from dataclasses import dataclass

from tuiprobe.catalog.presets import Preset, presets
from tuiprobe.report.numbers import figure
from tuiprobe.report.text import escaped, table
from tuiprobe.results import Figure, NotRun, Report, given
from tuiprobe.results.report import ABSENT

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
        for title, ids in TABLES.items():
            lines += _one_table(title, {name: _read(one, ids) for name, one in reports.items()})
    lines += _gaps(reports, gaps)
    return "\n".join(lines).rstrip("\n") + "\n"


def _subject(reports: Mapping[str, Report]) -> str:
    images = {
        ", ".join(f"{one.measured} of {one.name}" for one in report.data)
        for report in reports.values()
    }
    seen = "; or ".join(escaped(one) for one in sorted(images))
    return (
        f"Images: {seen}. Parentheses are 95 % intervals. Kurtosis and concepts compare only "
        "within one kind of representation: zero-shot is projected, finetuned and supervised "
        "ViTs are token, supervised ResNets pooled."
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
    return _BLANK if one is None else escaped(figure(one))


def _gaps(reports: Mapping[str, Report], gaps: tuple[Gap, ...]) -> list[str]:
    lines = [f"- {escaped(gap.model)}: {escaped(gap.reason)}" for gap in gaps]
    for name, report in reports.items():
        if report.model.weights.kind == "untrained":
            lines.append(f"- {escaped(name)}: UNTRAINED, its figures describe a random network")
        if report.partial:
            lines.append(f"- {escaped(name)}: PARTIAL, not all images were measured")
        for title, ids in TABLES.items():
            one = _read(report, ids)
            if not given(one):
                lines.append(
                    f"- {escaped(name)}: no {title[0].lower()}{title[1:]}: "
                    f"{escaped(_reason(report, one))}"
                )
    return ["## Gaps", "", *(lines or ["None."])]


def _reason(report: Report, one: NotRun) -> str:
    if one is not ABSENT:
        return one.reason
    why = (f"{part.title}: {part.not_run}" for part in report.parts if part.not_run is not None)
    return "; ".join(why) or one.reason


TABLES: dict[str, tuple[str, ...]] = {
    "Accuracy in distribution": ("top1",),
    "Mean accuracy under shift": ("mean_shift",),
    "Effective robustness": ("value", "effective"),
    "Activation kurtosis": ("kurtosis",),
    "Persistence": ("persistence.value",),
    "Accuracy in distribution with 80 % of the directions pruned": ("pruned_80",),
    "Unique concepts": ("unique",),
    "Unique concepts over random directions": ("excess",),
}
"""Ids of the figure of each table; the first that a report has counts."""


def _read(report: Report, ids: tuple[str, ...]) -> Figure:
    found = [report.figure(id) for id in ids]
    return next((one for one in found if given(one)), found[-1])
