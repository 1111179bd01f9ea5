"""The headline figures, and what every table, plot and sentence says of them.

Probes take their ranks from here (`NamedFigure.headline`), readers find them with
`Report.headline`, and lists of runs take their columns from `LISTED`: this is the only list.
"""

from typing import Final, NamedTuple

LABELLED: Final = 9
TOP1: Final = 10
MEAN_SHIFT: Final = 11
EFFECTIVE: Final = 12
TARGET: Final = 13
INT8: Final = 15
INT8_NEIGHBOURS: Final = 16
HEIGHT: Final = 20
OFFSET: Final = 21
KURTOSIS: Final = 22


class Headline(NamedTuple):
    """One headline figure.

    Attributes:
        id: Id of the named figure.
        rank: Its rank, `NamedFigure.headline`.
        name: What people call it; gates accept it in quotes.
        term: Id of what the glossary says about it.
        place: Where points of it are gained or lost, for a sentence; empty where it is no accuracy.
        of_a_set: Whether a report has it for several sets, so that its name takes the set.
        within_kind: Whether it compares only within one kind of representation.
    """

    id: str
    rank: int
    name: str
    term: str
    place: str = ""
    of_a_set: bool = False
    within_kind: bool = False

    @property
    def is_accuracy(self) -> bool:
        """Whether it is an accuracy, or a difference of accuracies."""
        return bool(self.place)


LABELLED_ID: Final = "labelled"
"""Id of the accuracy that labels beside a run give it."""

HEADLINES: Final = (
    Headline(
        LABELLED_ID, LABELLED, "accuracy by labels", "accuracy-by-labels", "on {data} by labels",
        of_a_set=True,
    ),
    Headline("top1", TOP1, "top-1", "top-1", "on {data}", of_a_set=True),
    Headline(
        "mean_shift", MEAN_SHIFT, "mean of shifts", "top-1", "on the mean of the shifts"
    ),
    Headline(
        "value", EFFECTIVE, "effective robustness", "effective-robustness",
        "of effective robustness",
    ),
    Headline(
        "target", TARGET, "estimated accuracy", "estimate", "of estimated accuracy on {data}",
        of_a_set=True,
    ),
    Headline(
        "int8.changed", INT8, "answers that INT8 changes", "quantisation", of_a_set=True
    ),
    Headline(
        "int8.neighbours", INT8_NEIGHBOURS, "neighbours that INT8 keeps", "quantisation",
        of_a_set=True,
    ),
    Headline("height", HEIGHT, "highest channel", "height", within_kind=True),
    Headline("offset.share", OFFSET, "offset share", "offset-share", within_kind=True),
    Headline("kurtosis", KURTOSIS, "kurtosis", "kurtosis", within_kind=True),
)  # fmt: skip
"""In the order of their ranks: accuracy first, kurtosis last. Of several sets, the figure of the
first one counts: top-1 of the in-distribution set, accuracies of the first target set."""

BY_ID: Final = {headline.id: headline for headline in HEADLINES}
BY_RANK: Final = {headline.rank: headline for headline in HEADLINES}

TARGET_ERROR: Final = "target_error"
"""Id of the figure that goes with every estimate: its mean absolute error on labelled shifts."""


class ListedFigure(NamedTuple):
    """A figure of the list of runs.

    Attributes:
        field: Its name in `summary.json`, in `runs --json` and for `--sort`.
        id: Id of the named figure.
        heading: Of its column.
        term: Id of what the glossary says about it.
        shown: Whether the table shows it; others are in `--json`, and sort it.
    """

    field: str
    id: str
    heading: str
    term: str
    shown: bool = True


LISTED: Final = (
    ListedFigure("target", "target", "on your pictures", "estimate"),
    ListedFigure("accuracy", "top1", "in distribution", "top-1"),
    ListedFigure("shifts", "mean_shift", "mean of shifts", "top-1"),
    ListedFigure("kurtosis", "kurtosis", "kurtosis", "kurtosis", shown=False),
    ListedFigure("persistence", "persistence.value", "P", "persistence", shown=False),
)
"""The figures that a list of runs has of each."""
