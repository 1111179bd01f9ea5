import numpy as np
import pytest

from tuiprobe.miniature.draws import Draws


def test_first_draws_are_the_documented_ones() -> None:
    # The raw stream of Philox is promised by NumPy; these values must never change.
    draws = Draws("val", 0)
    assert [draws.below(1000) for _ in range(6)] == [615, 176, 451, 870, 445, 174]


def test_uniform_is_uniform_and_noise_is_standard() -> None:
    draws = Draws("test", 0)
    values = np.array([draws.uniform() for _ in range(4000)])
    assert abs(values.mean() - 0.5) < 5 / np.sqrt(12 * 4000)
    noise = draws.noise(200, 200)
    assert abs(float(noise.mean())) < 5 / 200
    assert float(noise.std()) == pytest.approx(1, abs=0.02)


def test_weighted_follows_its_weights() -> None:
    draws = Draws("test", 1)
    picks = [draws.weighted("abc", (0.0, 1.0, 3.0)) for _ in range(4000)]
    assert "a" not in picks
    assert picks.count("c") / 4000 == pytest.approx(0.75, abs=5 * np.sqrt(0.75 * 0.25 / 4000))
