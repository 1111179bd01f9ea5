"""A head fitted to labels: its curve and its differences against explicit refits."""

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import Ridge

from tuiprobe.choose.linear.compute import DRAWS, Labelled, Linear, linear_accuracy, stratified
from tuiprobe.measure.arrays.head_arrays import SetFeatures, fit_head
from tuiprobe.measure.arrays.ridge import fit_ridge
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.results import NotRun, is_known
from tuiprobe.results.proportions import wilson

_ORDER = np.random.default_rng(1).permutation(1797)
DATA, TARGET = (array[_ORDER] for array in load_digits(return_X_y=True))


def digits(n: int, **more: Any) -> Labelled:
    fitted = fit_head(SetFeatures("val", DATA[:n].astype("f4"), TARGET[:n], ids=np.arange(n)), 10)
    assert not isinstance(fitted, NotRun)
    return Labelled(*fitted, n, **more)


def refits(n: int) -> np.ndarray:
    x, y = DATA[:n], TARGET[:n]
    fit = fit_ridge(x.astype("f4"), y, 10)
    assert not isinstance(fit, NotRun)
    right = np.zeros(n, dtype=bool)
    for i in range(n):
        others = np.arange(n) != i
        head = Ridge(alpha=fit.penalty, solver="svd").fit(x[others], np.eye(10)[y[others]])
        right[i] = head.predict(x[i : i + 1]).argmax() == y[i]
    return right


def made(labelled: Labelled, seed: int = 0) -> Linear:
    return linear_accuracy(labelled, seed)


def test_each_image_is_answered_by_a_head_fitted_to_the_others() -> None:
    result, right = made(digits(80)), refits(80)
    accuracy = result.sets[0].accuracy
    assert is_known(accuracy)
    assert accuracy == wilson(int(right.sum()), 80, 1.35)
    assert (result.images, result.classes, result.single, result.in_use) == (80, 10, 0, False)
    assert result.largest == np.bincount(TARGET[:80]).max() / 80
    assert result.curve[-1].accuracy == accuracy


def test_the_curve_is_of_heads_fitted_to_subsets_and_tested_on_the_rest() -> None:
    n, seed = 80, 3
    x, y = DATA[:n], TARGET[:n]
    result = made(digits(n), seed)
    assert [point.images for point in result.curve] == pytest.approx([20, 40, 80], abs=4)
    rng_of = lambda draw: np.random.default_rng([seed, 2, draw])  # noqa: E731
    right, tested = np.zeros(n), np.zeros(n)
    for draw in range(DRAWS):
        chosen = stratified(y, 2, rng_of(draw))
        fit = fit_ridge(x[chosen].astype("f4"), y[chosen], 10)
        assert not isinstance(fit, NotRun)
        head = Ridge(alpha=fit.penalty, solver="svd").fit(x[chosen], np.eye(10)[y[chosen]])
        right[~chosen] += head.predict(x[~chosen]).argmax(1) == y[~chosen]
        tested[~chosen] += 1
    half = result.curve[-2].accuracy
    assert is_known(half)
    assert half.value == pytest.approx(right.sum() / tested.sum())
    seen = tested > 0
    gains = refits(n)[seen] - right[seen] / tested[seen]
    assert is_known(result.gain)
    assert result.gain.value == pytest.approx(gains.mean())
    reach = 1.35 * 1.959964 * gains.std(ddof=1) / np.sqrt(seen.sum())
    assert result.gain.high == pytest.approx(gains.mean() + reach)


def test_it_is_compared_with_the_head_in_use_on_the_same_images() -> None:
    labelled = digits(300)
    weight = np.random.default_rng(0).normal(size=(10, 64)).astype("f4")
    other = HeadArrays(weight)
    result = made(digits(300, other=(other, labelled.images)))
    right = (labelled.images.features @ weight.T).argmax(1) == labelled.images.labels
    accuracy = result.sets[0].accuracy
    assert is_known(result.difference)
    assert is_known(accuracy)
    assert result.difference.value == pytest.approx(accuracy.value - right.mean())
    assert result.difference.low is not None
    assert result.difference.low > 0.5
    assert not is_known(made(digits(300)).difference)


def test_shifts_are_answered_by_the_head_fitted_to_all() -> None:
    answers = np.where(np.arange(10) < 5, np.arange(10), -1)
    rest = np.flatnonzero(TARGET[200:] < 5) + 200
    shift = SetFeatures("v2", DATA[rest].astype("f4"), TARGET[rest], answers)
    result = made(digits(200, shifts=[shift]))
    fit = fit_ridge(DATA[:200].astype("f4"), TARGET[:200], 10)
    assert not isinstance(fit, NotRun)
    scores = (DATA[rest] @ fit.weight.T + fit.bias)[:, :5]
    expected = int((scores.argmax(1) == TARGET[rest]).sum())
    assert result.sets[1].accuracy == wilson(expected, len(rest))


def test_few_images_have_no_curve_and_say_so() -> None:
    result = made(digits(35))
    assert len(result.curve) == 1
    assert not is_known(result.gain)
    constant = SetFeatures("val", np.ones((20, 3), "f4"), np.arange(20) % 2)
    assert isinstance(fit_head(constant, 2), NotRun)
