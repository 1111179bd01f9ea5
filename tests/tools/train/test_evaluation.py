import numpy as np
import pytest

from tools.train import evaluation


@pytest.fixture
def h() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((400, 64))


def test_a_planted_constant_outlier_is_persistent_and_vanishes_on_centring(h: np.ndarray) -> None:
    h[:, 7] += 30
    figures = evaluation.outliers(h)
    assert figures["persistence"] > 0.99
    assert figures["kurtosis"] > 30
    assert figures["kurtosis_centred"] == pytest.approx(3 * 63 / 65, abs=0.15)
    assert figures["six_sigma_images"] == 1
    assert figures["effective_channels"] == pytest.approx(1, abs=0.05)


def test_persistence_is_its_definition_by_pairs() -> None:
    h = np.random.default_rng(1).standard_normal((12, 5))
    z = (h - h.mean(1, keepdims=True)) / h.std(1, keepdims=True)
    s = z**4 / (z**4).sum(1, keepdims=True)
    pairs = [s[i] @ s[j] for i in range(12) for j in range(12) if i != j]
    own = np.mean([s[i] @ s[i] for i in range(12)])
    expected = (np.mean(pairs) - 1 / 5) / (own - 1 / 5)
    assert evaluation.persistence(h)[0] == pytest.approx(expected, rel=1e-12)
