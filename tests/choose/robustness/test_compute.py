from math import exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from tuiprobe.catalog.accuracies import ModelAccuracies
from tuiprobe.catalog.effective_robustness import bundled, fit
from tuiprobe.choose.robustness.compute import Baseline, Baselines, probe_robustness
from tuiprobe.errors import DataError
from tuiprobe.measure.arrays.head_arrays import SetFeatures
from tuiprobe.measure.run.arrays import HeadArrays

CLASSES = 20


def planted(name, accuracy, n=1000, classes=CLASSES, answers=None, start=0):
    """One-hot representations, exactly this part of them of the right class."""
    labels = start + np.arange(n) % (classes - start)
    shown = labels.copy()
    wrong = np.arange(n) >= round(accuracy * n)
    shown[wrong] = start + (labels[wrong] + 1 - start) % (classes - start)
    return SetFeatures(name, np.eye(classes, dtype=np.float32)[shown], labels, answers)


HEAD = HeadArrays(np.eye(CLASSES, dtype=np.float32))


def models(a, b, scatter=0.0, count=30, shift="imagenet_r"):
    """Baseline models on the line sigmoid(a logit(x) + b), with residuals of known size."""
    rng, rows = np.random.default_rng(0), []
    for i in range(count):
        x = 0.4 + 0.5 * i / count
        y = a * log(x / (1 - x)) + b + scatter * rng.standard_normal()
        rows.append(
            ModelAccuracies(
                table="testbed", model=f"family{chr(97 + i % 9)}", tag="", spec="", size=None,
                parameters=None, training="standard", baselines=frozenset({"own"}), imagenet=x,
                shifts={shift: 1 / (1 + exp(-y))},
            )
        )  # fmt: skip
    return rows


def probed(rows, first, *sets, names=None, axis="imagenet", target=("imagenet_r",)):
    names = {"r": "imagenet_r"} if names is None else names
    line = fit("own", rows, target)
    return probe_robustness(HEAD, [first, *sets], names, Baselines([Baseline(line, rows, axis)]))


def test_accuracies_are_exact_with_wilson_intervals():
    result = probe_robustness(HEAD, [planted("val", 0.76), planted("r", 0.5)], {}, Baselines())
    val, shift = result.accuracies
    assert (val.top1.value, shift.top1.value) == (0.76, 0.5)
    assert val.top1.method == "Wilson"
    assert result.mean_shift.value == 0.5
    assert "baseline" in result.effective.reason


def test_a_planted_effective_robustness_is_found():
    rows = models(1.0, -0.5, scatter=0.05)
    expected = 1 / (1 + exp(-(log(0.76 / 0.24) - 0.5)))
    result = probed(rows, planted("val", 0.76), planted("r", 0.8, n=5000))
    entry = result.effective[0]
    assert entry.value.value == pytest.approx(0.8 - expected, abs=0.01)
    assert entry.value.low < 0.8 - expected < entry.value.high
    assert entry.prediction.low < entry.value.low < entry.value.high < entry.prediction.high
    assert entry.above
    assert entry.extrapolated is False


def test_a_model_on_the_line_is_not_above_it():
    rows = models(1.0, 0.0, scatter=0.3)
    entry = probed(rows, planted("val", 0.7), planted("r", 0.7)).effective[0]
    assert entry.above is False


def test_extrapolation_is_flagged():
    entry = probed(models(1.0, 0.0, 0.1), planted("val", 0.2), planted("r", 0.2)).effective[0]
    assert entry.extrapolated


def test_a_class_list_restricts_the_answers():
    head = HeadArrays(np.eye(4, dtype=np.float32))
    h = np.array([[3, 2, 1, 0], [3, 1, 2, 0]], dtype=np.float32)
    labels = np.array([1, 1])
    first = SetFeatures("val", h, labels)
    assert probe_robustness(head, [first], {}, Baselines()).accuracies[0].top1.value == 0
    narrow = SetFeatures("a", h, labels, np.array([-1, 1, 2, -1]))
    result = probe_robustness(head, [first, narrow], {}, Baselines())
    assert result.accuracies[1].top1.value == 0.5
    assert result.accuracies[1].classes == 2
    assert "nearly all" in result.accuracies[1].top5.reason
    assert result.accuracies[1].top1_all.value == 0.0  # rows that may not answer here are highest
    assert (result.accuracies[1].head_classes, result.accuracies[1].top1_all.n) == (4, 2)
    assert "every class" in result.accuracies[0].top1_all.reason


@given(st.integers(0, 2**32 - 1))
def test_both_accuracies_under_a_mask_are_those_of_numpy(seed):
    draws = np.random.default_rng(seed)
    head = HeadArrays(draws.normal(size=(9, 5)).astype(np.float32))
    h, rows = draws.normal(size=(40, 5)).astype(np.float32), np.array([1, 4, 5, 8])
    answers = np.full(9, -1)
    answers[rows] = rows
    labels = draws.choice(rows, 40)
    first = SetFeatures("val", h, labels)
    masked = SetFeatures("a", h, labels, answers)
    result = probe_robustness(head, [first, masked], {}, Baselines()).accuracies[1]
    scores = h @ head.weight.T
    assert result.top1.value == np.mean(rows[scores[:, rows].argmax(1)] == labels)
    assert result.top1_all.value == np.mean(scores.argmax(1) == labels)


def test_a_set_of_one_class_has_no_accuracy_among_its_own():
    features = np.eye(CLASSES, dtype=np.float32)[[3] * 70 + [4] * 30]
    answers = np.where(np.arange(CLASSES) == 3, 0, -1)
    alone = SetFeatures("val", features, np.zeros(100, dtype=np.int64), answers)
    result = probe_robustness(HEAD, [alone], {}, Baselines()).accuracies[0]
    assert result.top1.reason.startswith("only one class may answer")
    assert result.top1_all.value == pytest.approx(0.7)
    assert result.classes == 1
    result = probe_robustness(HEAD, [planted("all", 0.6), alone], {}, Baselines()).accuracies[1]
    assert "only one class may answer" in result.id_own_classes.reason


def test_several_rows_may_answer_for_one_class():
    head = HeadArrays(np.eye(4, dtype=np.float32))
    h = np.eye(4, dtype=np.float32)
    answers = np.array([0, 0, 1, -1])  # rows 0 and 1 are one ObjectNet class
    images = SetFeatures("objectnet", h[:3], np.array([0, 0, 1]), answers)
    first = SetFeatures("val", h, np.arange(4))
    assert probe_robustness(head, [first, images], {}, Baselines()).accuracies[1].top1.value == 1.0


def test_both_axes_are_named_and_differ():
    answers = np.where(np.arange(CLASSES) >= 10, np.arange(CLASSES), -1)
    first = planted("val", 0.6)
    good = first.labels >= 10
    h = first.features.copy()
    h[good] = np.eye(CLASSES, dtype=np.float32)[first.labels[good]]
    h[good & (np.arange(len(good)) % 10 == 3)] = 1.0  # a tie, answered by the first allowed row
    first = SetFeatures("val", h, first.labels)
    shift = planted("r", 0.5, answers=answers, start=10)
    rows = models(1.0, 0.0, 0.1)
    plain = probed(rows, first, shift).effective[0]
    own = probed(rows, first, shift, axis="own classes").effective[0]
    assert (plain.axis, own.axis) == ("imagenet", "own classes")
    accuracy = probed(rows, first, shift).accuracies[1].id_own_classes
    assert accuracy.n == good.sum()
    assert own.value.value == pytest.approx(0.5 - accuracy.value, abs=0.03)
    assert own.value.value != plain.value.value


def test_top5_contains_top1_and_equals_sorting():
    rng = np.random.default_rng(0)
    head = HeadArrays(rng.standard_normal((30, 8)).astype(np.float32))
    images = SetFeatures(
        "val", rng.standard_normal((500, 8)).astype("f4"), rng.integers(0, 30, 500)
    )
    result = probe_robustness(head, [images], {}, Baselines()).accuracies[0]
    best = np.argsort(-(images.features.astype("f8") @ head.weight.T), axis=1)
    assert result.top5.value == (best[:, :5] == images.labels[:, None]).any(1).mean()
    assert result.top1.value == (best[:, 0] == images.labels).mean()


@pytest.mark.parametrize("accuracy", [0.0, 1.0])
def test_an_accuracy_of_zero_or_one_gives_no_nonsense(accuracy):
    rows = models(1.0, 0.0, 0.1)
    shift = probed(rows, planted("val", 0.7), planted("r", accuracy)).effective[0]
    assert shift.value.value == pytest.approx(accuracy - 0.7, abs=0.05)
    first = probed(rows, planted("val", accuracy), planted("r", 0.5)).effective[0]
    assert "logit is infinite" in first.value.reason
    assert first.above is None
    assert 0 < probed(rows, planted("val", 0.7), planted("r", 0.0)).mean_shift.high < 0.05


def test_missing_shifts_are_not_run():
    entry = probed(models(1.0, 0.0, 0.1), planted("val", 0.7)).effective[0]
    assert entry.value.reason == "imagenet_r not measured"
    assert "shift" in probed(models(1.0, 0.0, 0.1), planted("val", 0.7)).mean_shift.reason
    empty = planted("r", 0.5, n=0)
    assert "no images" in probed(models(1.0, 0.0, 0.1), planted("val", 0.7), empty).effective[
        0
    ].value.reason.replace("a shift has ", "")


@pytest.mark.parametrize(("zeros", "ends"), [(5, (95, 95)), (6, (94, 100)), (10, (90, 100))])
def test_images_whose_representation_is_zero_are_wrong_or_if_many_not_known(zeros, ends):
    one = planted("val", 1.0, n=100)
    one.features[:zeros] = 0
    top1 = probe_robustness(HEAD, [one], {}, Baselines()).accuracies[0].top1
    low, high = (binomtest(right, 100).proportion_ci(method="wilson") for right in ends)
    assert top1.n == 100
    assert top1.value == (0.95 if zeros == 5 else 1.0)  # of all, or of those with an answer
    assert (top1.low, top1.high) == pytest.approx((low[0], high[1]))


def test_wrong_labels_are_named():
    one = planted("val", 1.0)
    with pytest.raises(DataError, match="class 20, which no row"):
        probe_robustness(HEAD, [SetFeatures("val", one.features, one.labels + 1)], {}, Baselines())
    with pytest.raises(DataError, match="no labels"):
        probe_robustness(HEAD, [SetFeatures("val", one.features)], {}, Baselines())


def test_the_bundled_baseline_of_five_shifts():
    shifts = ("imagenet_v2", "imagenet_r", "imagenet_sketch", "objectnet", "imagenet_a")
    sets = [planted("val", 0.7), *(planted(name, 0.5) for name in shifts)]
    line = bundled("standard")
    names = {name: name for name in shifts}
    result = probe_robustness(HEAD, sets, names, Baselines([Baseline(line, ())]))
    entry = result.effective[0]
    assert entry.value.value == pytest.approx(0.5 - line.expected(0.7))
    assert entry.models == 80
