"""A linear head and labelled representations, as arrays; accuracy in bounded memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tuiprobe.channels.array_types import Bool, Float32, Int64
from tuiprobe.errors import DataError
from tuiprobe.measure.arrays.ridge import LeaveOneOut, fit_ridge
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.results import Inapplicable, NotRun
from tuiprobe.results.proportions import LEFT_OUT_REACH

LOGIT_ROWS = 2048
"""Images whose logits are in memory at once."""

FITTED_TO_THEM = Inapplicable(reason="the head was fitted to these images as they are")
"""Why representations of images that a head was fitted to are not changed."""


@dataclass(frozen=True, eq=False)
class SetFeatures:
    """Final representations of one set.

    Attributes:
        name: Name of the set.
        features: float32 [n, C].
        labels: int64 [n], the class of each image: a row of the head, or where `answers` says
            otherwise one of its numbers.
        answers: int64 [K], the class that each row of the head answers for, -1 for rows that may
            not answer. With `[0, -1, 0, 1]`, rows 0 and 2 both answer class 0, as on ObjectNet, and
            row 1 never answers, as on ImageNet-A and -R. None where row and class are the same.
        unmatched: Why no row answers for the classes of a labelled set, whose labels are None then.
        left_out: Where the head was fitted to these images: what turns its scores into those of
            the heads fitted without each. The representations must then be as they were.
        ids: int64 [n], sample ids.
    """

    name: str
    features: Float32
    labels: Int64 | None = None
    answers: Int64 | None = None
    unmatched: NotRun | None = None
    left_out: LeaveOneOut | None = None
    ids: Int64 | None = None

    def select(self, images: Bool | Int64) -> "SetFeatures":
        """Returns the set with some of its images, by a mask [n] or by their indices."""
        known = ("features", "labels", "left_out", "ids")
        parts = {name: part for name in known if (part := getattr(self, name)) is not None}
        return replace(self, **{name: part[images] for name, part in parts.items()})

    @property
    def reach(self) -> float:
        """How much wider than usual the ranges of its accuracies are."""
        return 1.0 if self.left_out is None else LEFT_OUT_REACH

    @property
    def unanswerable(self) -> int:
        """Images that are answered by heads which have not seen their class."""
        return 0 if self.left_out is None else int(self.left_out.single.sum())

    @property
    def unlabelled(self) -> NotRun:
        """Why it has no labels, where it has none."""
        return self.unmatched or NotRun(reason=f"{self.name} has no labels")

    def classes_of_rows(self, rows: int) -> Int64:
        """Returns the class that each of K rows of a head answers for, int64 [K]; -1 for none."""
        return np.arange(rows) if self.answers is None else np.asarray(self.answers)


def fit_head(images: SetFeatures, classes: int) -> tuple[HeadArrays, SetFeatures] | NotRun:
    """Fits a head to labelled images.

    Args:
        images: Their labels are rows of the head.
        classes: Rows of the head.

    Returns:
        The head, and the images, each to be answered without it; or why there is no head.
    """
    labels = np.asarray(images.labels)
    fit = fit_ridge(images.features, labels, classes)
    if isinstance(fit, NotRun):
        return fit
    head = HeadArrays(fit.weight.astype(np.float32), fit.bias.astype(np.float32), regression=True)
    return head, replace(images, left_out=LeaveOneOut.of(labels, fit.remainders, classes))


def finite_and_nonzero(images: SetFeatures) -> Bool:
    """Returns which images have a finite representation other than zero, as bool [n]."""
    norms = np.linalg.norm(images.features, axis=1)
    return np.asarray(np.isfinite(norms) & (norms > 0))


def usable_images(images: SetFeatures) -> SetFeatures:
    """Returns the set without images whose representation is zero or not finite."""
    mask = finite_and_nonzero(images)
    return images if mask.all() else images.select(mask)


def subsample(images: SetFeatures, count: int, seed: int) -> SetFeatures:
    """Returns a seeded subsample of at most `count` images."""
    n = images.features.shape[0]
    if n <= count:
        return images
    return images.select(np.sort(np.random.default_rng(seed).choice(n, count, replace=False)))


def answers_of(images: SetFeatures, rows: int) -> Int64:
    """Returns the class of each row that may answer, int64 [K'], after a check of the labels.

    Args:
        images: The set.
        rows: K, rows of the head.

    Raises:
        DataError: If labels are missing, the class list has another size, or a label has no row.
    """
    if images.labels is None:
        raise DataError(images.unlabelled.why)
    answers = images.classes_of_rows(rows)
    if answers.shape != (rows,):
        raise DataError(f"the class list of {images.name} is for {answers.size} rows, not {rows}")
    answers = answers[answers >= 0].astype(np.int64)
    strange = np.setdiff1d(images.labels, answers)
    if strange.size:
        raise DataError(
            f"{images.name} has images of class {strange[0]}, which no row of the head answers for "
            f"({answers.size} of its {rows} rows may answer)"
        )
    return answers


def allowed_rows(matrix: Float32, images: SetFeatures) -> Float32:
    """Returns the rows of a [K, ...] array that may answer."""
    return matrix if images.answers is None else matrix[np.asarray(images.answers) >= 0]


def nested_hits(
    left: Float32,
    right: Float32,
    constant: Float32,
    images: SetFeatures,
    components: Sequence[int],
    rows: int,
) -> Int64:
    """Counts the correct answers from the first k components, for each k of a rising list.

    Logits are constant + left[:, :k] @ right[:k], summed up from k to k, so that the whole curve
    costs one product and memory for 2,048 rows.

    Args:
        left: [n, r], coordinates of the images.
        right: [r, K'], what each coordinate adds to the logits.
        constant: [K'].
        images: Labels and answers.
        components: Numbers of components, rising.
        rows: K, rows of the head.

    Returns:
        int64 [len(components)].
    """
    from scipy.linalg.blas import sgemm  # late, as in `ridge`

    answers, labels = answers_of(images, rows), np.asarray(images.labels)
    hits = np.zeros(len(components), dtype=np.int64)
    right = np.ascontiguousarray(right, dtype=np.float32)
    for start in range(0, left.shape[0], LOGIT_ROWS):
        block, truth = left[start : start + LOGIT_ROWS], labels[start : start + LOGIT_ROWS]
        logits = np.tile(constant.astype(np.float32), (block.shape[0], 1))
        done = 0
        for column, k in enumerate(components):
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
            hits[column] += int((answers[logits.argmax(axis=1)] == truth).sum())
    return hits


def logit_blocks(
    head: HeadArrays, images: SetFeatures, *, scaled: bool = True
) -> Iterator[tuple[slice, Float32]]:
    """Yields the logits of the rows that may answer, float32 [b, K'], in blocks of images.

    Of images that the head was fitted to, they are those of the head fitted without each.

    Args:
        head: The head. Where a zero-shot head does not tell its scale, logits are cosines.
        images: Finite representations, and which rows may answer. Rows of zeros have no direction;
            a zero-shot head gives them the bias alone.
        scaled: Whether the length of h, and scale and bias of a zero-shot head count. They change
            the order of no image's classes.
    """
    rows = np.flatnonzero(images.classes_of_rows(head.weight.shape[0]) >= 0)
    weight = np.ascontiguousarray(allowed_rows(head.weight, images).T)
    bias = None if head.bias is None else allowed_rows(head.bias, images)
    for start in range(0, images.features.shape[0], LOGIT_ROWS):
        block = images.features[start : start + LOGIT_ROWS]
        span = slice(start, start + block.shape[0])
        if scaled and head.normalize:
            norms = np.linalg.norm(block, axis=1, keepdims=True)
            block = np.divide(block, norms, out=np.zeros_like(block), where=norms > 0)
        values = block @ weight
        if scaled and head.normalize:
            if head.logit_scale is not None:
                values *= np.float32(head.logit_scale)
            values += np.float32(head.logit_bias)
        if bias is not None:
            values += bias
        if images.left_out is not None:
            images.left_out.correct(values, span, rows)
        yield span, values


def answered_rows(head: HeadArrays, images: SetFeatures) -> Int64:
    """Returns the row that answers each image where every row of the head may, as int64 [n]."""
    rows = np.zeros(len(images.features), dtype=np.int64)
    for span, logits in logit_blocks(head, replace(images, answers=None), scaled=False):
        rows[span] = logits.argmax(axis=1)
    return rows


def answered_right(head: HeadArrays, images: SetFeatures) -> Bool:
    """Returns whether the head answers each image correctly, as bool [n]."""
    answers, labels = answers_of(images, head.weight.shape[0]), np.asarray(images.labels)
    right = np.zeros(images.features.shape[0], dtype=bool)
    for span, logits in logit_blocks(head, images, scaled=False):
        right[span] = answers[logits.argmax(axis=1)] == labels[span]
    return right


def right_counted(head: HeadArrays, images: SetFeatures) -> Bool:
    """Returns the same as accuracies count it: a representation of zeros is wrong."""
    return answered_right(head, images) & images.features.any(axis=1)


def hits(head: HeadArrays, images: SetFeatures) -> int:
    """Counts the images that the head answers correctly."""
    return int(answered_right(head, images).sum())


def top_hits(head: HeadArrays, images: SetFeatures, k: int) -> tuple[int, int]:
    """Counts the images whose class is among the answers of the k highest rows.

    Returns:
        The images on which it is, and those on which a tie over the last of the k answers hides
        whether it is, as where a table holds one answer for each image.
    """
    answers, labels = answers_of(images, head.weight.shape[0]), np.asarray(images.labels)
    right = tied = 0
    for span, logits in logit_blocks(head, images, scaled=False):
        true = answers == labels[span, None]
        score = np.where(true, logits, -np.inf).max(axis=1, keepdims=True)
        above = (logits > score).sum(axis=1)
        certain = above + ((logits == score) & ~true).sum(axis=1) < k
        right += int(certain.sum())
        tied += int((~certain & (above < k)).sum())
    return right, tied
