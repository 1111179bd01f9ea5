"""model-card.md: metadata and a section to paste into a model card of the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Iterator

from huggingface_hub import EvalResult, ModelCardData

from tuiprobe.plaintext import plain
from tuiprobe.report.numbers import figure, number
from tuiprobe.report.text import code, escaped, markdown_text, opening, table
from tuiprobe.results import Estimate, Report, given
from tuiprobe.results.card import card
from tuiprobe.results.headlines import HEADLINES
from tuiprobe.results.reproduce import command
from tuiprobe.results.section import NamedFigure

_METRICS = {"top1": "accuracy", "mean_shift": "accuracy"}
"""Names that the hub knows; the other figures go by their ids."""
_IDS = {one.id: one.name for one in HEADLINES}


def model_card(report: Report) -> str:
    """Returns a card's metadata (`model-index`) and a section with the answer and its figures."""
    found = list(_figures(report))
    data = ModelCardData(
        model_name=plain(report.model.name),
        tags=["tuiprobe"],
        eval_results=[_result(one, report) for one in found if given(one.figure)] or None,
    )
    lines = ["---", data.to_yaml(line_break="\n").rstrip("\n"), "---", ""]
    lines += ["## Probed with tuiprobe", "", opening(escaped(report.title)), ""]
    lines += [f"> - **Warning:** {escaped(warning)}" for warning in report.warnings]
    lines += [""] if report.warnings else []
    for block in card(report):
        told = (f"- {opening(markdown_text(one))}" for one in block.lines)
        lines += [f"### {block.title}", "", *told, ""]
    if found:
        rows = [
            [escaped(_IDS[one.id]), escaped(_data(one)), escaped(figure(one.figure))]
            for one in found
        ]
        lines += table(["figure", "of", "value (95 % interval)"], rows)
    if line := command(report):
        lines += [f"Measured with tuiprobe {escaped(report.tuiprobe)}: {code(line)}", ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _figures(report: Report) -> Iterator[NamedFigure]:
    """Yields top-1 of every set, and of the other headline figures the one that counts.

    The mean of a single shift is that shift's top-1.
    """
    seen = set()
    for part in report.parts:
        for one in part.figures:
            named = one.headline is not None and one.id in _IDS and not one.inner
            alone = one.id == "mean_shift" and one.mean_of is not None and len(one.mean_of.sets) < 2
            told = named and given(one.figure) and not alone
            if told and (one.id == "top1" or one.id not in seen):
                seen.add(one.id)
                yield one


def _data(one: NamedFigure) -> str:
    """Returns what a figure is of: a set, or the mean of several."""
    sets = one.mean_of.sets if one.mean_of is not None else ()
    if not sets:
        return one.data
    return f"mean of {', '.join(sets)}" if len(sets) > 1 else sets[0]


def _result(one: NamedFigure, report: Report) -> EvalResult:
    assert isinstance(one.figure, Estimate)
    told, name = one.figure, _IDS[one.id]
    if told.low is not None and told.high is not None:
        name += f" (95 % interval {number(told.low)} to {number(told.high)})"
    data = _data(one)
    source = next((d.source for d in report.data if d.name == data), data)
    return EvalResult(
        task_type="image-classification",
        dataset_type=plain(source),
        dataset_name=plain(data),
        metric_type=_METRICS.get(one.id, _IDS[one.id].replace(" ", "_")),
        metric_value=float(f"{told.value:.6g}"),
        metric_name=name,
    )
