import numpy as np
import pytest

from tests.probes.planted import inner
from tuiprobe.inside.outliers.compute import large_norm_tokens, second_mode
from tuiprobe.results import NotRun


def tokens(n=64, positions=7, channels=48, seed=0):
    return np.random.default_rng(seed).standard_normal((n, positions, channels)).astype("f4")


def test_tokens_of_large_norm_are_a_second_mode():
    x = tokens(n=200)
    x[:, 2] *= 30
    assert large_norm_tokens(inner(x)).value == pytest.approx(1 / 7)
    assert large_norm_tokens(inner(tokens(n=200))).value == 0


def test_they_are_looked_for_in_all_tokens_of_a_residual_stream():
    for other in ({"kind": "map", "tokens": None}, {"tokens": "mean"}, {"tokens": "class"}):
        assert isinstance(large_norm_tokens(inner(tokens(), **other)), NotRun)


def test_a_shoulder_or_a_stray_token_is_no_second_mode():
    histogram = np.zeros(96, dtype=np.int64)
    histogram[30:40] = [10, 900, 800, 500, 300, 200, 150, 100, 50, 10]
    assert second_mode(histogram) is None
    histogram[60] = 1
    assert second_mode(histogram) is None
    histogram[60] = 30
    assert second_mode(histogram) is not None
    assert second_mode(np.zeros(96, dtype=np.int64)) is None
