"""The eight headline figures: which they are, in which order, and what people call them.

Probes take their ranks from here (`NamedFigure.headline`). Comparisons, gates and tables look the
figures up by id, so this is the only list.
"""

from typing import Final, Literal, NamedTuple

Unit = Literal["points", "sigma", "share", "kurtosis", "dB"]
"""What a headline figure counts; an accuracy is kept as a share and its differences are told in
points. Figures of one unit can be drawn on one scale."""

TOP1: Final = 10
MEAN_SHIFT: Final = 11
EFFECTIVE: Final = 12
TARGET: Final = 13
HEIGHT: Final = 20
OFFSET: Final = 21
KURTOSIS: Final = 22
INT8: Final = 30


class Headline(NamedTuple):
    """One headline figure.

    Attributes:
        id: Id of the named figure.
        rank: Its rank, `NamedFigure.headline`.
        name: What people call it; gates accept it in quotes.
        unit: What it counts.
        term: Id of what the glossary says about it.
    """

    id: str
    rank: int
    name: str
    unit: Unit
    term: str


HEADLINES: Final = (
    Headline("top1", TOP1, "top-1", "points", "top-1"),
    Headline("mean_shift", MEAN_SHIFT, "mean of shifts", "points", "mean-of-shifts"),
    Headline("value", EFFECTIVE, "effective robustness", "points", "effective-robustness"),
    Headline("target", TARGET, "estimated accuracy", "points", "estimate"),
    Headline("height", HEIGHT, "highest channel", "sigma", "height"),
    Headline("offset.share", OFFSET, "offset share", "share", "offset-share"),
    Headline("kurtosis", KURTOSIS, "kurtosis", "kurtosis", "kurtosis"),
    Headline("int8", INT8, "INT8 signal to noise", "dB", "sqnr"),
)
"""In the order of their ranks. Of several sets, the figure of the first one counts: top-1 of the
in-distribution set, estimated accuracy of the first target set."""

TARGET_ERROR: Final = "target_error"
"""Id of the figure that goes with every estimate: its mean absolute error on labelled shifts."""
