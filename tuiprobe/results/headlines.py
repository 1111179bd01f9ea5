"""The headline figures, and what every table, plot and sentence says of them.

Probes put these declarations at the fields of their results, readers find the figures with
`Report.headline`, and lists of runs take their columns from `LISTED`: this is the only list.
"""

from typing import Final, NamedTuple

from tuiprobe.results.figures import Fig

LABELLED: Final = Fig(
    "labelled", "accuracy by labels", "accuracy-by-labels", headline=9,
    where="on {data} by labels", of_a_set=True,
)  # fmt: skip
TOP1: Final = Fig("top1", "top-1", "top-1", headline=10, where="on {data}", of_a_set=True)
MEAN_SHIFT: Final = Fig(
    "mean_shift", "mean of shifts", "top-1", headline=11, where="on the mean of the shifts"
)
EFFECTIVE: Final = Fig(
    "effective_robustness", "effective robustness", "effective-robustness", headline=12,
    where="of effective robustness",
)  # fmt: skip
TARGET: Final = Fig(
    "target", "estimated accuracy", "estimate", role="estimate", headline=13,
    where="of estimated accuracy on {data}", of_a_set=True,
)  # fmt: skip
HEIGHT: Final = Fig(
    "height", "highest channel", "height", role="signature", headline=20, within_kind=True
)
OFFSET: Final = Fig(
    "offset.share", "offset share", "offset-share", role="signature", headline=21, within_kind=True
)
KURTOSIS: Final = Fig(
    "kurtosis", "kurtosis", "kurtosis", role="signature", headline=22, within_kind=True
)

HEADLINES: Final = (
    LABELLED, TOP1, MEAN_SHIFT, EFFECTIVE, TARGET, HEIGHT, OFFSET, KURTOSIS,
)  # fmt: skip
"""In the order of their ranks: accuracy first, kurtosis last. Of several sets, the figure of the
first one counts: top-1 of the in-distribution set, accuracies of the first target set."""

BY_ID: Final = {fig.id: fig for fig in HEADLINES}
BY_RANK: Final = {fig.headline: fig for fig in HEADLINES}

PERSISTENCE: Final = Fig("persistence", "persistence", "persistence", "P", role="signature")

TARGET_ERROR: Final = Fig(
    "target_error", "mean absolute error of the estimate", "estimate", role="estimate"
)
"""The figure that goes with every estimate: its mean absolute error on labelled shifts."""


LABELS_CURVE: Final = "labels"
"""Id of the chart of a fitted head's accuracy by the number of labels, which comparisons join."""


class ListedFigure(NamedTuple):
    """A figure of the list of runs.

    Attributes:
        field: Its name in `summary.json`, in `runs --json` and for `--sort`.
        figure: Its declaration.
        heading: Of its column.
    """

    field: str
    figure: Fig
    heading: str

    @property
    def shown(self) -> bool:
        """Whether the table shows it; others are in `--json`, and sort it."""
        return self.figure.is_accuracy


LISTED: Final = (
    ListedFigure("target", TARGET, "on your pictures"),
    ListedFigure("accuracy", TOP1, "in distribution"),
    ListedFigure("shifts", MEAN_SHIFT, "mean of shifts"),
    ListedFigure("kurtosis", KURTOSIS, "kurtosis"),
    ListedFigure("persistence", PERSISTENCE, "P"),
)
"""The figures that a list of runs has of each."""
