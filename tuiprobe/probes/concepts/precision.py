"""Average precision of every direction for every concept, on both splits, with one sign."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tuiprobe.probes.concepts.concept_set import Split
from tuiprobe.probes.inputs import Float32, Float64
from tuiprobe.stats import average_precision


@dataclass(frozen=True, eq=False)
class SplitPrecision:
    """AP on both splits with the sign of the better one on train, each [D, K]."""

    train: Float64
    val: Float64
    sign: npt.NDArray[np.int8]

    @property
    def confirmed(self) -> Float64:
        """The lower of both."""
        return np.minimum(self.train, self.val)


def tell(basis: Float32, splits: tuple[Split, Split], prevalence: float | None) -> SplitPrecision:
    """Computes the AP of every direction for every concept.

    Args:
        basis: [C, D].
        splits: Train and val.
        prevalence: See `average_precision`.
    """
    both = []
    for split in splits:
        scores = split.features @ basis
        up = _precision(scores, split, prevalence)
        np.negative(scores, out=scores)
        both.append((up, _precision(scores, split, prevalence)))
    (up, down), (val_up, val_down) = both
    positive = up >= down
    return SplitPrecision(
        train=np.where(positive, up, down),
        val=np.where(positive, val_up, val_down),
        sign=np.where(positive, 1, -1).astype(np.int8),
    )


def _precision(scores: Float32, split: Split, prevalence: float | None) -> Float64:
    count = sum(batch.concepts.size for batch in split.batches)
    found = np.empty((scores.shape[1], count))
    for batch in split.batches:
        rows = scores if batch.rows is None else scores[batch.rows]
        candidates = (batch.mask, batch.group_of)
        found[:, batch.concepts] = average_precision(rows, batch.presence, candidates, prevalence)
    return found
