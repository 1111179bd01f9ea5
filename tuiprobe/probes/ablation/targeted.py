"""Accuracy without channels and directions that a user names, in blocks of images."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tuiprobe.errors import UsageError
from tuiprobe.probes.ablation.targeted_result import Change, SetAblation, SetNotRun, Top1
from tuiprobe.probes.directions.compute import decompose
from tuiprobe.probes.finite import finite_images
from tuiprobe.probes.heads import SetFeatures, answered_right
from tuiprobe.probes.inputs import Bool, Float32, Int64
from tuiprobe.probes.proportions import paired_difference, wilson_bounds
from tuiprobe.run.checked_arrays import HeadArrays

SHUFFLE_SEED = 0


@dataclass(frozen=True, eq=False)
class BlockedSet:
    """Final representations of one labelled set that need not fit into memory.

    Attributes:
        name: Name of the set.
        blocks: Yields the representations from the start, float32 [b, C] at a time; images that are
            not finite are left out.
        labels: int64 [n].
        answers: See `SetFeatures`.
    """

    name: str
    blocks: Callable[[], Iterable[Float32]]
    labels: Int64
    answers: Int64 | None = None


def ablation_span(
    head: HeadArrays, channels: Sequence[int], directions: Sequence[int], *, centred: bool
) -> Float32:
    """Returns an orthonormal basis [C, m] of the span of the named channels and directions.

    Args:
        head: The linear head.
        channels: Numbers of channels.
        directions: Numbers of right singular vectors of W, by singular value, from 0.
        centred: Take those of W minus its mean row.

    Raises:
        UsageError: If a channel or direction does not exist.
    """
    width = head.weight.shape[1]
    _check("channel", channels, width)
    units = np.zeros((width, len(channels)))
    units[list(channels), range(len(channels))] = 1
    if not directions:
        return units.astype(np.float32)
    weight = head.weight.astype(np.float64)
    v = decompose(weight - weight.mean(axis=0) if centred else weight)[2]
    _check("direction", directions, v.shape[1])
    rest = v[:, list(directions)]
    rest[list(channels)] = 0  # the channels are removed exactly already
    u, s, _ = np.linalg.svd(rest, full_matrices=False)
    return np.hstack([units, u[:, s > 1e-6]]).astype(np.float32)


def _check(kind: str, numbers: Sequence[int], count: int) -> None:
    for number in numbers:
        if not 0 <= number < count:
            raise UsageError(f"{kind}:{number} does not exist: there are 0 to {count - 1}")


def ablate_set(
    head: HeadArrays, images: BlockedSet, span: Float32, centre: Float32 | None
) -> SetAblation | SetNotRun:
    """Computes the accuracy of one set before and after ablation, over the finite images.

    Args:
        head: The linear head.
        images: Representations and labels.
        span: [C, m], from `ablation_span`.
        centre: float32 [m], the coordinates in the span that replace those of every image; None
            gives each image the coordinates of another one of its block.

    Raises:
        DataError: If no row of the head answers for a label.
    """
    n = lost = gained = before = 0
    for number, (block, labels) in enumerate(_finite(images)):
        right = _right(head, block, labels, images)
        inside = block @ span
        # A random order that depends on the number of the block alone.
        order = np.random.default_rng([SHUFFLE_SEED, number]).permutation(len(inside))
        replaced = inside[order] if centre is None else centre
        removed = (block - (inside - replaced) @ span.T).astype(np.float32, copy=False)
        left = _right(head, removed, labels, images)
        n += block.shape[0]
        before += int(right.sum())
        lost += int((right & ~left).sum())
        gained += int((~right & left).sum())
    if n == 0:
        return SetNotRun(name=images.name, reason="no image has a finite representation")
    change = paired_difference(gained, lost, n)
    assert change.low is not None
    assert change.high is not None
    return SetAblation(
        name=images.name,
        n=n,
        nonfinite=images.labels.size - n,
        before=_top1(before, n),
        after=_top1(before - lost + gained, n),
        difference=Change(value=change.value, low=change.low, high=change.high),
        lost=lost,
        gained=gained,
    )


def _finite(images: BlockedSet) -> Iterator[tuple[Float32, Int64]]:
    """Yields representations and labels of the images that `finite_images` accepts."""
    start = 0
    for block in images.blocks():
        labels = images.labels[start : start + block.shape[0]]
        start += block.shape[0]
        keep = finite_images(block)
        yield (block, labels) if keep.all() else (block[keep], labels[keep])


def _not_zero(block: Float32) -> Bool:
    return np.asarray(np.linalg.norm(block, axis=1) > 0)


def mean_in(span: Float32, blocks: Iterable[Float32]) -> Float32:
    """Returns the mean [m] of the images' coordinates in the span.

    Args:
        span: [C, m].
        blocks: Representations; those that are zero or not finite do not count.
    """
    total, count = np.zeros(span.shape[1]), 0
    for block in blocks:
        kept = block[finite_images(block)]
        kept = kept[_not_zero(kept)]
        total += (kept @ span).sum(axis=0, dtype=np.float64)
        count += kept.shape[0]
    return np.asarray(total / max(count, 1), dtype=np.float32)


def _right(head: HeadArrays, block: Float32, labels: Int64, images: BlockedSet) -> Bool:
    """Returns [b], whether each image is answered correctly; a zero representation never is."""
    some = SetFeatures(images.name, block, labels, images.answers)
    keep = _not_zero(block)
    # Ones replace a zero representation; its answer is discarded.
    filled = block if keep.all() else np.where(keep[:, None], block, np.float32(1))
    return answered_right(filled, head, some) & keep


def _top1(hits: int, n: int) -> Top1:
    low, high = wilson_bounds(hits, n)
    return Top1(top1=hits / n, low=float(low), high=float(high))
