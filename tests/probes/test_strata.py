"""Labels that an accuracy takes, against a labelling that draws and stops as `label` does."""

import numpy as np
import pytest

from tuiprobe.probes.base.strata import labels_needed


def drawn_until_close(confidence: np.ndarray, seed: int) -> int:
    """Labels random pictures of five strata in turn until the range is 5 points to either side."""
    rng = np.random.default_rng(seed)
    right = rng.random(confidence.size) < confidence
    parts = [rng.permutation(p) for p in np.array_split(np.argsort(confidence), 5)]
    size, hits, counts = confidence.size, [0] * 5, [0] * 5
    for n in range(1, size + 1):
        stratum = (n - 1) % 5
        hits[stratum] += right[parts[stratum][counts[stratum]]]
        counts[stratum] += 1
        if n < 25:
            continue
        variance = 0.0
        for part, k, c in zip(parts, hits, counts, strict=True):
            p = (k + 1) / (c + 2)
            variance += (len(part) / size) ** 2 * p * (1 - p) / c * (1 - c / len(part))
        if (1.96 + 2.4 / max(n - 5, 2)) * variance**0.5 <= 0.05:
            return n
    return size


@pytest.mark.parametrize("pictures", [200, 500, 2000])
def test_the_labels_are_as_many_as_drawing_in_strata_takes(pictures: int) -> None:
    confidence = np.random.default_rng(7).beta(1.2, 0.9, pictures)
    needed = labels_needed(confidence, float(confidence.mean()))
    taken = np.median([drawn_until_close(confidence, seed) for seed in range(20)])
    assert needed == pytest.approx(taken, rel=0.08)
    infinite = 1.96**2 * confidence.mean() * (1 - confidence.mean()) / 0.05**2
    assert needed < 0.8 * infinite


def test_a_lower_accuracy_than_confidence_says_shifts_the_strata() -> None:
    confidence = np.full(500, 0.99)
    assert labels_needed(confidence, 0.5) == labels_needed(np.full(500, 0.5), 0.5)
    assert labels_needed(confidence, 0.99) < 100
