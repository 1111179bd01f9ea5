"""Answers of the head while images are measured: accuracies, and estimates without labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from tuiprobe.datasets import Suite
from tuiprobe.engine.clock import Pace
from tuiprobe.probes.heads import SetFeatures, hits, usable_images
from tuiprobe.probes.targets.compute import Images, estimate_targets
from tuiprobe.results import Figure, given
from tuiprobe.run.checked_arrays import HeadArrays
from tuiprobe.run.status import SetAnswers

KEPT_IMAGES = 1000
"""Images of each set that estimates rest on: its first ones, which are a fair sample."""

MAX_COST = 0.03  # share of the run's time that estimates may take


@dataclass(frozen=True, eq=False)
class _SetSoFar:
    """Counts of all images of a set so far, and the representations of the first ones."""

    kept: SetFeatures
    images: int = 0
    right: int = 0

    def plus(self, images: SetFeatures, head: HeadArrays) -> _SetSoFar:
        """Returns the set with more images."""
        right, labels, kept = 0, None, self.kept
        if images.labels is not None and kept.labels is not None:
            usable = usable_images(images)
            right = hits(usable.features, head, usable)
            labels = np.concatenate([kept.labels, images.labels])[:KEPT_IMAGES]
        features = kept.features
        if len(features) < KEPT_IMAGES:
            features = np.concatenate([features, images.features])[:KEPT_IMAGES]
        kept = replace(kept, features=features, labels=labels)
        return _SetSoFar(kept, self.images + len(images.features), self.right + right)


class LiveAnswers:
    """Answers of a head, counted as the images pass.

    Args:
        suite: The sets.
        head: The head.
        answers: The class that each row of the head answers for, by name of the set.
    """

    def __init__(
        self, suite: Suite, head: HeadArrays, answers: Mapping[str, NDArray[np.int64]]
    ) -> None:
        self._suite, self._head = suite, head
        self._estimates: Mapping[str, tuple[Figure, bool]] = {}
        self._pace = Pace(MAX_COST)
        nothing = np.empty((0, head.weight.shape[1]), np.float32)
        self._done: dict[str, _SetSoFar] = {}  # of finished shards
        for name, rows in answers.items():
            if name in suite.sets and name != suite.concept_set:
                labelled = name not in suite.targets and bool(suite.sets[name].classes)
                labels = np.empty(0, np.int64) if labelled else None
                self._done[name] = _SetSoFar(SetFeatures(name, nothing, labels, rows))
        self.begin_shard()

    def begin_shard(self) -> None:
        """Forgets what was counted of an unfinished shard."""
        self._sets, self._batches = dict(self._done), 0

    def end_shard(self) -> None:
        """Keeps what was counted of the shard."""
        self._done, self._batches = dict(self._sets), 0

    def count(
        self,
        name: str,
        features: Sequence[NDArray[np.float32] | torch.Tensor],
        ids: Sequence[NDArray[np.int64] | torch.Tensor],
    ) -> None:
        """Counts the batches of the current shard that were not counted yet.

        Args:
            name: Its set.
            features: Final representations of its batches so far, `[n, C]` each, on any device.
            ids: Their sample ids.
        """
        new = slice(self._batches, len(features))
        self._batches = len(features)
        if name not in self._sets or not features[new]:
            return
        rows = np.concatenate([_on_host(batch) for batch in features[new]])
        numbers = np.concatenate([_on_host(batch) for batch in ids[new]])
        finite = np.isfinite(np.linalg.norm(rows, axis=1))
        images, kept = replace(self._sets[name].kept, features=rows[finite]), numbers[finite]
        if images.labels is not None:
            samples = self._suite.sets[name].samples
            labels = np.array([samples[i].label for i in kept.tolist()], dtype=np.int64)
            images = replace(images, labels=labels)
        self._sets[name] = self._sets[name].plus(images, self._head)

    def so_far(self, last: bool = False) -> dict[str, SetAnswers]:
        """Returns the answers on every set that has any; estimates are renewed at their pace.

        Args:
            last: Whether no image follows, so that the estimates have to be of all.
        """
        if last or self._pace.due:
            with self._pace.piece():
                self._estimate()
        return {
            name: _answers(of_set, *self._estimates.get(name, (None, False)))
            for name, of_set in self._sets.items()
            if of_set.images
        }

    def _estimate(self) -> None:
        """Estimates accuracy on the sets without labels by the function of the results."""
        kept = {name: of_set.kept for name, of_set in self._sets.items() if of_set.images}
        first, *others = [name for name in self._suite.sets if name != self._suite.concept_set]
        targets = [kept[name] for name in self._suite.targets if name in kept]
        if first in kept and targets:
            shifts = [kept[name] for name in others if name in kept]
            result = estimate_targets(self._head, Images(kept[first], shifts, targets))
            self._estimates = {
                target.data: (target.headline, bool(target.scaled)) for target in result.targets
            }


def _on_host(batch: NDArray[np.generic] | torch.Tensor) -> NDArray[np.generic]:
    return batch.cpu().numpy() if isinstance(batch, torch.Tensor) else batch


def _answers(of_set: _SetSoFar, estimate: Figure | None, calibrated: bool) -> SetAnswers:
    if of_set.kept.labels is not None:
        return SetAnswers(images=of_set.images, right=of_set.right)
    if estimate is None or not given(estimate):
        return SetAnswers(images=of_set.images)
    return SetAnswers(
        images=of_set.images,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        estimated=estimate.n,
        calibrated=calibrated,
    )
