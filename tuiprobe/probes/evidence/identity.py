"""Which pictures are the same thing: in two sets, twice in one, or nearly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tuiprobe.measure.arrays.measured_run import counted_once
from tuiprobe.plaintext import joined
from tuiprobe.results.doubt import Doubt

MOST_SHARED: Final = 0.01
"""Share of a set whose pictures may be in another role too."""

NEAR: Final = 0.995
"""Cosine of two representations, minus their mean over the set, of near copies."""

MOST_NEAR: Final = 0.05
"""Share of near copies in a set that is not mentioned."""

MOST_COMPARED: Final = 5000
"""Images of a set among which near copies are searched."""

NAMED: Final = 3
"""Paths that a sentence names."""

PictureRole = Literal["in distribution", "fitted", "shift", "target"]
"""What pictures are for; of two roles of a picture the later one is in doubt."""

_ROLES: Final[dict[PictureRole, str]] = {
    "in distribution": "the in-distribution set {}",
    "fitted": "the images that the head {} was fitted to",
    "shift": "the shift {}",
    "target": "the target {}",
}


class Contents(NamedTuple):
    """The pictures of a set.

    Attributes:
        name: Of the set.
        role: What they are for.
        digests: uint8 `[n, 32]`, SHA-256 of each.
        ids: Sample id of each.
        paths: Path of each, by sample id.
    """

    name: str
    role: PictureRole
    digests: NDArray[np.uint8]
    ids: Sequence[int]
    paths: Mapping[int, str]

    def path(self, row: int) -> str:
        """Returns the path of the picture of a row."""
        return self.paths[self.ids[row]]

    @property
    def keys(self) -> NDArray[np.uint64]:
        """Eight bytes of each digest, enough to distinguish contents."""
        return np.ascontiguousarray(self.digests[:, :8]).view("<u8")[:, 0]


def shared_content(sets: Sequence[Contents]) -> Iterator[Doubt]:
    """Yields each set that holds pictures of another role; of two targets none is in doubt."""
    for first, second in combinations(sets, 2):
        other, of = sorted((first, second), key=lambda each: _blame(each.role))
        if {other.role, of.role} == {"target"} or not len(of.digests):
            continue
        shared = np.flatnonzero(np.isin(of.keys, other.keys))
        if not len(shared):
            continue
        n, share = len(of.digests), len(shared) / len(of.digests)
        named = joined([of.path(row) for row in shared[:NAMED].tolist()], NAMED)
        yield Doubt(
            id="same-content",
            data=of.name,
            sentence=f"{len(shared):,} of {n:,} pictures of {_ROLES[of.role].format(of.name)} are "
            f"also in {_ROLES[other.role].format(other.name)}, such as {named}: "
            "give pictures that are in no other set",
            withholds=share > MOST_SHARED,
            figures={"shared": len(shared), "pictures": n},
        )


def _blame(role: PictureRole) -> int:
    """Returns the rank of a role; of a head's images and others, the others are in doubt."""
    return ("fitted", "in distribution", "shift", "target").index(role)


def copies(pictures: Contents, labels: NDArray[np.int64] | None) -> Iterator[Doubt]:
    """Yields doubts if a set holds copies, and if copies have different labels.

    Args:
        pictures: The set.
        labels: int64 `[n]`.
    """
    n = len(pictures.digests)
    different = int(counted_once(pictures.digests, None).sum())
    if different == n:
        return
    text = f"{n - different:,} of {n:,} pictures of {pictures.name} are copies: counted once"
    figures: dict[str, float] = {"copies": n - different, "pictures": n}
    if labels is not None:
        _, kind, size = np.unique(pictures.keys, return_inverse=True, return_counts=True)
        agrees = counted_once(pictures.digests, labels)
        known = np.zeros(len(size), dtype=np.bool_)
        known[kind[agrees]] = True
        unknown = np.flatnonzero(~known[kind])
        if len(unknown):
            first = unknown[0]
            pair = unknown[(kind[unknown] == kind[first]) & (labels[unknown] != labels[first])][0]
            named = " and ".join(pictures.path(int(row)) for row in (first, pair))
            text += (
                f"; {len(unknown):,} have copies with another label, such as {named}, and count as "
                "unknown, since at most one label of a picture can be right"
            )
            figures["contradicting"] = len(unknown)
    yield Doubt(id="copies", data=pictures.name, sentence=text, figures=figures)


def near_copies(
    pictures: Contents, features: NDArray[np.float32], seed: int = 0
) -> Iterator[Doubt]:
    """Yields a doubt if a model hardly separates pictures of a set, more than `MOST_NEAR` of it.

    Args:
        pictures: The set.
        features: float32 `[n, C]`, final representations.
        seed: Of the sample that is looked at.
    """
    n = len(features)
    if n < 2:
        return
    rows = np.arange(n)
    if n > MOST_COMPARED:
        rows = np.sort(np.random.default_rng(seed).choice(n, MOST_COMPARED, replace=False))
    _, kind = np.unique(pictures.keys[rows], return_inverse=True)
    centred = features[rows] - features[rows].mean(axis=0)  # most encoders share an offset
    norms = np.linalg.norm(centred, axis=1)
    unit = centred / np.where(norms > 0, norms, 1)[:, None]
    near = np.zeros(len(rows), dtype=np.bool_)
    for start in range(0, len(rows), 1024):  # each pair once
        close = unit[start : start + 1024] @ unit[start:].T > NEAR
        first, second = (start + index for index in np.nonzero(close))
        other = kind[first] != kind[second]
        near[first[other]] = near[second[other]] = True
    if near.sum() <= MOST_NEAR * len(rows):
        return
    yield Doubt(
        id="near-copies",
        data=pictures.name,
        sentence=f"the model hardly tells {int(near.sum()):,} of {len(rows):,} pictures of "
        f"{pictures.name} from others (cosine above {NEAR}): if they are of the same scene, "
        "patient or video, keep one of each, since ranges are too narrow and a head fitted to "
        "them has seen the others",
        figures={"near": int(near.sum()), "pictures": len(rows)},
    )
