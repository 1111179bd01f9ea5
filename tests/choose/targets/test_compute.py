"""Targets as a probe computes and describes them."""

from dataclasses import replace

import numpy as np
import pytest

from tests.probes.calibrated import accuracy, calibrated, head
from tests.probes.subject import model
from tuiprobe.choose.targets.compute import Images, estimate_targets
from tuiprobe.choose.targets.describe import ExpectedAccuracy
from tuiprobe.measure.arrays.head_arrays import SetFeatures
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.probes.protocol import Subject
from tuiprobe.results import NotRun, is_known
from tuiprobe.results.figures import TARGET
from tuiprobe.results.section import Chart, Prose
from tuiprobe.show.report.strings import line

NAMES = tuple(f"kind {i}" for i in range(10))


def unlabelled(name, **how):
    return replace(calibrated(name, **how), labels=None)


def found(first=None, shifts=(), targets=None, by=None):
    targets = [unlabelled("street", n=500, seed=5)] if targets is None else targets
    first = calibrated("val", seed=1) if first is None else first
    return estimate_targets(by or head(), Images(first, shifts, targets, NAMES))


def card(result):
    section = ExpectedAccuracy().describe(result, Subject(model(), ()))
    return [line(text) for text in section.card]


def test_errors_are_those_of_predicted_beside_measured():
    shifts = [calibrated("v2", seed=2), calibrated("hot", seed=3, temperature=4.0)]
    result = found(shifts=shifts)
    for one, shift in zip(result.checks, shifts, strict=True):
        assert one.measured.value == pytest.approx(accuracy(shift))
    away = [one.left_out.value for one in result.checks]
    error = result.left_out
    assert error.mean_absolute.value == pytest.approx(np.mean(np.abs(away)))
    assert error.worst.value == pytest.approx(max(away, key=abs))
    assert (error.worst_on, error.mean_absolute.n) == ("hot", 2)
    # Confidence does not see that labels are noisier there: the error is large, and said.
    assert error.worst.value > 0.2


def by_rule(own, expected, shifts, prior):
    """The scaled estimate, its k and half its 80 % range, in plain numpy."""

    def k_of(rows):
        p = np.array([r[0] - r[1] for r in rows])
        m = np.array([r[0] - r[2] for r in rows])
        return float(np.clip(((p * m).sum() + 0.005 * prior) / ((p * p).sum() + 0.005), 0.25, 4))

    k = k_of(shifts)
    left = [
        max(r[0] - k_of(shifts[:i] + shifts[i + 1 :]) * (r[0] - r[1]), 0.1) - r[2]
        for i, r in enumerate(shifts)
    ]
    half = (1.34 if left else 2.8) * (0.05 + 0.1 * max(k * (own - expected), 0))
    if len(left) >= 2:
        half = max(half, 1.6 * np.mean(np.abs(left)))
    return own - k * (own - expected), k, half, left


def test_the_estimate_is_scaled_by_the_labelled_shifts():
    shifts = [
        calibrated("v2", seed=2), calibrated("hot", seed=3, temperature=2.0),
        calibrated("blur", seed=4, sharpness=1.5),
    ]  # fmt: skip
    target = unlabelled("street", n=900, seed=5, sharpness=1.2)
    result = found(shifts=shifts, targets=[target])
    (one,) = result.targets
    for scaled, prior in zip(one.scaled, (1.35, 2.0), strict=True):
        rows = [
            (c.own.value, c.of(scaled.estimator).value, c.measured.value) for c in result.checks
        ]
        own = result.checks[0].own.value  # no set masks classes
        value, k, half, left = by_rule(own, one.of(scaled.estimator).value, rows, prior)
        assert scaled.k == pytest.approx(k)
        assert scaled.half == pytest.approx(half)
        assert scaled.accuracy.value == pytest.approx(value)
        assert scaled.accuracy.low == pytest.approx(max(value - half, 0))
        assert scaled.accuracy.high == pytest.approx(min(value + half, 1))
        if scaled.estimator == "atc_entropy":
            assert [c.left_out.value for c in result.checks] == pytest.approx(left)
            assert result.left_out.mean_absolute.value == pytest.approx(np.mean(np.abs(left)))
            worst = max(left, key=abs)
            assert result.left_out.worst.value == pytest.approx(worst)
            assert result.left_out.too_high == sum(e > 0 for e in left)
    assert one.headline == one.scaled[0].accuracy
    lines = card(result)
    assert lines[0].startswith("street (900 images, no labels): about ")
    assert "4 times in 5" in lines[0]
    assert lines[-1].startswith("Off by ")


def test_few_wrong_answers_and_no_shift_leave_the_estimate_as_it_is():
    first = calibrated("val", n=300, sharpness=9.0, seed=1)
    result = found(first=first)
    (one,) = result.targets
    assert one.wrong == round(300 * (1 - accuracy(first)))
    assert 0 < one.wrong < 50
    raw, scaled = one.of("atc_entropy").value, one.scaled[0]
    assert scaled.k == 1
    assert scaled.accuracy.value == pytest.approx(raw)
    own = accuracy(first)
    floor = 2 * (0.05 + 0.1 * max(1.35 * (own - raw), 0))
    assert scaled.half == pytest.approx((floor**2 + 0.2**2 / one.wrong) ** 0.5)
    text = card(result)[0]
    assert f"{one.wrong} wrong answers" in text
    assert f"{one.labels} labels of street" in text
    few = found(first=first, targets=[unlabelled("street", n=20, seed=5)])
    assert few.targets[0].labels == 20
    assert "Labels of all 20 images of street" in card(few)[0]


def test_without_a_labelled_shift_the_range_is_wider_than_with_one():
    target = unlabelled("street", n=900, seed=5, sharpness=2.5)
    (one,) = found(first=calibrated("val", n=4000, seed=1), targets=[target]).targets
    raw, scaled = one.of("atc_entropy").value, one.scaled[0]
    own = accuracy(calibrated("val", n=4000, seed=1))
    value, k, half, _ = by_rule(own, raw, [], 1.35)
    assert (scaled.k, one.wrong > 50) == (1.35, True)
    assert k == pytest.approx(1.35)
    assert scaled.accuracy.value == pytest.approx(value)
    assert scaled.half == pytest.approx(half)


def test_a_second_opinion_outside_the_range_is_said():
    """Confidences fall while entropies keep their order: the two estimators part."""
    result = found(targets=[unlabelled("street", n=900, seed=5, sharpness=0.4)])
    (one,) = result.targets
    shown, second = (each.accuracy for each in one.scaled)
    first = shown.value
    assert one.opinions_differ == (not shown.low <= second.value <= shown.high)
    closer = one.model_copy(update={"scaled": (one.scaled[0], one.scaled[0])})
    far = one.scaled[1].model_copy(
        update={"accuracy": one.scaled[0].accuracy.model_copy(update={"value": first + 0.4})}
    )
    parted = one.model_copy(update={"scaled": (one.scaled[0], far)})
    assert not closer.opinions_differ
    assert parted.opinions_differ
    lines = card(result.model_copy(update={"targets": (parted,)}))
    assert "outside that range: label some pictures of street" in lines[1]


def test_a_shift_of_one_class_checks_no_estimate():
    shift = calibrated("a", seed=2)
    keep = shift.labels == 3
    answers = np.where(np.arange(10) == 3, 0, -1)
    alone = SetFeatures("a", shift.features[keep], np.zeros(keep.sum(), dtype=np.int64), answers)
    result = found(shifts=[alone])
    assert "only one class may answer" in result.checks[0].measured.reason
    assert not is_known(result.left_out.mean_absolute)


def test_without_a_labelled_shift_the_error_is_unknown():
    result = found(shifts=[unlabelled("v2", seed=2)])
    assert result.checks == ()
    assert result.left_out.mean_absolute.reason == "unknown: no labelled shift in this run"


def test_without_labels_the_average_confidence_is_not_validated():
    target = unlabelled("street", n=5000, seed=5)
    result = found(first=unlabelled("val"), targets=[target])
    one = result.targets[0]
    assert (result.basis, one.expected) == ("not validated", ())
    assert one.uncalibrated.value == pytest.approx(
        accuracy(calibrated("s", n=5000, seed=5)), abs=0.03
    )
    p = one.uncalibrated.value
    assert 25 <= one.labels < 1.96**2 * p * (1 - p) / 0.05**2
    assert "not calibrated and not validated. It says how sure the model is" in card(result)[0]
    clause = ExpectedAccuracy().describe(result, Subject(model(), ())).clause
    assert clause.startswith("average confidence ")
    assert clause.endswith("not an accuracy")


def test_what_is_not_validated_ranks_no_models():
    figures = ExpectedAccuracy().named(found(first=unlabelled("val"))).figures
    assert figures[0].id == "target.uncalibrated"
    assert all(one.headline is None for one in figures)


def test_without_labels_and_scale_there_is_no_estimate():
    by = HeadArrays(np.eye(10, dtype=np.float32), normalize=True)
    result = found(first=unlabelled("val"), by=by)
    assert result.targets[0].headline == NotRun(reason="logit scale unknown")
    assert card(result) == ["street (500 images, no labels): no estimate: logit scale unknown."]
    # With labels the temperature gives the scale.
    assert is_known(found(by=by).targets[0].headline)


def test_every_class_is_counted_and_the_ends_are_named():
    target = unlabelled("street", n=500, seed=5)
    result = found(targets=[target])
    counts = np.bincount(target.features.argmax(axis=1), minlength=10)
    told = {one.name: one.images for one in result.targets[0].predicted}
    assert told == {f"kind {i}": int(n) for i, n in enumerate(counts)}
    section = ExpectedAccuracy().describe(result, Subject(model(), ()))
    chart = next(one for one in section.content if isinstance(one, Chart))
    assert chart.series[0].y == tuple(sorted(counts.astype(float), reverse=True))
    said = " ".join(line(one.text) for one in section.content if isinstance(one, Prose))
    assert "make every estimate meaningless" in said


@pytest.mark.slow
def test_the_card_has_at_most_three_sets_and_counts_the_rest():
    targets = [unlabelled(f"t{i}", n=60, seed=i) for i in range(5)]
    lines = card(found(targets=targets))
    assert sum("no labels" in line for line in lines) == 3
    assert lines[-1] == "2 more target sets in the section of estimates."


def test_figures_are_estimates_that_rank_among_the_headlines():
    result = found(shifts=[calibrated("v2", seed=2)])
    figures = ExpectedAccuracy().named(result).figures
    first = figures[0]
    assert (first.id, first.headline, first.data) == ("target", TARGET.headline, "street")
    assert {one.role for one in figures} == {"estimate"}
    assert any(one.id == "target_error" for one in figures)


def test_a_target_without_usable_images_says_so():
    empty = unlabelled("street", n=5)
    empty = replace(empty, features=empty.features[:0])
    one = found(targets=[empty]).targets[0]
    assert one.headline.reason == "no image with a finite representation"


def test_three_images_above_the_threshold_are_not_certain():
    sure = np.eye(10, dtype=np.float32)[:3] * 40
    (one,) = found(targets=[SetFeatures("three", sure)]).targets
    estimate = one.headline
    assert is_known(estimate)
    assert estimate.value == 1.0
    assert estimate.low is not None
    assert estimate.low < 0.5
