"""Runs at the edge of what can be probed: figures or reasons, never nonsense, never a crash."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.measure.engine.fake_run import FakeSet, write_run
from tests.parts import part
from tuiprobe.choose.robustness.compute import Robustness
from tuiprobe.inside.directions.compute import Directions
from tuiprobe.inside.directions.describe import PrivilegedDirections
from tuiprobe.inside.outliers.result import OutlierResult
from tuiprobe.probes.intervals import exact
from tuiprobe.probes.report import make_report
from tuiprobe.results import is_known
from tuiprobe.results.report import Report
from tuiprobe.show.report.markdown import markdown
from tuiprobe.show.report.tables import tables

RNG = np.random.default_rng(0)
WEIGHT = RNG.standard_normal((8, 12)).astype("f4")
LABELS = np.arange(120) % 8
H = (WEIGHT[LABELS] + 0.5 * RNG.standard_normal((120, 12))).astype("f4")


def probed(path: Path, weight: np.ndarray | None, **sets: FakeSet) -> Report:
    """Probes, and makes sure that every format takes what comes out."""
    report = make_report(write_run(path / "run", sets, weight))
    json.loads(report.to_json())
    assert "nan" not in markdown(report).lower().replace("finance", "")
    tables(report)
    return report


def test_a_model_without_a_head(tmp_path: Path) -> None:
    report = probed(tmp_path, None, val=FakeSet(H, LABELS))
    for probe in ("directions", "robustness", "ablation", "targets"):
        assert report.why_not(probe) == "fake brings no head"
    assert is_known(part(report, OutlierResult).taps[0].kurtosis)


def test_two_classes(tmp_path: Path) -> None:
    two = FakeSet(H, LABELS % 2)
    report = probed(tmp_path, WEIGHT[:2], val=two, r=two)
    assert [basis.rank for basis in part(report, Directions).bases] == [2, 1]
    assert "nearly all" in part(report, Robustness).accuracies[0].top5.reason  # type: ignore[union-attr]


def test_one_class(tmp_path: Path) -> None:
    report = probed(
        tmp_path, WEIGHT, val=FakeSet(H, 0 * LABELS, answers=np.where(LABELS[:8], -1, 0))
    )
    for probe in ("calibration", "unattended"):
        assert str(report.why_not(probe)).startswith("only one class may answer")


def test_a_rank_deficient_head(tmp_path: Path) -> None:
    report = probed(tmp_path, np.tile(WEIGHT[:3], (3, 1))[:8], val=FakeSet(H, LABELS))
    assert [basis.rank for basis in part(report, Directions).bases] == [3, 2]


def test_a_head_of_equal_rows_and_zero_accuracy(tmp_path: Path) -> None:
    wrong = FakeSet(H, (H @ WEIGHT.T).argmin(1))
    report = probed(tmp_path, WEIGHT, val=wrong, r=wrong)
    robustness = part(report, Robustness)
    zero = robustness.accuracies[0].top1
    assert is_known(zero)
    assert zero.value == 0 == zero.low
    assert zero.high > 0  # type: ignore[operator]
    assert "no baseline applies" in robustness.effective.reason


@pytest.mark.parametrize(
    ("value", "n", "low"), [(np.nan, 90, 0.959), (0.0, 120, 0.665)]
)  # Wilson: 90 right of 90, and at least 90 of 120
def test_images_left_out_and_images_without_an_answer(tmp_path, value, n, low):
    h = H.copy()
    h[:30] = value
    report = probed(tmp_path, WEIGHT, val=FakeSet(h, (H @ WEIGHT.T).argmax(1)))
    found = part(report, Robustness).accuracies[0].top1
    assert is_known(found)
    assert (found.n, found.value, found.high) == (n, 1.0, 1.0)
    assert found.low == pytest.approx(low, abs=1e-3)


def test_a_shift_without_any_representation(tmp_path: Path) -> None:
    nothing = FakeSet(np.full_like(H, np.nan), LABELS)
    report = probed(tmp_path, WEIGHT, val=FakeSet(H, LABELS), r=nothing)
    accuracies = part(report, Robustness).accuracies
    assert "finite representation" in accuracies[1].top1.reason  # type: ignore[union-attr]
    assert {c.data for c in part(report, Directions).bases[0].curves} == {"val"}
    taps = part(report, OutlierResult).taps
    assert is_known(taps[0].kurtosis)
    assert not is_known(taps[1].kurtosis)


def test_fewer_images_than_channels_and_a_single_one(tmp_path: Path) -> None:
    for n in (1, 5):
        probed(tmp_path / str(n), WEIGHT, val=FakeSet(H[:n], LABELS[:n]))


def test_a_label_that_no_row_answers_for_is_named(tmp_path: Path) -> None:
    strange = FakeSet(H, LABELS + 1)
    report = probed(tmp_path, WEIGHT, val=FakeSet(H, LABELS), r=strange)
    assert "r has images of class 8, which no row" in report.why_not("robustness")


def test_a_number_that_no_report_takes_names_the_probe(tmp_path, monkeypatch):
    monkeypatch.setattr(PrivilegedDirections, "compute", lambda *_: exact(np.nan, 1, "planted"))
    report = probed(tmp_path, WEIGHT, val=FakeSet(H, LABELS))
    assert "the probe directions failed with ValidationError" in report.why_not("directions")
    assert "holds texts, lists or numbers that no report takes" in report.why_not("directions")
