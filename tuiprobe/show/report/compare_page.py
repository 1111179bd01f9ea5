"""The page of a comparison: the decision, the paired differences, the pictures; the rest folded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from tuiprobe.choose.comparing.decision import Decision
from tuiprobe.choose.comparing.decision_section import describe_decision
from tuiprobe.choose.comparing.differences import Comparison
from tuiprobe.choose.comparing.differences_section import describe_details
from tuiprobe.choose.comparing.forest import paired_chart, paired_rows
from tuiprobe.choose.comparing.runs import Run
from tuiprobe.choose.comparing.same_pictures import shared_pictures
from tuiprobe.datasets.load import Originals
from tuiprobe.errors import TuiprobeError
from tuiprobe.measure.run.pictures import Indices, Pictures, differing
from tuiprobe.results import TopImage
from tuiprobe.results.section import SectionContent, Strip, StripEnd, Table
from tuiprobe.results.subject import Prediction
from tuiprobe.show.report.html import sections_html
from tuiprobe.show.report.label_page import small_jpeg

SHOWN: Final = 8
"""Pictures on which models differ that a page shows."""

_EACH: Final = 4
"""Models up to which the answer of each stands below a picture; of more, how many gave which."""


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
    evidence: list[SectionContent] = []
    if chart := paired_chart(paired_rows(decision, comparisons), decision):
        evidence.append(chart)
    small: dict[tuple[str, int], bytes] = {}
    compared = [row for row in decision.models if row.standing != "not compared"]
    if (shared := _first_shared(decision, [runs[row.place] for row in compared])) is not None:
        strip, small = _strip(*shared, [row.model for row in compared])
        evidence.append(strip)
    at = next(i for i, piece in enumerate(decided.content) if isinstance(piece, Table)) + 1
    content = (*decided.content[:at], *evidence, *decided.content[at:])
    first = decided.model_copy(update={"headline": (), "content": content})  # the title says it
    details = describe_details(runs, decision, comparisons, everything)
    return sections_html(decision.sentence.removesuffix("."), [first], details, small)


def _first_shared(decision: Decision, runs: Sequence[Run]) -> tuple[list[Pictures], Indices] | None:
    """Returns the target, the labelled set or the first shift as each model answers it.

    Also returns the indices of the images on which they differ, if they differ on any.
    """
    with suppress(TuiprobeError):  # the decision and the figures need none of it
        shared = shared_pictures(runs)
        for name in (decision.target, decision.question, *decision.shifts):
            if name in shared and (indices := differing(shared[name])).size:
                return shared[name], indices
    return None


def _strip(
    sets: Sequence[Pictures], indices: Indices, models: Sequence[str]
) -> tuple[Strip, dict[tuple[str, int], bytes]]:
    """Returns the pictures on which models differ with each one's answer, and what can be shown."""
    first = sets[0]
    shown = [of.at(indices[:SHOWN]) for of in sets]
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
    count = f"{len(indices):,} of {len(first.values.ids):,}"
    whose = " · ".join(models) if len(models) <= _EACH else f"{len(models)} models"
    end = StripEnd(label=f"answers of {whose}", images=images, captions=captions)
    strip = Strip(
        id="differ", title=(f"Where they differ, {count}",), data=first.record.name, ends=(end,)
    )
    return strip, small


def _answers(answers: Sequence[Prediction]) -> str:
    """Returns the answers on one picture, and its label where there is one."""
    words = [one.answer or "none" for one in answers]
    text = " · ".join(words)
    if len(words) > _EACH:
        text = ", ".join(f"{count} {word}" for word, count in Counter(words).most_common())
    return text if answers[0].label is None else f"{text} (label {answers[0].label})"
