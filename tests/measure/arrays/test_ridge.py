"""Heads fitted by ridge regression against explicit refits and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import RidgeClassifier, RidgeCV

from tuiprobe.measure.arrays.head_arrays import SetFeatures
from tuiprobe.measure.arrays.ridge import (
    MOST_LEVERAGE,
    POWERS,
    LeaveOneOut,
    RidgeFit,
    fit_ridge,
)
from tuiprobe.results import NotRun
from tuiprobe.results.proportions import wilson


def world(
    n: int, channels: int, classes: int, seed: int, apart: float = 1.0, balanced: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes if balanced else rng.integers(0, classes, n)
    means = rng.normal(size=(classes, channels)) * apart
    return (means[labels] + rng.normal(size=(n, channels)) + 3).astype(np.float32), labels


def fitted(h: np.ndarray, labels: np.ndarray, classes: int) -> RidgeFit:
    fit = fit_ridge(h, labels, classes)
    assert not isinstance(fit, NotRun)
    return fit


def scores_of(fit: RidgeFit, h: np.ndarray) -> np.ndarray:
    return (h.astype(np.float64) @ fit.weight.T + fit.bias).astype(np.float32)


def refitted(h: np.ndarray, labels: np.ndarray, classes: int, penalty: float) -> np.ndarray:
    """Returns the scores of each image by the head fitted to the others, by solving for it."""
    x, y = h.astype(np.float64), np.eye(classes)[labels]
    scores = np.empty((len(x), classes))
    for i in range(len(x)):
        others = np.arange(len(x)) != i
        centre, mean = x[others].mean(0), y[others].mean(0)
        xc = x[others] - centre
        gram = xc.T @ xc + penalty * np.eye(x.shape[1])
        scores[i] = (x[i] - centre) @ np.linalg.solve(gram, xc.T @ (y[others] - mean)) + mean
        counts = np.bincount(labels, minlength=classes)
        if counts.min() > 1 and np.ptp(counts) <= 1:
            scores[i] += y.mean(0) - mean
    return scores


@pytest.mark.parametrize(("n", "channels"), [(60, 12), (40, 90), (41, 40), (40, 40)])
@pytest.mark.parametrize("apart", [0.3, 8.0])
@pytest.mark.parametrize("balanced", [False, True])
def test_scores_without_an_image_are_those_of_a_refit(n, channels, apart, balanced):
    h, labels = world(n, channels, 4, seed=n, apart=apart, balanced=balanced)
    fit = fitted(h, labels, 4)
    scores = scores_of(fit, h)
    LeaveOneOut.of(labels, fit.remainders, 4).correct(scores, slice(0, n), np.arange(4))
    expected = refitted(h, labels, 4, fit.penalty)
    assert np.abs(scores - expected).max() < 1e-5
    assert (scores.argmax(1) == expected.argmax(1)).all()
    if apart > 1:
        assert (scores.argmax(1) == labels).all()


@settings(max_examples=25, deadline=None)
@given(
    st.integers(8, 40), st.integers(1, 50), st.integers(2, 5), st.integers(0, 99),
    st.sampled_from([0.1, 1.0, 30.0]),
)  # fmt: skip
def test_any_set_is_answered_as_by_refits(n, channels, classes, seed, apart):
    h, labels = world(n, channels, classes, seed, apart)
    fit = fit_ridge(h, labels, classes)
    if isinstance(fit, NotRun):
        assert len(np.unique(labels)) < 2 or channels >= n // 2
        return
    assert fit.remainders.min() >= 1 - MOST_LEVERAGE
    leaving = LeaveOneOut.of(labels, fit.remainders, classes)
    scores = scores_of(fit, h)
    allowed = np.unique(labels)  # a mask of classes commutes with leaving out
    masked = np.ascontiguousarray(scores[:, allowed])
    leaving.correct(masked, slice(0, n), allowed)
    counts = np.bincount(labels, minlength=classes)
    if counts.min() > 0:
        expected = refitted(h, labels, classes, fit.penalty)
        assert np.abs(masked - expected[:, allowed]).max() < 1e-4
    chosen = np.arange(n) % 3 == 1
    some = np.ascontiguousarray(scores[chosen][:, allowed])
    leaving[chosen].correct(some, slice(0, len(some)), allowed)
    assert np.array_equal(some, masked[chosen])


@pytest.mark.parametrize(("n", "channels"), [(90, 20), (60, 200)])
def test_the_head_is_that_of_scikit_learn_at_its_penalty(n: int, channels: int) -> None:
    h, labels = world(n, channels, 5, seed=3)
    fit = fitted(h, labels, 5)
    theirs = RidgeClassifier(alpha=fit.penalty, solver="svd").fit(h.astype(np.float64), labels)
    assert np.allclose(2 * fit.weight, theirs.coef_, atol=1e-9)
    assert np.allclose(2 * fit.bias - 1, theirs.intercept_, atol=1e-9)
    x = h - h.mean(0, dtype=np.float64)
    grid = np.linalg.eigvalsh(x @ x.T).max() * 10.0 ** np.array(POWERS)
    hat = [x @ np.linalg.solve(x.T @ x + p * np.eye(channels), x.T) + 1 / n for p in grid]
    y = np.eye(5)[labels]
    errors = [((y - m @ y) ** 2).sum() / (n - np.trace(m)) ** 2 for m in hat]
    usable = [i for i, m in enumerate(hat) if np.diag(m).max() <= MOST_LEVERAGE]
    best = min(usable, key=errors.__getitem__)
    assert fit.penalty == pytest.approx(grid[best], rel=1e-9)
    assert np.allclose(fit.remainders, 1 - np.diag(hat[best]), atol=1e-9)
    left_out = RidgeCV(alphas=[fit.penalty], store_cv_results=True).fit(h.astype(np.float64), y)
    ours = (y - scores_of(fit, h)) / fit.remainders[:, None]
    assert np.allclose(left_out.cv_results_[:, :, 0], ours**2, atol=1e-5)


def test_well_separated_images_fewer_than_channels_are_all_right() -> None:
    h, labels = world(200, 1024, 10, seed=1, apart=4)
    fit = fitted(h, labels, 10)
    scores = scores_of(fit, h).astype(np.float32)
    LeaveOneOut.of(labels, fit.remainders, 10).correct(scores, slice(0, 200), np.arange(10))
    assert (scores.argmax(1) == labels).all()


@pytest.mark.parametrize("classes", [2, 7])
def test_labels_without_signal_are_answered_at_chance(classes: int) -> None:
    rng, right, n = np.random.default_rng(0), 0, 10 * classes
    for _ in range(200):
        h, labels = rng.normal(size=(n, 30)).astype(np.float32), np.arange(n) % classes
        fit = fitted(h, labels, classes)
        scores = scores_of(fit, h)
        LeaveOneOut.of(labels, fit.remainders, classes).correct(
            scores, slice(0, n), np.arange(classes)
        )
        right += int((scores.argmax(1) == labels).sum())
    assert abs(right / (200 * n) - 1 / classes) < 0.03


def test_an_image_that_is_alone_in_its_class_is_wrong() -> None:
    h, labels = world(30, 10, 3, seed=5, apart=9)
    for labels[:] in (np.r_[[2], np.arange(29) % 2], np.r_[2, np.zeros(29)], np.arange(30) % 2):
        labels[0] = 2
        fit = fitted(h, labels, 3)
        scores = scores_of(fit, h)
        LeaveOneOut.of(labels, fit.remainders, 3).correct(scores, slice(0, 30), np.arange(3))
        assert scores[0].argmax() != 2


def test_images_that_do_not_vary_have_no_head() -> None:
    labels = np.arange(20) % 2
    assert isinstance(fit_ridge(np.ones((20, 4), np.float32), labels, 2), NotRun)
    one = np.ones((20, 40), np.float32)
    one[3] += 1  # its leverage is 1 under any small penalty
    fit = fit_ridge(one, labels, 2)
    assert isinstance(fit, NotRun) or fit.remainders.min() >= 1 - MOST_LEVERAGE
    assert isinstance(fit_ridge(np.eye(20, 4, dtype="f4"), labels * 0, 2), NotRun)


def test_images_that_are_alone_in_their_class_are_open_at_the_upper_end_of_a_range() -> None:
    labels = np.array([0, 0, 1, 2, 2, 2, 3])
    leaving = LeaveOneOut.of(labels, np.full(7, 0.5), 5)
    images = SetFeatures("x", np.ones((7, 2), np.float32), labels, left_out=leaving)
    assert (images.unanswerable, images.select(np.arange(4)).unanswerable) == (2, 1)
    share = wilson(3, 7, images.reach, images.unanswerable)
    assert share.value == 3 / 7
    assert (share.low, share.high) == (wilson(3, 7, 1.35).low, wilson(5, 7, 1.35).high)
