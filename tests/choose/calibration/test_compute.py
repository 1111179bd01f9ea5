"""Calibration before and after temperature scaling, and accuracy by class."""

from dataclasses import replace

import numpy as np
import pytest

from tests.probes.calibrated import calibrated, head
from tests.probes.subject import model
from tuiprobe.choose.calibration.compute import probe_calibration
from tuiprobe.choose.calibration.describe import CalibrationOfTheHead
from tuiprobe.errors import DataError
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.probes.protocol import Subject
from tuiprobe.results import is_known
from tuiprobe.results.section import Chart, Strip
from tuiprobe.show.report.strings import line

NAMES = tuple(f"kind {i}" for i in range(10))


def described(result):
    return CalibrationOfTheHead().describe(result, Subject(model(), ()))


def test_temperature_scaling_finds_the_temperature_and_removes_the_error():
    first = calibrated("val", n=8000, temperature=2.5)
    result = probe_calibration(head(), [first, calibrated("v2", n=8000, seed=3)], NAMES)
    assert result.temperature.low < 2.5 < result.temperature.high
    own, shift = result.sets
    assert own.before.value > 0.15
    assert own.after.value < 0.02
    # The shift was calibrated as it was: scaling it by the other temperature makes it wrong.
    assert shift.before.value < 0.02
    assert shift.after.low > 0.1
    assert sum(one.accuracy.n for one in own.bins if is_known(one.accuracy)) == 8000


def test_an_unknown_scale_leaves_only_scaled_figures():
    by = HeadArrays(np.eye(10, dtype=np.float32), normalize=True)
    result = probe_calibration(by, [calibrated("val")], NAMES)
    assert result.sets[0].before.reason == "logit scale unknown"
    assert result.sets[0].bins_before == ()
    assert is_known(result.sets[0].after)


def test_classes_that_fall_are_named_with_their_images():
    first, shift = calibrated("val", sharpness=6.0), calibrated("v2", sharpness=6.0, seed=2)
    broken = shift.labels == 4
    features = shift.features.copy()
    features[broken] = np.roll(features[broken], 1, axis=1)
    result = probe_calibration(head(), [first, replace(shift, features=features)], NAMES)
    found = result.classes[0]
    worst = found.worst[0]
    assert worst.name == "kind 4"
    right = first.features.argmax(axis=1) == first.labels
    assert worst.first.value == pytest.approx(right[first.labels == 4].mean())
    assert worst.first.n == (first.labels == 4).sum()
    assert worst.change.value == pytest.approx(worst.shift.value - worst.first.value)
    assert found.compared == 10
    assert found.fell >= 1
    answers = features[broken].argmax(axis=1)
    wrong = np.bincount(answers[answers != 4], minlength=10)
    assert (worst.taken_for, worst.taken) == (f"kind {wrong.argmax()}", wrong.max())
    right, images = int((answers == 4).sum()), int(broken.sum())
    lines = [line(text) for text in described(result).card]
    assert lines[1] == (
        f"Worst class of a shift (10 tried): kind 4 on v2, {right} of {images} right, "
        f"{wrong.max()} called kind {wrong.argmax()}."
    )


def test_classes_are_compared_under_the_mask_of_the_shift():
    first, shift = calibrated("val"), calibrated("a", seed=2)
    answers = np.array([-1, 0, -1, 1, -1, -1, -1, -1, -1, -1])
    assert shift.labels is not None
    keep = np.isin(shift.labels, [1, 3])
    masked = replace(
        shift, features=shift.features[keep], labels=answers[shift.labels[keep]], answers=answers
    )
    result = probe_calibration(head(), [first, masked], NAMES).classes[0]
    assert {one.name for one in result.worst} == {"kind 1", "kind 3"}
    own = first.labels == 1
    right = first.features[own][:, [1, 3]].argmax(axis=1) == 0
    told = next(one for one in result.worst if one.name == "kind 1")
    assert told.first.value == pytest.approx(right.mean())


def test_the_section_has_a_reliability_diagram():
    sets = [calibrated("val"), *(calibrated(f"v{seed}", seed=seed) for seed in (2, 3, 4))]
    result = probe_calibration(head(), sets, NAMES)
    chart = next(one for one in described(result).content if isinstance(one, Chart))
    assert [one.role for one in chart.series] == ["reference", "main", "second", "third"]
    worst = max(result.sets[1:], key=lambda one: one.after.value)
    assert chart.series[3].name == f"{worst.data}, scaled (worst)"  # five lines would overlap
    assert len(chart.series[1].x) == 15


def test_few_images_are_described_without_figures():
    result = probe_calibration(head(), [calibrated("val", n=8)], NAMES)
    assert "needed" in result.temperature.reason
    assert described(result).card == ()


def test_without_a_temperature_no_figure_is_called_scaled():
    first, shift = calibrated("val", n=200), calibrated("v2", n=200, seed=2)
    right = replace(first, labels=first.features.argmax(axis=1))
    result = probe_calibration(head(), [right, shift], NAMES)
    assert "every answer is right" in result.temperature.reason
    assert [is_known(one.before) for one in result.sets] == [True, True]
    assert [one.after for one in result.sets] == [result.temperature, result.temperature]
    assert all(one.bins == () and one.bins_before for one in result.sets)
    section = described(result)
    assert section.card == () or "temperature scaling" not in line(section.card[0])
    assert line(section.headline) == (
        "Calibration error on val after temperature scaling: not run: every answer is right: no "
        "finite temperature fits best."
    )


def test_unlabelled_sets_are_refused():
    with pytest.raises(DataError):
        probe_calibration(head(), [replace(calibrated("val"), labels=None)], NAMES)


def test_the_wrong_answers_to_the_worst_class_are_pictured():
    first, shift = calibrated("val", sharpness=6.0), calibrated("v2", sharpness=6.0, seed=2)
    features = shift.features.copy()
    features[shift.labels == 4] = np.roll(features[shift.labels == 4], 1, axis=1)
    ids = 10 * np.arange(len(features))
    paths = {int(i): f"{i}.png" for i in ids}
    sets = [first, replace(shift, features=features)]
    result = probe_calibration(head(), sets, NAMES, {"v2": (ids, paths)})
    assert (result.pictured, len(result.wrong)) == ("v2", 8)
    places = np.array([one.sample_id // 10 for one in result.wrong])
    assert set(shift.labels[places]) == {4}
    answers = features[places].argmax(axis=1)
    assert [one.answer for one in result.wrong] == [f"kind {i}" for i in answers]
    assert 4 not in answers
    sure = [one.confidence for one in result.wrong]
    assert sure == sorted(sure, reverse=True)
    section = described(result)
    (strip,) = (piece for piece in section.content if isinstance(piece, Strip))
    assert (section.pictures, strip.data) == (("wrong",), "v2")
    alone = probe_calibration(head(), [first], NAMES, {"val": (10 * np.arange(4000), {})})
    right = first.features.argmax(axis=1) == first.labels
    assert not right[[one.sample_id // 10 for one in alone.wrong]].any()
