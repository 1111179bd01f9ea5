"""The rules: v3, which gives the outcome, and those of other authors beside it.

Rule v3 says in one word what a set of rows shows. It describes, and claims nothing about
robustness. Every inequality is on the end of an interval; the first outcome whose condition holds
is the answer. Cuts and their reasons: docs/outliers.md.

Related criteria are as their authors define them. Magnitude rules are about a transformer's
residual stream: elsewhere they are not run, with the reason.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tuiprobe.numbers import number
from tuiprobe.probes.inputs import Bool, Float64, Int64, TapArrays
from tuiprobe.probes.intervals import exact
from tuiprobe.probes.outliers.result import (
    Criterion,
    Heights,
    Outcome,
    OutlierFinding,
    RowFigures,
)
from tuiprobe.results import Figure, NotRun, given

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

MASSIVE_MAGNITUDE, MASSIVE_RATIO = 100.0, 1000.0
INT8_LAYERS, INT8_POSITIONS = 0.25, 0.06
LISTED = 32

MASSIVE, REGISTERS = "massive activations", "registers"
INT8 = "LLM.int8 outlier dimensions"
CRITERIA = {
    MASSIVE: (
        "Sun et al. 2024",
        "magnitude > 100 and about 1,000 times the median magnitude of the hidden state",
        "largest magnitude / median magnitude",
    ),
    REGISTERS: (
        "Darcet et al. 2024",
        "token norms above a model-specific cut, seen as a second mode of the histogram",
        "fraction of tokens above the cut",
    ),
    INT8: (
        "Dettmers et al. 2022",
        "magnitude >= 6 in >= 25 % of layers and >= 6 % of positions",
        "channels",
    ),
}
"""Source, rule and unit of the related criteria, by name."""
_STREAM = "magnitude rules need a transformer's residual stream"
NO_STREAM = NotRun(reason=f"{_STREAM}; this tap is not one")
NO_STREAMS = NotRun(reason=f"{_STREAM}; no tap is one")


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


def finding(figures: RowFigures, about: Circumstances) -> OutlierFinding:
    """Returns the outcome of rule v3 with its grounds.

    Args:
        figures: Of the rows; their `finding` is not read.
        about: What else the outcome rests on.
    """
    withheld = () if about.head else tuple(_withheld(figures, about))
    if withheld:
        return OutlierFinding(outcome=Outcome.WITHHELD, reasons=withheld)
    rows, (outcome, reasons) = _rows(figures), _outcome(figures)
    provisional = not about.head and rows < FULL_IMAGES
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
    share, explained = figures.persistence.value, figures.offset.explained
    cut = HEAVY * figures.basis_reference
    kurtosis = f"kurtosis {_text(figures.kurtosis)} against {number(cut)}, 1.5 times its reference"
    moving = f"persistence {_text(share)} against {MOVING:g}"
    part = f"part of the kurtosis that the offset explains: {_text(explained)}"
    heavy, light = _at_least(figures.kurtosis, cut), _below(figures.kurtosis, cut)
    leading = figures.heights.leading if isinstance(figures.heights, Heights) else ()
    for channel in leading:
        if not (_at_least(channel.height, TALL) and _at_least(channel.offset, CONSTANT)):
            continue
        tall = (
            f"channel {channel.channel} has a median height of {_text(channel.height)}, and "
            f"{_text(channel.offset)} of its energy is constant"
        )
        if light:
            return Outcome.OFFSET, (tall, kurtosis)
        if _at_least(explained, CONSTANT):
            return Outcome.OFFSET, (tall, part)
        break
    else:
        tall = ""
    offset, null = figures.offset.kurtosis, figures.offset.null_999
    concentrated = given(null) and _at_least(offset, null.value)
    if concentrated and heavy and _at_least(explained, CONSTANT):
        random = f"kurtosis of the offset {_text(offset)} against {_text(null)} of a random"
        return Outcome.OFFSET, (f"{random} direction", part)
    if heavy and _below(share, MOVING):
        if tall:
            return Outcome.MOVING_AND_CONSTANT, (kurtosis, moving, tall, part)
        return Outcome.MOVING, (kurtosis, moving)
    unexplained = not given(explained) or _below(explained, CONSTANT)
    if heavy and _at_least(share, MOVING) and unexplained:
        return Outcome.UNEVEN, (kurtosis, moving, part)
    if light and leading and all(_below(channel.height, TALL) for channel in leading):
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


def _rows(figures: RowFigures) -> int:
    return figures.kurtosis.n if given(figures.kurtosis) else 0


def _at_least(figure: Figure, cut: float) -> bool:
    return given(figure) and figure.low is not None and figure.low >= cut


def _below(figure: Figure, cut: float) -> bool:
    return given(figure) and figure.high is not None and figure.high < cut


def _text(figure: Figure) -> str:
    if not given(figure):
        return f"not given ({figure.reason})"
    return figure.with_interval()


def _criterion(
    name: str, figure: Figure, channels: Bool | None = None, note: str = ""
) -> Criterion:
    """Returns a criterion.

    Args:
        name: One of `CRITERIA`.
        figure: What it measures.
        channels: [C], those that meet it; None where channels do not decide.
        note: What else the reader needs.
    """
    met = () if channels is None else tuple(np.flatnonzero(channels)[:LISTED].tolist())
    return Criterion(
        name=name,
        figure=figure,
        met=None if channels is None else bool(met),
        channels=met,
        note=note,
    )


def _most_values(tap: TapArrays) -> int:
    """Returns the number of finite values of the channel that has most of them."""
    return int(np.asarray(tap.statistics["count"]).max(initial=0))


def massive_activations(tap: TapArrays) -> Criterion:
    """Tests for magnitudes above 100 and about 1,000 times the median (Sun et al. 2024)."""
    if tap.kind != "token":
        return _criterion(MASSIVE, NO_STREAM)
    if tap.tokens == "mean":
        return _criterion(MASSIVE, NotRun(reason="the mean over tokens levels magnitudes out"))
    if not np.isfinite(tap.rows).any():
        return _criterion(MASSIVE, NotRun(reason="no sampled rows to take the median from"))
    median = float(np.median(np.abs(tap.rows[np.isfinite(tap.rows)])))
    if median == 0:
        return _criterion(MASSIVE, NotRun(reason="the median magnitude is zero"))
    low, high = tap.statistics["min"], tap.statistics["max"]
    largest: Float64 = np.maximum(np.abs(low), np.abs(high))
    largest = np.where(tap.statistics["count"] > 0, largest, 0.0)
    hit = (largest > MASSIVE_MAGNITUDE) & (largest >= MASSIVE_RATIO * median)
    method = "all rows; median from sampled rows"
    figure = exact(largest.max() / median, _most_values(tap), method)
    note = f"largest magnitude {number(float(largest.max()))}, median {number(median)}"
    return _criterion(MASSIVE, figure, hit, note)


def registers(tap: TapArrays) -> Criterion:
    """Looks for a second mode of large token norms (Darcet et al. 2024)."""
    if tap.kind != "token":
        return _criterion(REGISTERS, NO_STREAM)
    if tap.tokens != "all":
        return _criterion(REGISTERS, NotRun(reason="needs the norms of all tokens"))
    histogram = np.asarray(tap.statistics["norm_histogram"], dtype=np.int64)
    total = int(histogram.sum())
    if total == 0:
        return _criterion(REGISTERS, NotRun(reason="no tokens"))
    cut, above, note = second_mode(histogram), 0, ""
    if cut is not None:
        above = int(histogram[cut:].sum())
        note = f"cut at norm {number(2 ** ((cut - 32) / 4))}, the valley between the modes"
    figure = exact(above / total, total, "count over all tokens", "share")
    criterion = _criterion(REGISTERS, figure, note=note)
    return criterion.model_copy(update={"met": cut is not None})


def second_mode(histogram: Int64) -> int | None:
    """Returns the first bin above the valley before a second mode; None for a single mode.

    Bins are quarter octaves of the norm. A second mode lies at least an octave above the main one,
    holds at least 0.1 % of the tokens, and stands at least twice as high as the valley between.

    >>> norms = np.zeros(96, dtype=np.int64); norms[30:34] = [10, 800, 700, 20]
    >>> second_mode(norms) is None
    True
    >>> norms[44:46] = [15, 9]
    >>> second_mode(norms)
    35
    """
    total, main = int(histogram.sum()), int(histogram.argmax())
    best: int | None = None
    height = 0
    for peak in range(main + 4, histogram.size):
        valley = int(histogram[main:peak].min())
        cut = main + int(histogram[main:peak].argmin()) + 1
        enough = histogram[cut:].sum() >= 1e-3 * total
        if histogram[peak] >= max(1, 2 * valley) and histogram[peak] > height and enough:
            best, height = cut, int(histogram[peak])
    return best


def llm_int8(taps: Sequence[TapArrays], *, all_blocks: bool) -> Criterion:
    """Tests for magnitude >= 6 in >= 25 % of layers and >= 6 % of positions (Dettmers et al. 2022).

    Args:
        taps: Token taps of one set, one per block.
        all_blocks: Whether these are all the model's blocks.
    """
    stream = [tap for tap in taps if tap.kind == "token" and tap.tokens != "mean"]
    if not stream:
        return _criterion(INT8, NO_STREAMS)
    if not all_blocks:
        return _criterion(INT8, NotRun(reason="needs all blocks; only some are tapped"))
    if len({tap.channels for tap in stream}) > 1:
        return _criterion(INT8, NotRun(reason="needs blocks of one width"))
    often = [
        np.asarray(tap.statistics["exceed_count"]) / np.maximum(1, tap.statistics["count"])
        >= INT8_POSITIONS
        for tap in stream
    ]
    hit = np.mean(often, axis=0) >= INT8_LAYERS
    method = f"all rows of {len(stream)} blocks"
    return _criterion(INT8, exact(int(hit.sum()), _most_values(stream[0]), method, "count"), hit)
