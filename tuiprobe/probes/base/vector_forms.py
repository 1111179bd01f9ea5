"""Recognises what was done to stored vectors before they were given: it hides what probes look for.

Mean-centring removes a common offset, and whitening removes the spread of every channel as well.
Both leave traces in mean and covariance. A rotation (PCA, the OPQ of a search index) leaves none:
it moves outlier channels to others, and nothing in the rows shows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tuiprobe.channels.array_types import Float32, Float64
from tuiprobe.measure.arrays.row_statistics import fixed_threads
from tuiprobe.numbers import number
from tuiprobe.probes.reader import RunReader
from tuiprobe.spec import FINAL_TAP

LEAST_ROWS = 64
"""With fewer rows, neither mean nor covariance tells what was done."""

CENTRED_SHARE = 0.001
"""Share of energy in the mean below which rows count as centred; encoders seen have 0.2 to 0.9."""

WHITE = 1.1
"""Spread of the covariance's eigenvalues, mean square over squared mean, from which it is none of
whitened vectors; 1 for the identity, above 3 for the encoders seen."""

UNIT_NORM = 0.002
"""Distance from 1 that rounding to float16 leaves of a norm."""

_ALL = 0.999
"""Share of rows of unit norm from which a set counts as normalised."""

_MOST_ROWS = 8192  # of the sample, for the covariance


@dataclass(frozen=True)
class Shape:
    """What mean, covariance and norms of sample vectors look like.

    Attributes:
        n: Rows that mean and variance are of.
        mean_ratio: |mu|^2 over its expectation for rows of mean 0, sum_c var_c / n.
        mean_limit: Largest ratio that centred rows have by chance (three standard deviations).
        mean_share: |mu|^2 over the mean of |x|^2.
        spread: C tr(S^2) / tr(S)^2 of the covariance S, less what sampling adds.
        unit: Share of rows whose norm is 1.
    """

    n: int
    mean_ratio: float
    mean_limit: float
    mean_share: float
    spread: float
    unit: float

    @property
    def centred(self) -> bool:
        """Whether the rows look mean-centred."""
        return self.mean_ratio <= self.mean_limit or self.mean_share < CENTRED_SHARE

    @property
    def white(self) -> bool:
        """Whether the rows look whitened."""
        return self.spread <= WHITE


@fixed_threads()
def shape_of(mean: Float64, var: Float64, n: int, rows: Float32) -> Shape | None:
    """Returns the shape of vectors, if there are enough and they vary.

    Args:
        mean: [C], over all rows.
        var: [C], over all rows.
        n: Number of rows in these.
        rows: [m, C], finite; a sample of them.
    """
    total, square = float(var.sum()), float(mean @ mean)
    if min(n, len(rows)) < LEAST_ROWS or len(mean) < 2 or not 0 < total < np.inf:
        return None
    sample = rows[:: -(-len(rows) // _MOST_ROWS)].astype(np.float64)
    norms = np.linalg.norm(sample, axis=1)
    sample -= sample.mean(axis=0)
    gram = sample.T @ sample if len(sample) > sample.shape[1] else sample @ sample.T
    m, channels = len(sample), sample.shape[1]
    ratio = channels * float((gram**2).sum()) / float(np.trace(gram)) ** 2
    spread = ratio - channels / (m - 1)
    dimensions = channels / max(spread, 1.0)
    return Shape(
        n=n,
        mean_ratio=square / (total / n),
        mean_limit=1 + 3 * float(np.sqrt(2 / dimensions)),
        mean_share=square / (square + total),
        spread=spread,
        unit=float((np.abs(norms - 1) < UNIT_NORM).mean()),
    )


def vector_notes(run: RunReader) -> tuple[str, ...]:
    """Returns the notes on sets that were given encoded; none for images."""
    sets = {record.name for record in run.plan.sets if record.files}
    notes: list[str] = []
    unit: dict[str, bool] = {}
    for data in run.data:
        if data.name not in sets:
            continue
        statistics = run.tap(data, run.plan.taps[0]).statistics
        assert run.plan.taps[0].name == FINAL_TAP
        count = int(np.asarray(statistics["count"]).max(initial=0))
        mean, var = np.asarray(statistics["mean"]), np.asarray(statistics["var"])
        rows = run.features(data.name)["features"]
        shape = shape_of(mean, var, count, rows)
        if data.sampled is not None:
            notes.append(
                f"{data.name}: channel moments and top rows come from all "
                f"{data.measured - data.nonfinite:,} finite rows; every other figure comes from "
                f"a seeded sample of {data.sampled:,}, and its n says so"
            )
        if zeros := len(rows) - int(rows.any(axis=1).sum()):
            notes.append(
                f"{data.name}: {zeros:,} of {len(rows):,} rows contain only zeros, as if they "
                "were never written; each counts as a wrong answer"
            )
        elif len(rows) > 1 and bool((rows == rows[0]).all()):
            notes.append(
                f"{data.name}: all {len(rows):,} vectors are equal, as if the encoder did not "
                "see its images: they say nothing"
            )
        if shape is not None:
            notes += _notes(data.name, shape)
            unit[data.name] = shape.unit >= _ALL
    at_unit = [name for name, is_unit in unit.items() if is_unit]
    others = [name for name, is_unit in unit.items() if not is_unit]
    if at_unit and others:
        notes.append(
            f"the vectors of {', '.join(at_unit)} have unit norm and those of "
            f"{', '.join(others)} do not, so a head sees them at different scales; give all "
            "sets as the encoder made them, or all normalised"
        )
    return tuple(notes)


def _notes(name: str, shape: Shape) -> Iterator[str]:
    if shape.white:
        yield (
            f"{name}: the covariance of the vectors is near the identity (spread "
            f"{number(shape.spread)}, 1 for whitened vectors): neither an offset nor outlier "
            "channels can be seen in whitened vectors; give them as the encoder made them"
        )
    elif shape.centred:
        yield (
            f"{name}: the mean of the vectors is near 0 (|mu|^2 is "
            f"{number(shape.mean_share, 'share')} of their energy, {number(shape.mean_ratio)} "
            "times its sampling error): an offset cannot be seen in mean-centred vectors; give "
            "them as the encoder made them"
        )
    if shape.unit >= _ALL:
        yield f"{name}: the vectors have unit norm, so their lengths are not known"
