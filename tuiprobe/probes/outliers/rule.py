"""Rule v3: what a set of rows shows, in one word.

It describes, and claims nothing about robustness. Every inequality is on the end of an interval;
the first outcome whose condition holds is the answer. Cuts and their reasons: docs/outliers.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tuiprobe.numbers import number
from tuiprobe.probes.inputs import Bool, Int64
from tuiprobe.probes.outliers.channel_result import (
    Heights,
    Outcome,
    OutlierFinding,
    RowFigures,
)
from tuiprobe.probes.proportions import wilson_bounds
from tuiprobe.results import DataSet, Figure, Model, given

IN_MOST = 0.9
"""Part of the rows in which an outlier channel exceeds a height of 6."""
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
MOST_ALIKE = 0.5
NEARLY_EQUAL = 0.9


@dataclass(frozen=True)
class Circumstances:
    """What the outcome rests on besides the figures.

    Attributes:
        head: Whether the rows are a head's, which are exempt from all that is withheld.
        untrained: Whether the weights are random.
        ablated: Whether inner channels were replaced.
        classes: Distinct labels among the images; None if unlabelled.
    """

    head: bool = False
    untrained: bool = False
    ablated: bool = False
    classes: int | None = None

    @property
    def unlabelled(self) -> bool:
        """Whether the rows are images without labels."""
        return not self.head and self.classes is None


def circumstances(model: Model, data: DataSet, labels: Int64 | None) -> Circumstances:
    """Returns the circumstances of a model's representations of a set.

    Args:
        model: The encoder.
        data: The set.
        labels: [n], class of each image; None if unlabelled.
    """
    labelled = data.labelled and labels is not None
    return Circumstances(
        untrained=model.weights.kind == "untrained",
        ablated=bool(model.ablated),
        classes=int(np.unique(labels).size) if labelled and labels is not None else None,
    )


def with_finding(figures: RowFigures, about: Circumstances) -> RowFigures:
    """Returns the figures with the outcome of rule v3.

    Args:
        figures: Of the rows; their `finding` is not read.
        about: What else the outcome rests on.
    """
    withheld = () if about.head else tuple(_withheld(figures, about))
    rows = _rows(figures)
    provisional = not about.head and MIN_IMAGES <= rows < FULL_IMAGES
    if withheld:
        finding = OutlierFinding(outcome=Outcome.WITHHELD, reasons=withheld)
    else:
        outcome, reasons = _outcome(figures)
        if provisional:
            reasons = (*reasons, f"provisional: {rows} images, fewer than {FULL_IMAGES}")
        finding = OutlierFinding(outcome=outcome, provisional=provisional, reasons=reasons)
    return figures.model_copy(update={"finding": finding})


def outlying(above: Int64, rows: int) -> Bool:
    """Returns which channels are outlier channels, bool [C].

    Args:
        above: int64 [C], rows in which the height of each channel exceeds 6.
        rows: Number of rows, at least one.

    >>> outlying(np.array([64, 60, 3]), 64).tolist(), outlying(np.array([34]), 34).tolist()
    ([True, False, False], [False])
    """
    return np.asarray(wilson_bounds(above, rows)[0] >= IN_MOST)


def _outcome(figures: RowFigures) -> tuple[Outcome, tuple[str, ...]]:
    """Returns the first outcome whose condition holds, and the figures that decided."""
    if figures.outlier_channels:
        count = len(figures.outlier_channels)
        return Outcome.CHANNELS, (
            f"{count} channel{'s' if count > 1 else ''} above a height of 6 in at least 90 % of "
            "the rows by Wilson's lower bound",
        )
    share, explained = figures.persistence.value, figures.offset.explained
    cut = HEAVY * figures.basis_reference
    kurtosis = f"kurtosis {_text(figures.kurtosis)} against {number(cut)}, 1.5 times its reference"
    moving = f"persistence {_text(share)} against {MOVING:g}"
    part = f"part of the kurtosis that the offset explains: {_text(explained)}"
    low, high = _ends(figures.kurtosis)
    p_low, p_high = _ends(share)
    leading = figures.heights.leading if isinstance(figures.heights, Heights) else ()
    for channel in leading:
        if not (_at_least(channel.height, TALL) and _at_least(channel.offset, CONSTANT)):
            continue
        tall = (
            f"channel {channel.channel} has a median height of {_text(channel.height)}, and "
            f"{_text(channel.offset)} of its energy is constant"
        )
        if high is not None and high <= cut:
            return Outcome.OFFSET, (tall, kurtosis)
        if _at_least(explained, CONSTANT):
            return Outcome.OFFSET, (tall, part)
        break
    else:
        tall = ""
    heavy = low is not None and low > cut
    offset, null = figures.offset.kurtosis, figures.offset.null_999
    offset_low, _ = _ends(offset)
    concentrated = offset_low is not None and given(null) and offset_low > null.value
    if concentrated and heavy and _at_least(explained, CONSTANT):
        random = f"kurtosis of the offset {_text(offset)} against {_text(null)} of a random"
        return Outcome.OFFSET, (f"{random} direction", part)
    if heavy and p_high is not None and p_high < MOVING:
        if tall:
            return Outcome.MOVING_AND_CONSTANT, (kurtosis, moving, tall, part)
        return Outcome.MOVING, (kurtosis, moving)
    if heavy and p_low is not None and p_low >= MOVING and _below(explained, CONSTANT):
        return Outcome.UNEVEN, (kurtosis, moving, part)
    flat = isinstance(figures.heights, Heights) and all(
        _below(channel.height, TALL) for channel in leading
    )
    if high is not None and high < cut and flat:
        return Outcome.NONE, (kurtosis, f"no channel has a median height of {TALL:g}")
    return Outcome.UNDETERMINED, (kurtosis, moving, part)


def _withheld(figures: RowFigures, about: Circumstances) -> Iterator[str]:
    if about.untrained:
        yield "the network is untrained: its weights are random"
    if about.ablated:
        yield "inner channels were replaced: this is no longer the model"
    if _rows(figures) < MIN_IMAGES:
        yield f"{_rows(figures)} images count; at least {MIN_IMAGES} are needed"
    if about.classes is not None and about.classes < MIN_CLASSES:
        yield f"the images are of {about.classes} classes; at least {MIN_CLASSES} are needed"
    if about.unlabelled:
        if _at_least(figures.nearest_cosine, NEARLY_EQUAL):
            yield (
                "the images are near-duplicates: after centring, the nearest other image has a "
                f"median cosine of {_text(figures.nearest_cosine)}, above {NEARLY_EQUAL:g}"
            )
        if _at_least(figures.centred_cosine, MOST_ALIKE):
            yield (
                "most images are alike: after centring, their mean cosine is "
                f"{_text(figures.centred_cosine)}, above {MOST_ALIKE:g}"
            )
    if not given(figures.kurtosis):
        yield f"kurtosis could not be given: {figures.kurtosis.reason}"


def _rows(figures: RowFigures) -> int:
    return figures.kurtosis.n if given(figures.kurtosis) else 0


def _at_least(figure: Figure, cut: float) -> bool:
    low, _ = _ends(figure)
    return low is not None and low >= cut


def _below(figure: Figure, cut: float) -> bool:
    """Returns whether a figure lies below a cut; one that does not exist explains nothing."""
    if not given(figure):
        return True
    return figure.high is not None and figure.high < cut


def _ends(figure: Figure) -> tuple[float | None, float | None]:
    return (figure.low, figure.high) if given(figure) else (None, None)


def _text(figure: Figure) -> str:
    if not given(figure):
        return f"not given ({figure.reason})"
    return figure.with_interval()
