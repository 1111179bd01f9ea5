"""The card: the answers of all probes as one description, in fixed order, and the title.

Every format and the screens show the same lines. Each probe says by its `block` where its answer
belongs and by `Section.card` what it is. Pages also show rows on the model and the sets of images.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final, get_args

from tuiprobe.catalog.class_names import set_contents
from tuiprobe.numbers import number
from tuiprobe.results.base import Frozen, Many, is_known
from tuiprobe.results.doubt import Doubt, stopping
from tuiprobe.results.figures import LABELLED, TARGET, TOP1
from tuiprobe.results.report import Part, Report
from tuiprobe.results.section import (
    Block,
    Chart,
    Code,
    Id,
    NamedFigure,
    Series,
    SeriesRole,
    Strip,
    Strong,
    Text,
    Value,
)
from tuiprobe.results.subject import Model, SetSummary

TITLES: Final[dict[Block, str]] = {
    "your images": "Your images",
    "shifts": "Under shifts",
    "inside": "Inside",
    "deploy": "To deploy",
    "how sure": "How sure",
}
"""Title of each block."""

FOLDED: Final[frozenset[Block]] = frozenset({"inside", "deploy"})
"""Blocks that explain accuracies: pages fold them, and they have at most `MOST_FOLDED` lines.

Where no accuracy is known, they are all that was measured, and stand open.
"""

MOST_FOLDED: Final = 4

_NEEDED: Final[tuple[Block, ...]] = ("your images", "shifts")
"""Blocks that say for themselves why they have no answer; for the others the last block does. A
reason is given once. `shifts` is one of them where two or more sets have labels."""


CardPicture = Chart | Strip


class CardBlock(Frozen):
    """One block of the card.

    Attributes:
        block: Which one it is.
        title: For people.
        lines: The answer, one line each.
        probes: Ids of the probes that hold the evidence, in the order of the lines.
        pictures: The charts and strips that show the answer; none where nothing is drawn.
        folded: Whether a page shows it folded, because it explains accuracies.
    """

    block: Block
    title: str
    lines: Many[Text]
    probes: Many[Id] = ()
    pictures: Many[CardPicture] = ()
    folded: bool = False


def card(report: Report) -> tuple[CardBlock, ...]:
    """Returns the blocks of the card, in order; blocks with nothing to say are left out."""
    blocks = []
    reasons: set[str] = set()
    needed = _needed(report)
    for block in get_args(Block):
        parts = [part for part in report.parts if part.block == block]
        lines = [line for part in parts for line in _lines(part)]
        folded = block in FOLDED and bool(report.accuracies)
        if block in needed and not lines:
            lost = [part for part in parts if part.not_run is not None and part.applies][:1]
            lost = [part for part in lost if report.why_not(part.probe) not in reasons]
            reasons.update(report.why_not(part.probe) for part in lost)
            lines = [(f"{part.title}: {report.why_not(part.probe)}.",) for part in lost]
        if block == "how sure":
            lines = [*_measured(report), *lines, *_unknown(report, reasons)]
        if folded:
            lines = _joined(lines)
        if lines:
            ids = tuple(part.probe for part in parts)
            blocks.append(
                CardBlock(
                    block=block,
                    title=TITLES[block],
                    lines=tuple(lines),
                    probes=ids,
                    pictures=_pictures(parts),
                    folded=folded,
                )
            )
    return tuple(blocks)


def _needed(report: Report) -> tuple[Block, ...]:
    return _NEEDED if sum(data.labelled for data in report.data) > 1 else _NEEDED[:1]


def set_accuracies(report: Report) -> list[NamedFigure]:
    """Returns the known accuracies of sets: by labels, then estimated, then measured in the run."""
    figures = [named for part in report.parts for named in part.figures if is_known(named.figure)]
    ranks = (fig.headline for fig in (LABELLED, TARGET, TOP1))
    return [named for rank in ranks for named in figures if named.headline == rank]


def sets_line(report: Report) -> Text:
    """Describes the content of each set with an accuracy; empty where fewer than two have one."""
    known = dict.fromkeys(named.data for named in set_accuracies(report))
    sets = {data.name: data for data in report.data}
    shown = [sets[name] for name in known if name in sets]
    if len(shown) < 2:
        return ()
    of_imagenet = report.data[0].name == "imagenet"
    pieces: list[Value] = []
    for data in shown:
        contents = set_contents(data.name, data.source, of_imagenet)
        pieces += [Code(code=data.name), f": {contents}{'.' if data is shown[-1] else '; '}"]
    return tuple(pieces)


def sets_axis(report: Report) -> Chart | None:
    """Returns the accuracy on every set on one axis, the user's first, if two or more are known."""
    known = set_accuracies(report)
    if len(known) < 2:
        return None
    names = list(dict.fromkeys(named.data for named in known))
    estimated = [named for named in known if named.headline == TARGET.headline]
    measured = [named for named in known if named not in estimated]

    def on_axis(name: str, role: SeriesRole, accuracies: Sequence[NamedFigure]) -> Series:
        figures = [named.figure for named in accuracies if is_known(named.figure)]
        return Series(
            name=name,
            x=tuple(float(names.index(named.data)) for named in accuracies),
            y=tuple(figure.value for figure in figures),
            low=tuple(figure.value if figure.low is None else figure.low for figure in figures),
            high=tuple(figure.value if figure.high is None else figure.high for figure in figures),
            mark="points",
            role=role,
        )

    drawn = (
        on_axis("estimated: 80 % range", "main", estimated),
        on_axis("measured: 95 % interval", "second", measured),
    )
    return Chart(
        id="sets",
        title="Accuracy on each set",
        x_label="set",
        y_label="right answers, % of the images",
        y_unit="share",
        ticks=tuple(names),
        across=True,
        series=tuple(series for series in drawn if series.x),
    )


def _lines(part: Part) -> tuple[Text, ...]:
    if part.section is None:
        return ()
    if part.section.card is not None:
        return part.section.card
    return (part.section.headline,) if part.section.headline else ()


def _joined(lines: list[Text]) -> list[Text]:
    """Returns at most `MOST_FOLDED` lines; further lines are appended to the last of them."""
    shown, folded = lines[:MOST_FOLDED], lines[MOST_FOLDED:]
    for line in folded:
        shown[-1] = (*shown[-1], " ", *line)
    return shown


def _pictures(parts: list[Part]) -> tuple[CardPicture, ...]:
    """Returns the pictures of the last section of a block that names any and has data."""
    for section in (part.section for part in reversed(parts) if part.section is not None):
        drawn = [piece for piece in section.content if isinstance(piece, Chart | Strip)]
        pictures = tuple(piece for id in section.pictures for piece in drawn if piece.id == id)
        if pictures:
            return pictures
    return ()


def _measured(report: Report) -> Iterator[Text]:
    """Yields the number of images that figures rest on."""
    if not report.data:
        return
    counts = sorted({data.measured for data in report.data})
    sets = f"{len(report.data)} sets" if len(report.data) > 1 else "1 set"
    images = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
    training, weights = report.model.training, report.model.weights.kind
    model = "training unknown" if training == "unknown" else f"{training} model"
    if weights == "unknown":
        yield (f"{sets} of {images} vectors; {model}.",)
    elif weights == "answers":
        yield (f"{sets} of {images} images; answers of a table.",)
    else:
        yield (f"{sets} of {images} images; {model}, {weights} weights.",)


def not_run(report: Report) -> dict[str, list[str]]:
    """Returns the titles of the probes that did not run, by the reason."""
    reasons: dict[str, list[str]] = {}
    for part in report.parts:
        if part.not_run is not None:
            reasons.setdefault(report.why_not(part.probe), []).append(part.title)
    return reasons


def _unknown(report: Report, shown_above: Collection[str]) -> Iterator[Text]:
    """Yields the probes that should have run and did not, once for each reason.

    Args:
        report: The report.
        shown_above: Reasons that stand above.
    """
    lost: dict[str, list[str]] = {}
    answered = {part.block for part in report.parts if part.section is not None}
    for part in report.parts:
        if not part.applies or part.not_run is None:
            continue
        if part.block == "your images" and part.block in answered:
            continue  # labels of the same pictures say more
        if part.block not in _needed(report) or part.block in answered:
            lost.setdefault(report.why_not(part.probe), []).append(part.title)
    for reason in shown_above:
        lost.pop(reason, None)
    for reason, titles in lost.items():
        yield (f"Not known: {', '.join(titles)}: {reason}.",)


def title(
    model: Model,
    data: tuple[SetSummary, ...],
    parts: tuple[Part, ...],
    doubts: Sequence[Doubt] = (),
    *,
    partial: bool = False,
) -> str:
    """Returns the title: the model and its best accuracy, or else its most notable figure.

    The answer is the clause of the first block of the card that has one, or that the accuracy is
    unknown where it was asked for; on random weights there is none.
    """
    answers = [
        part.section
        for block in get_args(Block)
        for part in parts
        if part.block == block and part.section is not None and part.section.clause
    ]
    if model.weights.kind == "untrained":
        text = f"UNTRAINED network {model.name} on {_names(data)}: random weights"
    elif not any(part.block in _NEEDED and part.section for part in parts) and any(
        part.block in _NEEDED and part.not_run and part.applies for part in parts
    ):
        why = "" if any(of.labelled for of in data) else ": no labels"
        text = f"{model.name} on {_names(data)}: accuracy unknown{why}"
    elif not answers:
        text = f"{model.name} on {_names(data)}"
    else:
        on = f" on {answers[0].clause_on}" if answers[0].clause_on else ""
        text = f"{model.name}{on}: {answers[0].clause}"
    text = f"IN DOUBT: {text}" if answers and stopping(doubts) else text
    return f"PARTIAL: {text}" if partial else text


def _names(data: tuple[SetSummary, ...]) -> str:
    return ", ".join(each.name for each in data) or "no images"


LISTED_IMAGES = 20
"""Images of a set that could not be used that a page names."""

DATA = ("data", "source", "images", "measured", "skipped", "not finite", "classes")


def subject_rows(report: Report) -> Iterator[tuple[str, Text]]:
    """Yields the subject of the report as names and values."""
    model, weights = report.model, report.model.weights
    pre = model.preprocessing
    yield "model", (Code(code=model.name),)
    yield "architecture", (Code(code=model.architecture), f" ({model.loader})")
    if weights.kind == "unknown":
        yield "vectors", (Code(code=weights.source),)
    elif weights.kind == "answers":
        yield "answers", (Code(code=weights.source),)
        yield "answers SHA-256", (Code(code=weights.digest),)
    else:
        yield "weights", (Strong(strong=weights.kind), ", ", Code(code=weights.source))
        yield "weights SHA-256", (Code(code=weights.digest),)
    if model.representation == "none":
        return
    yield "representation", (f"{model.representation}, {model.width} channels",)
    if weights.kind != "unknown":
        yield "parameters", (model.parameters,)
    steps = "not known"
    if pre.known:
        mean, std = (", ".join(map(number, values)) for values in (pre.mean, pre.std))
        steps = (
            f"{pre.size[0]} x {pre.size[1]}, {pre.interpolation}, mean {mean}, std {std}; "
            f"from {pre.source}"
        )
    yield "preprocessing", (steps,)


def data_rows(report: Report) -> tuple[tuple[str, ...], list[tuple[Value, ...]]]:
    """Returns header and rows of the sets of images."""
    rows: list[tuple[Value, ...]] = [
        (
            Code(code=data.name),
            Code(code=data.source),
            data.images,
            data.measured,
            len(data.skipped),
            data.nonfinite,
            data.classes if data.labelled else "target" if data.target else "unlabelled",
        )
        for data in report.data
    ]
    return DATA, rows


def left_out(report: Report) -> Iterator[tuple[Text, list[Text]]]:
    """Yields lists of images that could not be used, each with the line above it."""
    for data in report.data:
        name = Code(code=data.name)
        if data.skipped:
            items: list[Text] = [
                (Code(code=image.path), f": {image.reason}")
                for image in data.skipped[:LISTED_IMAGES]
            ]
            if (more := len(data.skipped) - LISTED_IMAGES) > 0:
                items.append((f"and {more:,} more in results.json",))
            yield ("Skipped images of ", name, ":"), items
        if data.nonfinite:
            items = [(Code(code=path),) for path in data.nonfinite_images[:LISTED_IMAGES]]
            if (more := data.nonfinite - len(items)) > 0:
                items.append((f"and {more:,} more",))
            about = (
                " with a representation that is not finite, left out of every figure of the final "
                "representation:"
            )
            yield ("Images of ", name, about), items
