"""Result types of the directions probe (definitions: docs/inside.md)."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from tuiprobe.results.base import (
    MOST_CHANNELS,
    Channel,
    Count,
    Figure,
    Frozen,
    Many,
    PerChannel,
    Real,
    Share,
)
from tuiprobe.results.figures import FIGURES, Fig
from tuiprobe.results.report import ProbeResult

Order = Literal[
    "importance",
    "singular value",
    "reduced-rank regression",
    "random directions",
    "random subspace",
    "principal components",
]


class Direction(Frozen):
    """One privileged direction: a right singular vector of the head.

    Attributes:
        index: Place by singular value, from 0.
        singular_value: s_i.
        importance: s_i / sum s times the mean over images of abs(cos(v_i, h)).
        outlier_share: Part of the direction's squared length on the outlier channels; None
            where there are none.
        channels: The four channels with the largest weight.
    """

    index: Count
    singular_value: Real
    importance: Figure
    outlier_share: Real | None
    channels: PerChannel[Channel]


class PruningPoint(Frozen):
    """Accuracy with this many directions kept.

    Attributes:
        fraction: Fraction of rank(W) pruned.
        kept: Directions kept.
        accuracy: Top-1; for random orders the mean and the 95 % band over seeds.
    """

    fraction: Real
    kept: Count
    accuracy: Share


class PruningCurve(Frozen):
    """Accuracy against the fraction of rank(W) pruned.

    Attributes:
        data: Data set.
        order: What is kept longest.
        control: Whether this is a control for the order by importance.
        points: By fraction.
    """

    data: str
    order: Order
    control: bool
    points: Many[PruningPoint]

    def nearest(self, fraction: float) -> PruningPoint:
        """Returns the point of the nearest fraction."""
        return min(self.points, key=lambda point: abs(point.fraction - fraction))


class Basis(Frozen):
    """Privileged directions of the head, or of the head minus its mean row.

    Attributes:
        centred: Whether the mean row was removed, which changes no prediction.
        rank: Rank of the matrix.
        singular_values: All of them, largest first.
        importances: Importances of every direction, in the order of singular values.
        mean_row_cosine: abs(cos(v_1, mean row of W)).
        top_share: The largest importance over their sum.
        effective_rank: Exponential of the entropy of the importances.
        gini: Gini coefficient of the importances, 0 if all are equal.
        outlier_share: Importance-weighted part of the directions on the outlier channels.
        outlier_expected: That part for random directions, k / C, with its 95 % range for one
            random direction.
        outlier_shares: Part of every direction's squared length on the outlier channels, in
            the order of singular values; empty where there are none.
        directions: The 16 most important.
        curves: Pruning curves and their controls.
    """

    centred: bool
    rank: Annotated[int, Field(ge=0, le=MOST_CHANNELS)]
    singular_values: PerChannel[Real]
    importances: PerChannel[Real]
    mean_row_cosine: Annotated[
        Figure,
        Fig("mean_row_cosine", "cosine of the first direction with the mean row", "head"),
    ]
    top_share: Annotated[
        Share,
        Fig("top_share", "share of the most important direction", "importance", role="signature"),
    ]
    effective_rank: Annotated[
        Figure,
        Fig(
            "effective_rank",
            "effective rank of the importances",
            "effective-rank",
            role="signature",
        ),
    ]
    gini: Annotated[
        Figure, Fig("gini", "Gini of the importances", "effective-rank", role="signature")
    ]
    outlier_share: Annotated[
        Share, Fig("outlier_share", "share on the outlier channels", "importance")
    ]
    outlier_expected: Annotated[
        Share,
        Fig(
            "outlier_expected", "share on the outlier channels of a random direction", "importance"
        ),
    ]
    directions: Many[Direction]
    curves: Many[PruningCurve]
    outlier_shares: PerChannel[Real] = ()

    @property
    def place(self) -> str:
        """What it belongs to."""
        return "centred W" if self.centred else "W"

    @property
    def matrix(self) -> str:
        """What it belongs to, in words."""
        return "W minus its mean row" if self.centred else "W"

    @model_validator(mode="after")
    def _one_entry_a_direction(self) -> "Basis":
        lengths = {len(self.singular_values), len(self.importances)}
        if lengths != {self.rank} or len(self.outlier_shares) not in (0, self.rank):
            raise ValueError(f"a rank of {self.rank} needs as many values of every direction")
        return self


class Directions(ProbeResult):
    """The directions probe of one head.

    Attributes:
        data: Set the importances rest on.
        head: Where the head came from.
        classes: Rows of W.
        bases: For W and for W minus its mean row.
    """

    probe: ClassVar[str] = "directions"

    data: str
    head: str
    classes: Count
    bases: Annotated[Many[Basis], FIGURES]
