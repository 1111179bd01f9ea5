"""Estimators of accuracy: brute force, planted truth, ties and degenerate sets."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax

from tests.probes.calibrated import accuracy, calibrated, head
from tuiprobe.choose.targets.estimators import estimates, thresholded
from tuiprobe.measure.arrays.head_arrays import SetFeatures
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.probes.base.confidence import ONE_CLASS, Logits, cross_fit, on_classes_of, second_half
from tuiprobe.results import NotRun, is_known


def expected(first, target, by=None):
    source = cross_fit(by or head(), first, target)
    assert not isinstance(source, NotRun)
    return estimates(source, Logits(by or head(), target))[0]


@pytest.mark.parametrize("seed", range(20))
def test_the_threshold_of_confidence_agrees_with_brute_force(seed):
    rng = np.random.default_rng(seed)
    scores, others = rng.random(37), rng.random(53)
    right = rng.random(37) < 0.6
    wrong = int((~right).sum())
    # The threshold is the lowest score with as many below it as are wrong.
    threshold = next(t for t in sorted(scores) if sum(s < t for s in scores) == wrong)
    assert thresholded(scores, right, others) == pytest.approx(np.mean(others >= threshold))


def test_ties_at_the_threshold_count_in_part():
    right = np.arange(40) < 30
    assert thresholded(np.full(40, 0.5), right, np.full(9, 0.5)) == pytest.approx(0.75)
    scores = np.repeat([0.2, 0.5, 0.9], [4, 20, 16])
    assert thresholded(scores, right, scores) == pytest.approx(0.75)


@pytest.mark.parametrize(("share", "value"), [(0.0, 0.0), (1.0, 1.0)])
def test_all_wrong_and_all_right(share, value):
    rng = np.random.default_rng(0)
    right = np.full(30, bool(share))
    assert thresholded(rng.random(30), right, rng.random(50)) == value


@pytest.mark.parametrize("sharpness", [1.0, 2.0, 4.0])
def test_a_head_that_says_the_truth_is_estimated_within_sampling_error(sharpness):
    """Targets are as in distribution, less confident and more confident."""
    first = calibrated("val", n=20_000, sharpness=2.0, seed=1)
    target = calibrated("target", n=20_000, sharpness=sharpness, seed=2)
    result, truth = expected(first, replace(target, labels=None)), accuracy(target)
    error = 4 * (2 * 0.25 / 20_000) ** 0.5
    assert result["difference"].value == pytest.approx(truth, abs=2 * error)
    if sharpness == 2.0:
        assert result["atc_entropy"].value == pytest.approx(truth, abs=error)
        assert result["atc_entropy"].low <= truth <= result["atc_entropy"].high


def test_a_wrong_scale_changes_nothing_after_temperature_scaling():
    first, target = calibrated("val", seed=1), calibrated("target", sharpness=1.5, seed=2)
    plain = expected(first, target)
    scaled = expected(first, target, HeadArrays(np.eye(10, dtype=np.float32) * 16))
    for name, one in plain.items():
        assert scaled[name].value == pytest.approx(one.value, abs=1e-3)


@pytest.mark.slow
def test_intervals_cover_the_accuracy_of_the_same_distribution():
    many = calibrated("s", n=200_000, seed=1000).features.astype(np.float64)
    truth = softmax(many / 1.3, axis=1).max(axis=1).mean()  # labels are drawn from it
    covered = []
    for seed in range(30):
        first, target = (
            calibrated("s", n=400, seed=2 * seed + one, temperature=1.3) for one in (0, 1)
        )
        figure = expected(first, target)["atc_entropy"]
        covered.append(figure.low <= truth <= figure.high)
    assert np.mean(covered) >= 0.85


def test_the_class_mask_of_the_target_holds_for_the_source_too():
    first = calibrated("val", n=6000, seed=1)
    answers = np.array([0, -1, 1, 2, -1, -1, 3, -1, -1, -1])
    target = calibrated("target", n=6000, seed=2)
    assert target.labels is not None
    kept = np.isin(target.labels, [0, 2, 3, 6])
    labels = answers[target.labels[kept]]
    masked = SetFeatures("target", target.features[kept], labels, answers)
    source = on_classes_of(10, first, masked)
    assert not isinstance(source, NotRun)
    assert source.labels is not None
    assert set(source.labels.tolist()) == {0, 1, 2, 3}
    right = masked.features[:, [0, 2, 3, 6]].argmax(axis=1) == labels
    result = expected(first, masked)
    assert result["atc_entropy"].value == pytest.approx(right.mean(), abs=0.04)
    assert result["difference"].value == pytest.approx(right.mean(), abs=0.04)


def test_a_class_of_several_equal_rows_is_one_class():
    """Two rows of equal logits halve each other's probability; added, they are what one row is."""
    first, target = calibrated("val", seed=1), calibrated("target", seed=2)
    doubled = HeadArrays(np.concatenate([np.eye(10), np.eye(10)]).astype(np.float32))
    answers = np.tile(np.arange(10), 2)
    one, other = (replace(each, answers=answers) for each in (first, target))
    plain, twice = expected(first, target), expected(one, other, doubled)
    for name, figure in plain.items():
        assert twice[name].value == pytest.approx(figure.value, abs=1e-6)


def test_the_halves_are_halves_and_seeded():
    half = second_half(1001)
    assert half.sum() == 500
    assert (half == second_half(1001)).all()


def test_too_few_labelled_images_give_no_estimate():
    result = cross_fit(head(), calibrated("val", n=29), calibrated("target", n=100))
    assert isinstance(result, NotRun)
    assert "30 are needed" in result.reason


def test_one_image_two_classes_and_equal_confidences():
    first = calibrated("val", n=500, classes=2)
    result = expected(first, calibrated("target", n=1, classes=2), head(2))
    assert all(0 <= one.value <= 1 for one in result.values() if is_known(one))
    flat = SetFeatures("val", np.zeros((100, 2), dtype=np.float32), np.arange(100) % 2)
    same = expected(flat, replace(flat, labels=None), head(2))
    # Both halves of a set of zeros have no direction: every image counts as wrong.
    assert same["atc_entropy"].value == 0


def test_a_single_class_has_no_estimate():
    first = SetFeatures("val", np.ones((60, 1), dtype=np.float32), np.zeros(60, dtype=np.int64))
    assert cross_fit(head(1), first, replace(first, labels=None)) is ONE_CLASS


def test_all_answers_wrong():
    first = calibrated("val", n=200)
    worst = replace(first, labels=first.features.argmin(axis=1))
    result = expected(worst, replace(first, labels=None))
    assert result["atc_entropy"].value == 0
