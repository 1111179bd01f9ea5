"""The page of a comparison: the decision, the paired differences, the pictures; the rest folded."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from tuiprobe.comparing.decision import Decision
from tuiprobe.comparing.decision_section import describe_decision
from tuiprobe.comparing.differences import Comparison
from tuiprobe.comparing.differences_section import describe
from tuiprobe.comparing.forest import paired_chart, paired_rows
from tuiprobe.comparing.indicator import correlate
from tuiprobe.comparing.indicator_section import describe_indicator
from tuiprobe.comparing.runs import Run
from tuiprobe.datasets.originals import Originals
from tuiprobe.errors import TuiprobeError
from tuiprobe.report.html import sections_html
from tuiprobe.report.label_page import small_jpeg
from tuiprobe.results import TopImage
from tuiprobe.results.section import Content, Strip, StripEnd, Table
from tuiprobe.results.subject import Prediction
from tuiprobe.run.pictures import Pictures, differing, read_pictures

SHOWN: Final = 8
"""Pictures on which models differ that a page shows."""

SEVERAL: Final = 3
"""With this many runs or more, figures are correlated."""


def compare_page(
    runs: Sequence[Run],
    decision: Decision,
    comparisons: Sequence[Comparison],
    everything: bool = False,
) -> str:
    """Returns the page of a comparison as HTML.

    Args:
        runs: The runs.
        decision: Which of them to take.
        comparisons: The first model of the decision with each of the others.
        everything: Whether all other figures of each pair are listed.
    """
    decided = describe_decision(decision, runs)
    ordered = [runs[row.place] for row in decision.models]
    evidence: list[Content] = []
    if chart := paired_chart(paired_rows(decision, comparisons), decision.models[0].model):
        evidence.append(chart)
    small: dict[tuple[str, int], bytes] = {}
    if (differ := _first_shared(decision, ordered)) is not None:
        strip, small = _strip(differ, [row.model for row in decision.models])
        evidence.append(strip)
    at = next(i for i, piece in enumerate(decided.content) if isinstance(piece, Table)) + 1
    content = (*decided.content[:at], *evidence, *decided.content[at:])
    first = decided.model_copy(update={"headline": (), "content": content})  # the title says it
    rest = [describe(comparison, everything, decision.notes) for comparison in comparisons]
    if len(runs) >= SEVERAL:
        rest.append(describe_indicator(correlate([run.report for run in runs])))
    return sections_html(decision.sentence.removesuffix("."), [first], rest, small)


def _first_shared(decision: Decision, runs: Sequence[Run]) -> list[Pictures] | None:
    """Returns the target as each model answers it, or the first shift whose images they share."""
    sets = []
    with suppress(TuiprobeError):  # the decision and the figures need none of it
        sets = [read_pictures(run.directory) for run in runs]
    for name in (decision.target, *decision.shifts):
        if sets and all(name in of and of[name].answers is not None for of in sets):
            shared = [of[name] for of in sets]
            with suppress(TuiprobeError):
                if differing(shared).size:
                    return shared
    return None


def _strip(
    sets: Sequence[Pictures], models: Sequence[str]
) -> tuple[Strip, dict[tuple[str, int], bytes]]:
    """Returns the pictures on which models differ with each one's answer, and what can be shown."""
    first, places = sets[0], differing(sets)
    shown = [of.at(places[:SHOWN]) for of in sets]
    originals, small = Originals(first.record.source), {}
    for picture in shown[0]:
        with suppress(TuiprobeError):  # moved since: its name is shown
            image = originals.open(picture.path, picture.digest)
            small[picture.set, picture.id] = small_jpeg(image)
    images = tuple(
        TopImage(sample_id=p.id, path=p.path, value=p.confidence or 0.0, position=0)
        for p in shown[0]
    )
    captions = tuple(_answers(answers) for answers in zip(*shown, strict=True))
    count = f"{len(places):,} of {len(first.values.ids):,}"
    end = StripEnd(label=f"answers of {' · '.join(models)}", images=images, captions=captions)
    strip = Strip(
        id="differ", title=(f"Where they differ, {count}",), data=first.record.name, ends=(end,)
    )
    return strip, small


def _answers(answers: Sequence[Prediction]) -> str:
    """Returns each model's answer on one picture, and its label where there is one."""
    text = " · ".join(one.answer or "none" for one in answers)
    return text if answers[0].label is None else f"{text} (label {answers[0].label})"
