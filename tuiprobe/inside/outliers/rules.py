"""Rule v3, which says in one word what a set of rows shows.

It describes, and claims nothing about robustness. Every inequality is on the end of an interval;
the first outcome whose condition holds is the answer. Cuts and their reasons: docs/outliers.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tuiprobe.inside.outliers.result import (
    Heights,
    Outcome,
    OutlierChannel,
    OutlierFinding,
    RowFigures,
)
from tuiprobe.numbers import number
from tuiprobe.results import Figure, is_known

TALL = 5.0
"""Median height of a channel that makes an offset concentrated."""
CONSTANT = 0.5
"""Part of a tall channel's energy that is constant; part of kurtosis that an offset explains."""
HEAVY = 1.5
"""Kurtosis over its reference from which tails are heavy."""
MOVING = 0.3
"""Persistence below which they move."""
MIN_IMAGES, FULL_IMAGES = 64, 256
MIN_CLASSES = 10
SIMILAR = 0.5
NEARLY_EQUAL = 0.9


@dataclass(frozen=True)
class RowContext:
    """What decides the outcome besides the figures: kind of rows, weights and labels.

    Attributes:
        head: Whether the rows are a head's, which are exempt from all that is withheld.
        untrained: Whether the weights are random.
        classes: Distinct labels among the images.
    """

    head: bool = False
    untrained: bool = False
    classes: int | None = None

    @property
    def unlabelled(self) -> bool:
        """Whether the rows are images without labels."""
        return not self.head and self.classes is None


def finding(figures: RowFigures, context: RowContext) -> OutlierFinding:
    """Returns the outcome of rule v3 with its grounds.

    Args:
        figures: Of the rows; their `finding` is not read.
        context: What else the outcome rests on.
    """
    withheld = () if context.head else tuple(_withheld(figures, context))
    if withheld:
        return OutlierFinding(outcome=Outcome.WITHHELD, reasons=withheld)
    rows, (outcome, reasons) = _rows(figures), _outcome(figures)
    provisional = not context.head and rows < FULL_IMAGES
    if provisional:
        reasons = (*reasons, f"provisional: {rows} images, fewer than {FULL_IMAGES}")
    return OutlierFinding(outcome=outcome, provisional=provisional, reasons=reasons)


def _outcome(figures: RowFigures) -> tuple[Outcome, tuple[str, ...]]:
    """Returns the first outcome whose condition holds, and the figures that decided."""
    if figures.outlier_channels:
        count = len(figures.outlier_channels)
        return Outcome.CHANNELS, (
            f"{count} channel{'s' if count > 1 else ''} above a height of 6 in at least 90 % of "
            "the rows by Wilson's lower bound",
        )
    kurtosis, share = figures.kurtosis, figures.persistence.value
    explained, offset = figures.offset.explained, figures.offset.kurtosis
    null = figures.offset.null_999
    leading = figures.heights.leading if isinstance(figures.heights, Heights) else ()
    tall = [c for c in leading if _at_least(c.height, TALL) and _at_least(c.offset, CONSTANT)]
    flat = leading and all(_below(channel.height, TALL) for channel in leading)
    cut = HEAVY * figures.basis_reference
    heavy, light = _at_least(kurtosis, cut), _below(kurtosis, cut)
    moving, still = heavy and _below(share, MOVING), heavy and _at_least(share, MOVING)
    from_offset = _at_least(explained, CONSTANT)
    unexplained = not is_known(explained) or _below(explained, CONSTANT)
    concentrated = is_known(null) and _at_least(offset, null.value)

    tails = f"kurtosis {_text(kurtosis)} against {number(cut)}, 1.5 times its reference"
    moves = f"persistence {_text(share)} against {MOVING:g}"
    part = f"part of the kurtosis that the offset explains: {_text(explained)}"
    above = f"kurtosis of the offset {_text(offset)} against {_text(null)} of a random direction"
    channel = _constancy(tall[0]) if tall else ""
    rules = (
        (tall and light, Outcome.OFFSET, (channel, tails)),
        (tall and from_offset, Outcome.OFFSET, (channel, part)),
        (concentrated and heavy and from_offset, Outcome.OFFSET, (above, part)),
        (moving and tall, Outcome.MOVING_AND_CONSTANT, (tails, moves, channel, part)),
        (moving, Outcome.MOVING, (tails, moves)),
        (still and unexplained, Outcome.UNEVEN, (tails, moves, part)),
        (light and flat, Outcome.NONE, (tails, f"no channel has a median height of {TALL:g}")),
        (True, Outcome.UNDETERMINED, (tails, moves, part)),
    )
    return next((outcome, reasons) for holds, outcome, reasons in rules if holds)


def _withheld(figures: RowFigures, context: RowContext) -> Iterator[str]:
    if context.untrained:
        yield "the network is untrained: its weights are random"
    if _rows(figures) < MIN_IMAGES:
        yield f"{_rows(figures)} images count; at least {MIN_IMAGES} are needed"
    if context.classes is not None and context.classes < MIN_CLASSES:
        yield f"the images are of {context.classes} classes; at least {MIN_CLASSES} are needed"
    if context.unlabelled:
        if _at_least(figures.nearest_cosine, NEARLY_EQUAL):
            yield (
                "representations are nearly alike, because the images are near-duplicates or "
                "the model hardly separates them: after centring, the nearest other image has "
                f"a median cosine of {_text(figures.nearest_cosine)}, above {NEARLY_EQUAL:g}"
            )
        if _at_least(figures.centred_cosine, SIMILAR):
            yield (
                "most representations are alike: after centring, their mean cosine is "
                f"{_text(figures.centred_cosine)}, above {SIMILAR:g}"
            )


def _constancy(channel: OutlierChannel) -> str:
    return (
        f"channel {channel.channel} has a median height of {_text(channel.height)}, and "
        f"{_text(channel.offset)} of its energy is constant"
    )


def _rows(figures: RowFigures) -> int:
    return figures.kurtosis.n if is_known(figures.kurtosis) else 0


def _at_least(figure: Figure, cut: float) -> bool:
    return is_known(figure) and figure.low is not None and figure.low >= cut


def _below(figure: Figure, cut: float) -> bool:
    return is_known(figure) and figure.high is not None and figure.high < cut


def _text(figure: Figure) -> str:
    if not is_known(figure):
        return f"not given ({figure.reason})"
    return figure.with_interval()
