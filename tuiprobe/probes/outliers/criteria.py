"""Related criteria beside ours, each as its authors define it.

Magnitude rules are about a transformer's residual stream: elsewhere they read "not run" with the
reason.
"""

from collections.abc import Sequence

import numpy as np

from tuiprobe.numbers import number
from tuiprobe.probes.inputs import Bool, Float64, Int64, TapArrays
from tuiprobe.probes.intervals import exact
from tuiprobe.probes.outliers.result import Criterion
from tuiprobe.results import Estimate, Figure, NotRun, given

MASSIVE_MAGNITUDE, MASSIVE_RATIO = 100.0, 1000.0
INT8_LAYERS, INT8_POSITIONS = 0.25, 0.06
SIX_SIGMA = 6.0
LISTED = 32
REGISTERS = "registers"
"""Name of the criterion of tokens with large norms."""
NO_STREAM = "magnitude rules need a transformer's residual stream; this tap is not one"

_NOT_RUN = NotRun(reason="not computed")
_MASSIVE = Criterion(
    name="massive activations",
    source="Sun et al. 2024",
    rule="magnitude > 100 and about 1,000 times the median magnitude of the hidden state",
    figure=_NOT_RUN,
    unit="largest magnitude / median magnitude",
)
_REGISTERS = Criterion(
    name=REGISTERS,
    source="Darcet et al. 2024",
    rule="token norms above a model-specific cut, seen as a second mode of the histogram",
    figure=_NOT_RUN,
    unit="fraction of tokens above the cut",
)
_SIX_SIGMA = Criterion(
    name="six sigma",
    source="Bondarenko et al. 2023",
    rule="farther than 6 standard deviations from the mean of the whole tensor",
    figure=_NOT_RUN,
    unit="channels with at least one such value",
)
_PRIVILEGED_BASIS = Criterion(
    name="privileged basis",
    source="Elhage et al. 2023",
    rule="kurtosis over channels far above 3, which a random rotation restores",
    figure=_NOT_RUN,
    unit="kurtosis / basis reference",
    note="sets no threshold, and sparse features of any network raise it too",
)
_LLM_INT8 = Criterion(
    name="LLM.int8 outlier dimensions",
    source="Dettmers et al. 2022",
    rule="magnitude >= 6 in >= 25 % of layers and >= 6 % of positions",
    figure=_NOT_RUN,
    unit="channels",
)


def _without(criterion: Criterion, reason: str) -> Criterion:
    return criterion.model_copy(update={"figure": NotRun(reason=reason)})


def _with(criterion: Criterion, figure: Estimate, hit: Bool, note: str = "") -> Criterion:
    """Returns the criterion with its figure, the channels that meet it, and a note."""
    channels = tuple(np.flatnonzero(hit)[:LISTED].tolist())
    return criterion.model_copy(
        update={"figure": figure, "met": bool(channels), "channels": channels, "note": note}
    )


def _most_values(tap: TapArrays) -> int:
    """Returns the number of finite values of the channel that has most of them."""
    return int(np.asarray(tap.statistics["count"]).max(initial=0))


def related_criteria(tap: TapArrays, kurtosis: Figure, reference: float) -> tuple[Criterion, ...]:
    """Returns the related criteria that one tap can answer.

    Args:
        tap: Statistics and sampled rows.
        kurtosis: Kappa of this tap.
        reference: Expected kappa after a random rotation.
    """
    basis = privileged_basis(kurtosis, reference)
    return massive_activations(tap), registers(tap), six_sigma(tap), basis


def massive_activations(tap: TapArrays) -> Criterion:
    """Tests for magnitudes above 100 and about 1,000 times the median (Sun et al. 2024)."""
    if tap.kind != "token":
        return _without(_MASSIVE, NO_STREAM)
    if tap.tokens == "mean":
        return _without(_MASSIVE, "the mean over tokens levels magnitudes out")
    if tap.rows is None or not np.isfinite(tap.rows).any():
        return _without(_MASSIVE, "no sampled rows to take the median magnitude from")
    median = float(np.median(np.abs(tap.rows[np.isfinite(tap.rows)])))
    if median == 0:
        return _without(_MASSIVE, "the median magnitude is zero")
    low, high = tap.statistics["min"], tap.statistics["max"]
    largest: Float64 = np.maximum(np.abs(low), np.abs(high))
    largest = np.where(tap.statistics["count"] > 0, largest, 0.0)
    hit = (largest > MASSIVE_MAGNITUDE) & (largest >= MASSIVE_RATIO * median)
    method = "all rows; median from sampled rows"
    figure = exact(largest.max() / median, _most_values(tap), method)
    note = f"largest magnitude {number(float(largest.max()))}, median {number(median)}"
    return _with(_MASSIVE, figure, hit, note)


def registers(tap: TapArrays) -> Criterion:
    """Looks for a second mode of large token norms (Darcet et al. 2024)."""
    if tap.kind != "token":
        return _without(_REGISTERS, NO_STREAM)
    if tap.tokens != "all":
        return _without(_REGISTERS, "needs the norms of all tokens")
    histogram = np.asarray(tap.statistics["norm_histogram"], dtype=np.int64)
    total = int(histogram.sum())
    if total == 0:
        return _without(_REGISTERS, "no tokens")
    cut, above, note = second_mode(histogram), 0, ""
    if cut is not None:
        above = int(histogram[cut:].sum())
        note = f"cut at norm {number(2 ** ((cut - 32) / 4))}, the valley between the modes"
    figure = exact(above / total, total, "count over all tokens", "share")
    update = {"figure": figure, "met": cut is not None, "note": note}
    return _REGISTERS.model_copy(update=update)


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


def six_sigma(tap: TapArrays) -> Criterion:
    """Looks for values farther than six sigma from the tensor's mean (Bondarenko et al. 2023)."""
    count = np.asarray(tap.statistics["count"], dtype=np.float64)
    total = float(count.sum())
    if total == 0:
        return _without(_SIX_SIGMA, "no values")
    seen = count > 0
    means = np.where(seen, tap.statistics["mean"], 0.0)
    mean = float((count * means).sum()) / total
    around = np.where(seen, tap.statistics["var"], 0.0) + (means - mean) ** 2
    sigma = float(np.sqrt((count * around).sum() / total))
    away = np.maximum(tap.statistics["max"] - mean, mean - tap.statistics["min"])
    hit = seen & (np.where(seen, away, 0.0) > SIX_SIGMA * sigma)
    figure = exact(int(hit.sum()), _most_values(tap), "extremes over all rows", "count")
    note = f"mean {number(mean)}, sigma {number(sigma)}; outliers widen sigma and hide each other"
    return _with(_SIX_SIGMA, figure, hit, note)


def privileged_basis(kurtosis: Figure, reference: float) -> Criterion:
    """Compares the kurtosis with that after a random rotation (Elhage et al. 2023)."""
    figure: Figure = kurtosis
    if given(kurtosis):
        ends = {end: getattr(kurtosis, end) for end in ("value", "low", "high")}
        figure = kurtosis.model_copy(
            update={end: x if x is None else x / reference for end, x in ends.items()}
        )
    return _PRIVILEGED_BASIS.model_copy(update={"figure": figure})


def llm_int8(taps: Sequence[TapArrays], *, all_blocks: bool) -> Criterion:
    """Tests for magnitude >= 6 in >= 25 % of layers and >= 6 % of positions (Dettmers et al. 2022).

    Args:
        taps: Token taps of one set, one per block.
        all_blocks: Whether these are all the model's blocks.
    """
    stream = [tap for tap in taps if tap.kind == "token" and tap.tokens != "mean"]
    if not stream:
        return _without(_LLM_INT8, NO_STREAM.replace("this tap is not one", "no tap is one"))
    if not all_blocks:
        return _without(_LLM_INT8, "needs all blocks; only some are tapped")
    if len({tap.channels for tap in stream}) > 1:
        return _without(_LLM_INT8, "needs blocks of one width")
    often = [
        np.asarray(tap.statistics["exceed_count"]) / np.maximum(1, tap.statistics["count"])
        >= INT8_POSITIONS
        for tap in stream
    ]
    hit = np.mean(often, axis=0) >= INT8_LAYERS
    method = f"all rows of {len(stream)} blocks"
    return _with(_LLM_INT8, exact(int(hit.sum()), _most_values(stream[0]), method, "count"), hit)
