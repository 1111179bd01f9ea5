"""Which answers may run unattended: the rules against their definition, and where they are read."""

import csv
from math import floor, log
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from tests.probes.subject import model
from tuiprobe.choose.labelling.reading import read_report
from tuiprobe.choose.unattended.compute import (
    LEFT_OUT_LEVEL,
    LEVEL,
    TOLERATED,
    Ranked,
    Unattended,
    right_in_a_row,
    unattended,
)
from tuiprobe.choose.unattended.describe import RunsUnattended, words
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.probes.protocol import Subject
from tuiprobe.results import is_known
from tuiprobe.show.report.formats import export


def by_definition(confidence, right, tolerated: float, level: float) -> tuple[float, float] | None:
    """Returns share and threshold of a rule, one picture after the other."""
    n, answer = len(confidence), None
    for percent in range(5, 101, 5):
        place = floor(percent * n / 100 + 0.5)
        if place < 1:
            continue
        threshold = sorted(confidence, reverse=True)[place - 1] if percent < 100 else -1.0
        above = [bool(r) for c, r in zip(confidence, right, strict=True) if c > threshold]
        if len(above) < log(level) / log(1 - tolerated):
            continue
        if binom.cdf(len(above) - sum(above), len(above), tolerated) > level:
            break
        answer = len(above) / n, threshold
    return answer


@pytest.mark.parametrize("left_out", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_rules_are_those_of_the_definition(seed: int, left_out: bool) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(5, 900))
    confidence = rng.beta(4, 0.7, n)
    if seed % 3 == 0:
        confidence = np.round(confidence, 1)  # ties
    right = rng.random(n) < confidence
    found = unattended([Ranked("val", "confidence", 1.0, confidence, right, left_out)], [])
    level = LEFT_OUT_LEVEL if left_out else LEVEL
    for rule in found.sets[0].rules:
        expected = by_definition(confidence.tolist(), right.tolist(), rule.tolerated, level)
        assert is_known(rule.share) == (expected is not None)
        if expected is not None and is_known(rule.share):
            threshold = -1.0 if rule.threshold is None else rule.threshold
            assert (rule.share.value, threshold) == expected


def test_curve_has_exact_upper_bounds() -> None:
    confidence = np.linspace(1, 0, 100, endpoint=False)
    right = np.arange(100) % 9 > 0
    curve = unattended([Ranked("val", "confidence", 1.0, confidence, right)], []).sets[0].curve
    for point in curve:
        n = round(point.share * 100)
        wrong = int((~right[:n]).sum())
        high = binomtest(wrong, n, alternative="less").proportion_ci(0.95).high
        assert point.errors == wrong / n
        assert point.bound == pytest.approx(high, abs=1e-12)


def test_pictures_of_a_target_above_the_thresholds_of_the_first_set() -> None:
    confidence = np.linspace(0.5, 1, 400)
    right = np.random.default_rng(0).random(400) < confidence
    target = Ranked("photos", "confidence", 1.0, np.linspace(0, 1, 1001))
    found = unattended([Ranked("val", "confidence", 1.0, confidence, right)], [target])
    thresholds = {rule.tolerated: rule.threshold for rule in found.sets[0].known}
    shares = dict(found.targets[0].shares)
    assert shares.keys() == thresholds.keys()
    for tolerated, threshold in thresholds.items():
        above = target.confidence > (-1 if threshold is None else threshold)
        assert shares[tolerated] == above.mean()


def test_near_copies_leave_nothing_to_promise() -> None:
    confidence, right = np.linspace(0, 1, 400), np.ones(400, dtype=bool)
    (rules,) = unattended(
        [Ranked("val", "confidence", 1.0, confidence, right, near_copies=True)], []
    ).sets
    assert rules.near_copies
    assert not rules.known
    assert rules.tolerated(1.0) is None


def test_nothing_is_shown_by_too_few_labels() -> None:
    ranked = Ranked("val", "confidence", 1.0, np.linspace(0, 1, 58), np.ones(58, dtype=bool))
    five = unattended([ranked], []).sets[0].rules[TOLERATED.index(0.05)]
    assert not is_known(five.share)
    assert five.right_in_a_row == 59
    assert [right_in_a_row(e, LEVEL) for e in TOLERATED] == [299, 149, 59, 29, 14]


@pytest.mark.parametrize("threshold", [0.0, 0.12345, 0.9, 0.915, 0.99995, 1 - 1e-12])
def test_thresholds_are_rounded_up(threshold: float) -> None:
    shown = float(words(threshold))
    assert threshold <= shown < 1
    assert shown - threshold <= max(1e-3, 0.11 * (1 - threshold))


def test_rules_hold_for_the_columns_of_predictions(default_run, tmp_path: Path) -> None:
    """Whoever applies the published rule to predictions.csv gets the share that it states."""
    run = RunDir(default_run[1])
    report = read_report(run)
    export(report, run, ["predictions"], tmp_path)
    result = report.part(Unattended)
    assert result is not None
    with (tmp_path / "predictions.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    for rules in result.sets:
        rows = [row for row in table if row["set"] == rules.data and row[rules.column]]
        assert len(rows) == rules.images
        for rule in rules.known:
            assert is_known(rule.share)
            threshold = -1.0 if rule.threshold is None else rule.threshold
            above = [row for row in rows if float(row[rules.column]) > threshold]
            assert len(above) / len(rows) == rule.share.value
            covered = [row for row in rows if float(row["unattended"] or 1) <= rule.tolerated]
            assert [*map(id, above)] == [*map(id, covered)]
    unlabelled = [row for row in table if row["set"] not in {rules.data for rules in result.sets}]
    assert not any(row["unattended"] for row in unlabelled)


def test_answers_of_one_confidence_have_no_chart() -> None:
    everywhere = Ranked("val", "confidence", 1.0, np.ones(300), np.ones(300, dtype=np.bool_))
    section = RunsUnattended().describe(unattended([everywhere], []), Subject(model(), ()))
    assert section.pictures == ()
