"""The tables of Crabbé et al. (2024), one per figure: backbones as rows, trainings as columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from tuiprobe.catalog.presets import Preset, presets
from tuiprobe.comparing.indicator_section import outcomes_line
from tuiprobe.comparing.notes import reservations
from tuiprobe.errors import UsageError
from tuiprobe.numbers import MISSING
from tuiprobe.plaintext import markdown_table
from tuiprobe.report.strings import escaped, opening
from tuiprobe.results import Figure, Frozen, Report, given
from tuiprobe.results.headlines import EFFECTIVE, KURTOSIS, MEAN_SHIFT, PERSISTENCE, TOP1
from tuiprobe.results.report import ABSENT

TABLES: Final = {
    "Accuracy in distribution": TOP1.id,
    "Mean accuracy under shift": MEAN_SHIFT.id,
    "Effective robustness": EFFECTIVE.id,
    "Activation kurtosis": KURTOSIS.id,
    "Persistence": PERSISTENCE.id,
    "Accuracy in distribution with 80 % of the directions pruned": "pruned_80",
    "Unique concepts": "unique_concepts",
    "Unique concepts over random directions": "excess_concepts",
}
"""Id of the figure of each table."""

OUTCOME: Final = "Outcome on outlier features"


class Gap(Frozen):
    """What a model does not have, and why."""

    model: str
    reason: str


class PaperModel(Frozen):
    """One model of the tables.

    Attributes:
        model: Its name, as the user typed it.
        backbone: Backbone of the preset; the model's name beyond the presets, and where another
            model has the same backbone and training.
        training: Column of the preset: see `column_of`; `other` beyond the presets.
        outcome: Outcome on outlier features; empty without.
        figures: The figure of each table, by its id.
    """

    model: str
    backbone: str
    training: str
    outcome: str
    figures: dict[str, Figure]


class Paper(Frozen):
    """The figures of the paper's tables.

    Attributes:
        images: What was measured, by the sets of a run; several entries if runs differ.
        models: In the order of the runs.
        gaps: What is missing or does not describe a trained model and all images.
    """

    images: tuple[str, ...]
    models: tuple[PaperModel, ...]
    gaps: tuple[Gap, ...]


def paper(reports: Sequence[Report]) -> Paper:
    """Returns the figures of the paper's tables.

    Raises:
        UsageError: If two reports are of the same model: a cell holds one figure.
    """
    name, count = Counter(report.model.name for report in reports).most_common(1)[0]
    if count > 1:
        raise UsageError(f"--paper: {count} runs are of {name}; name one of them")
    images = {", ".join(f"{s.measured} of {s.name}" for s in report.data) for report in reports}
    models = []
    for report in reports:
        preset = presets().get(report.model.name)
        models.append(
            PaperModel(
                model=report.model.name,
                backbone=report.model.name if preset is None else preset.backbone,
                training="other" if preset is None else column_of(preset),
                outcome=report.fact("outcome"),
                figures={id: report.figure_or_absent(id) for id in TABLES.values()},
            )
        )
    places = Counter((m.backbone, m.training) for m in models)
    return Paper(
        images=tuple(sorted(images)),
        models=tuple(
            m if places[m.backbone, m.training] == 1 else m.model_copy(update={"backbone": m.model})
            for m in models
        ),
        gaps=tuple(gap for report in reports for gap in _gaps(report)),
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


def _gaps(report: Report) -> Iterator[Gap]:
    name = report.model.name
    yield from (Gap(model=name, reason=reason) for reason in reservations(report))
    for title, id in TABLES.items():
        figure = report.figure_or_absent(id)
        if given(figure):
            continue
        reason = figure.reason
        if figure == ABSENT:  # whatever was not run may be the reason
            lost = [(part.title, part.not_run) for part in report.parts if part.not_run is not None]
            reason = "; ".join(f"{name}: {why.reason}" for name, why in lost) or reason
        yield Gap(model=name, reason=f"no {title[0].lower()}{title[1:]}: {reason}")


def paper_markdown(content: Paper) -> str:
    """Returns the tables as Markdown, which is readable as text."""
    images = "; or ".join(map(escaped, content.images))
    lines = ["# The paper's tables", ""]
    lines += [
        f"Images: {images}. Parentheses are 95 % intervals. Kurtosis and concepts compare only "
        "within one kind of representation: zero-shot is projected, finetuned and supervised "
        "ViTs are token, supervised ResNets pooled.",
        "",
    ]
    for title, id in TABLES.items():
        figures = {m.model: m.figures[id] for m in content.models}
        cells = {name: f.with_interval() for name, f in figures.items() if given(f)}
        lines += _table(title, content.models, cells)
        if id == EFFECTIVE.id:
            known = [m for m in content.models if m.outcome]
            lines += _table(OUTCOME, content.models, {m.model: m.outcome for m in known})
            if known:
                each = outcomes_line([(m.model, m.training, m.outcome) for m in known])
                lines += [escaped(each), ""]
    gaps = [f"- {opening(escaped(gap.model))}: {escaped(gap.reason)}" for gap in content.gaps]
    lines += ["## Gaps", "", *(gaps or ["None."])]
    return "\n".join(lines).rstrip("\n") + "\n"


def _table(title: str, models: Sequence[PaperModel], cells: dict[str, str]) -> list[str]:
    """Returns one table; backbones and trainings come in the order of the presets."""
    places = {(m.backbone, m.training): escaped(cells[m.model]) for m in models if m.model in cells}
    if not places:
        return [f"## {title}", "", "No model has this figure.", ""]
    order = [(preset.backbone, column_of(preset)) for preset in presets().values()]
    order += [(m.backbone, m.training) for m in models]
    backbones = [b for b in dict.fromkeys(b for b, _ in order) if any(b == p for p, _ in places)]
    trainings = [t for t in dict.fromkeys(t for _, t in order) if any(t == p for _, p in places)]
    rows = [[escaped(b), *(places.get((b, t), MISSING) for t in trainings)] for b in backbones]
    return [f"## {title}", "", *markdown_table(["backbone", *trainings], rows)]
