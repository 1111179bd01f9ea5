"""A linear head and labelled representations, as arrays; accuracy in bounded memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg.blas import sgemm

from tuiprobe.errors import DataError
from tuiprobe.probes.inputs import Bool, Float32, Int64
from tuiprobe.run.checked_arrays import HeadArrays

ROWS = 2048


@dataclass(frozen=True, eq=False)
class SetFeatures:
    """Final representations of one set.

    Attributes:
        name: Name of the set.
        features: float32 [n, C].
        labels: int64 [n], the class of each image: a row of the head, or where `answers` says
            otherwise one of its numbers; None if unlabelled.
        answers: int64 [K], the class that each row of the head answers for, -1 for rows that may
            not answer: ImageNet-A and -R leave most rows out, ObjectNet has several rows a class.
            None where row and class are the same.
        unmatched: Why no row answers for the classes of a labelled set; its labels are None then.
    """

    name: str
    features: Float32
    labels: Int64 | None = None
    answers: Int64 | None = None
    unmatched: str = ""


def usable_images(one: SetFeatures) -> SetFeatures:
    """Returns the set without images whose representation is zero or not finite."""
    norms = np.linalg.norm(one.features, axis=1)
    keep = np.isfinite(norms) & (norms > 0)
    if keep.all():
        return one
    labels = None if one.labels is None else one.labels[keep]
    return replace(one, features=one.features[keep], labels=labels)


def first_images(one: SetFeatures, count: int, seed: int) -> SetFeatures:
    """Returns a seeded subsample of at most `count` images."""
    n = one.features.shape[0]
    if n <= count:
        return one
    chosen = np.sort(np.random.default_rng(seed).choice(n, count, replace=False))
    labels = None if one.labels is None else one.labels[chosen]
    return replace(one, features=one.features[chosen], labels=labels)


def answers_of(one: SetFeatures, rows: int) -> Int64:
    """Checks classes and labels; returns the class of each row that may answer, [K'].

    Args:
        one: The set.
        rows: K, rows of the head.

    Raises:
        DataError: If labels are missing, the class list has another size, or a label has no row.
    """
    if one.labels is None:
        raise DataError(one.unmatched or f"{one.name} has no labels")
    answers = np.arange(rows) if one.answers is None else np.asarray(one.answers)
    if answers.shape != (rows,):
        raise DataError(f"the class list of {one.name} is for {answers.size} rows, not {rows}")
    answers = answers[answers >= 0].astype(np.int64)
    strange = np.setdiff1d(one.labels, answers)
    if strange.size:
        raise DataError(
            f"{one.name} has images of class {strange[0]}, which no row of the head answers for "
            f"({answers.size} of its {rows} rows may answer)"
        )
    return answers


def allowed_rows(matrix: Float32, one: SetFeatures) -> Float32:
    """Returns the rows of a [K, ...] array that may answer."""
    return matrix if one.answers is None else matrix[np.asarray(one.answers) >= 0]


def nested_hits(
    left: Float32,
    right: Float32,
    constant: Float32,
    one: SetFeatures,
    kept: Sequence[int],
    rows: int,
) -> Int64:
    """Counts the correct answers from the first k components, for each k of a rising list.

    Logits are constant + left[:, :k] @ right[:k], summed up from k to k, so that the whole curve
    costs one product and memory for 2,048 rows.

    Args:
        left: [n, r], coordinates of the images.
        right: [r, K'], what each coordinate adds to the logits.
        constant: [K'].
        one: Labels and answers.
        kept: Numbers of components, rising.
        rows: K, rows of the head.

    Returns:
        [len(kept)].
    """
    answers, labels = answers_of(one, rows), np.asarray(one.labels)
    hits = np.zeros(len(kept), dtype=np.int64)
    right = np.ascontiguousarray(right, dtype=np.float32)
    for start in range(0, left.shape[0], ROWS):
        block, truth = left[start : start + ROWS], labels[start : start + ROWS]
        logits = np.tile(constant.astype(np.float32), (block.shape[0], 1))
        done = 0
        for place, k in enumerate(kept):
            if k > done:
                # logits += block[:, done:k] @ right[done:k], without a temporary of the same size.
                sgemm(
                    1,
                    right[done:k].T,
                    block[:, done:k].T,
                    beta=1,
                    c=logits.T,
                    overwrite_c=1,
                )
                done = k
            hits[place] += int((answers[logits.argmax(axis=1)] == truth).sum())
    return hits


def logit_blocks(
    features: Float32, head: HeadArrays, one: SetFeatures
) -> Iterator[tuple[slice, Float32]]:
    """Yields the logits of the rows that may answer, in blocks of images.

    Args:
        features: [n, C].
        head: The head.
        one: Which rows may answer.
    """
    weight = np.ascontiguousarray(allowed_rows(head.weight, one).T)
    bias = None if head.bias is None else allowed_rows(head.bias, one)
    for start in range(0, features.shape[0], ROWS):
        block = features[start : start + ROWS]
        logits = block @ weight
        if bias is not None:
            # Without a bias |h| changes no order.
            if head.normalize:
                logits /= np.linalg.norm(block, axis=1, keepdims=True)
            logits += bias
        yield slice(start, start + block.shape[0]), logits


def answered_right(features: Float32, head: HeadArrays, one: SetFeatures) -> Bool:
    """Returns whether the head answers each image correctly, as bool [n].

    Args:
        features: [n, C], in place of the set's own.
        head: The head.
        one: Labels and answers.
    """
    answers, labels = answers_of(one, head.weight.shape[0]), np.asarray(one.labels)
    right = np.zeros(features.shape[0], dtype=bool)
    for place, logits in logit_blocks(features, head, one):
        right[place] = answers[logits.argmax(axis=1)] == labels[place]
    return right


def hits(features: Float32, head: HeadArrays, one: SetFeatures) -> int:
    """Counts the images that the head answers correctly; arguments as for `answered_right`."""
    return int(answered_right(features, head, one).sum())


def top_hits(head: HeadArrays, one: SetFeatures, k: int) -> int:
    """Counts the images whose class is among the answers of the k highest rows."""
    answers, labels = answers_of(one, head.weight.shape[0]), np.asarray(one.labels)
    right = 0
    for place, logits in logit_blocks(one.features, head, one):
        best = np.argpartition(-logits, k - 1, axis=1)[:, :k]
        right += int((answers[best] == labels[place, None]).any(axis=1).sum())
    return right


def class_name(names: Sequence[str], row: int) -> str:
    """Returns the name of a row of the head; its number where there is none."""
    return names[row] if row < len(names) else f"class {row}"
