"""Logits, temperatures and calibration errors, against plain Python, scipy and planted truth."""

from math import exp, log

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp, softmax

from tuiprobe.errors import DataError
from tuiprobe.measure.arrays.head_arrays import SetFeatures, logit_blocks
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.probes.base.confidence import (
    Logits,
    ece,
    equal_mass_bins,
    probabilities,
)
from tuiprobe.probes.base.temperature import fit_temperature, from_highest, spread
from tuiprobe.results import NotRun, is_known


def drawn(chances, seed=0):
    """Draws a label from each row of probabilities."""
    uniform = np.random.default_rng(seed).random((len(chances), 1))
    return (chances.cumsum(axis=1) < uniform).sum(axis=1).clip(max=chances.shape[1] - 1)


def logits(x, head, rows):
    answers = np.full(len(head.weight), -1)
    answers[rows] = rows
    images = SetFeatures("x", x, answers=answers)
    blocks = [block for _, block in logit_blocks(head, images)]
    return np.concatenate(blocks)[:, np.argsort(np.argsort(rows))]


def temperature(values, labels, classes=None):
    places = [slice(start, start + 2048) for start in range(0, len(values), 2048)]
    return fit_temperature(
        lambda: from_highest((place, values[place].copy()) for place in places),
        labels,
        np.arange(values.shape[1]) if classes is None else classes,
    )


def planted(n=4000, classes=10, scale=2.0, seed=0):
    rng = np.random.default_rng(seed)
    return (scale * rng.standard_normal((n, classes))).astype(np.float32)


def test_zero_shot_logits_are_scaled_cosines():
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal((n, 16)).astype(np.float32) for n in (5000, 7))
    x[3] = 0
    head = HeadArrays(w, normalize=True, logit_scale=14.0, logit_bias=-3.0)
    rows = np.array([6, 2, 4])
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    expected = 14 * (x / np.where(norms > 0, norms, 1)) @ w[rows].T - 3
    np.testing.assert_allclose(logits(x, head, rows), expected, atol=1e-5)
    unknown = HeadArrays(w, normalize=True)
    np.testing.assert_allclose(logits(x, unknown, rows), (expected + 3) / 14, atol=1e-6)


def test_linear_logits_have_their_bias():
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal((n, 16)).astype(np.float32) for n in (30, 7))
    bias = np.arange(7, dtype=np.float32)
    np.testing.assert_allclose(
        logits(x, HeadArrays(w, bias), np.arange(7)), x @ w.T + bias, rtol=1e-5, atol=1e-5
    )


def test_probabilities_of_the_rows_of_a_class_are_added():
    values, classes = planted(50, 6), np.array([4, 0, 4, 9, 0, 2])
    result = probabilities(values, 1.7, classes)
    plain = softmax(values.astype(np.float64) / 1.7, axis=1)
    expected = np.stack([plain[:, classes == c].sum(axis=1) for c in (0, 2, 4, 9)], axis=1)
    np.testing.assert_allclose(result, expected, atol=1e-6)
    each = np.linspace(0.5, 3, 50)
    plain = softmax(values.astype(np.float64) / each[:, None], axis=1)
    np.testing.assert_allclose(probabilities(values, each, np.arange(6)), plain, atol=1e-6)


@pytest.mark.parametrize("classes", [np.arange(12), np.arange(12) // 3, np.arange(12)[::-1]])
def test_the_temperature_is_the_minimum_of_the_likelihood(classes):
    values = planted(3000, 12)
    labels = drawn(probabilities(values, 2.5, classes))
    named = np.unique(classes)
    result = temperature(values, named[labels], classes)

    def loss(log_t):
        scaled = values.astype(np.float64) / exp(log_t)
        own = np.where(classes[None] == named[labels][:, None], scaled, -np.inf)
        return float((logsumexp(scaled, axis=1) - logsumexp(own, axis=1)).mean())

    oracle = minimize_scalar(loss, bounds=(-4, 4), method="bounded", options={"xatol": 1e-9})
    assert log(result.value) == pytest.approx(oracle.x, abs=1e-4)
    assert result.low < 2.5 < result.high


def test_intervals_of_temperatures_cover_and_are_not_wide():
    covered, widths = [], []
    for seed in range(200):
        values = planted(500, 5, seed=seed)
        result = temperature(values, drawn(softmax(values / 1.5, axis=1), seed))
        covered.append(result.low <= 1.5 <= result.high)
        widths.append(result.high - result.low)
    assert 0.90 <= np.mean(covered) <= 0.99
    assert np.mean(widths) < 0.6


def test_folds_and_kept_images_give_the_fit_of_those_images():
    head = HeadArrays(np.eye(8, dtype=np.float32))
    values = planted(6000, 8)
    labels = drawn(softmax(values / 3, axis=1))
    keep = np.arange(6000) % 2 == 0
    whole = Logits(head, SetFeatures("val", values, labels))
    assert whole.fitted(keep).value == pytest.approx(
        temperature(values[keep], labels[keep]).value, rel=1e-5
    )


def test_degenerate_temperatures_say_so():
    values = planted(100, 5)
    assert isinstance(temperature(values, values.argmax(axis=1)), NotRun)
    assert temperature(values, values.argmin(axis=1)).low is None
    assert temperature(values * 0, values.argmin(axis=1)).value == 1
    assert temperature(values[:, :1], np.zeros(100, dtype=np.int64)).value == 1
    assert isinstance(temperature(values[:1], np.array([2])), NotRun)


def test_confidences_under_a_mask_with_several_rows_a_class():
    rng = np.random.default_rng(1)
    head = HeadArrays(rng.standard_normal((6, 9)).astype(np.float32), normalize=True, logit_scale=5)
    answers = np.array([3, -1, 1, 3, -1, 7])
    x = rng.standard_normal((3000, 9)).astype(np.float32)
    images = SetFeatures("shift", x, np.full(3000, 3), answers)
    result = Logits(head, images).confidences(0.8)
    assert Logits(head, images).rows.tolist() == [0, 2, 3, 5]
    raw = logits(x, head, np.array([0, 2, 3, 5])).astype(np.float64)
    plain = softmax(raw / 0.8, axis=1)
    by_class = np.stack([plain[:, 1], plain[:, 0] + plain[:, 2], plain[:, 3]], axis=1)
    answer = np.array([3, 1, 3, 7])[raw.argmax(axis=1)]
    assert (result.answer == answer).all()
    column = np.searchsorted([1, 3, 7], answer)
    np.testing.assert_allclose(result.confidence, by_class[np.arange(3000), column], atol=1e-6)
    entropy = -(by_class * np.log(by_class)).sum(axis=1)
    np.testing.assert_allclose(result.entropy, entropy, atol=1e-5)
    assert (result.right == (answer == 3)).all()


def test_a_representation_of_zeros_counts_as_wrong():
    x = np.eye(3, dtype=np.float32)
    x[0] = 0
    head = HeadArrays(np.eye(3, dtype=np.float32), normalize=True, logit_scale=10)
    result = Logits(head, SetFeatures("val", x, np.arange(3))).confidences()
    assert result.right.tolist() == [False, True, True]
    assert result.confidence[0] == pytest.approx(1 / 3)


def test_the_spread_of_logits_is_their_standard_deviation():
    values = planted(5000, 4)
    np.testing.assert_allclose(spread(values), values.astype(np.float64).std(axis=1), rtol=1e-5)


def test_bins_and_error_agree_with_plain_python():
    rng = np.random.default_rng(3)
    confidence = rng.random(1003)
    right = rng.random(1003) < confidence**2
    ranked = sorted(range(1003), key=lambda i: confidence[i])
    parts, at = [], 0
    for b in range(15):
        size = 1003 // 15 + (b < 1003 % 15)
        parts.append(ranked[at : at + size])
        at += size
    _, _, images = equal_mass_bins(confidence, right)
    assert images.tolist() == [len(part) for part in parts]
    resampled = np.random.default_rng(0)
    plug_in, redrawn = 0.0, 0.0
    for part in parts:
        c = sum(confidence[i] for i in part) / len(part)
        a = sum(bool(right[i]) for i in part) / len(part)
        plug_in += len(part) / 1003 * abs(a - c)
        draws = resampled.normal(a, (a * (1 - a) / len(part)) ** 0.5, 200_000)
        redrawn += len(part) / 1003 * float(np.abs(draws - c).mean())
    assert ece(confidence, right).value == pytest.approx(2 * plug_in - redrawn, abs=2e-4)


@pytest.mark.parametrize("gap", [0.0, 0.01, 0.03, 0.1])
def test_intervals_of_the_calibration_error_cover_it(gap):
    result = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        confidence = rng.uniform(0.3, 1, 2000)
        result.append(ece(confidence, rng.random(2000) < confidence - gap))
    covered = np.mean([one.low <= gap <= one.high for one in result])
    assert covered >= 0.90
    # Less biased than the plug-in sum, whose mean is .023 here where nothing is wrong.
    assert np.mean([one.value for one in result]) < max(0.02, gap * 1.1)


def test_a_head_that_says_the_truth_has_no_calibration_error():
    values = planted(50_000, 10)
    chances = softmax(values.astype(np.float64), axis=1)
    right = chances.argmax(axis=1) == drawn(chances)
    result = ece(chances.max(axis=1), right)
    assert result.value < 0.01
    assert result.low == 0


def test_too_few_images_have_no_calibration_error():
    result = ece(np.full(29, 0.5), np.ones(29, dtype=bool))
    assert isinstance(result, NotRun)
    assert is_known(ece(np.full(30, 0.5), np.ones(30, dtype=bool)))


def test_a_mask_without_rows_is_refused():
    images = SetFeatures("street", np.eye(3, dtype=np.float32), answers=np.full(3, -1))
    with pytest.raises(DataError, match="no row of the head may answer in street"):
        Logits(HeadArrays(np.eye(3, dtype=np.float32)), images)
