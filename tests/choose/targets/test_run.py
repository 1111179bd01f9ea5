"""The targets of a real run: the embedded default against labels that the run never saw."""

from pathlib import Path

import numpy as np
import pytest

from tests.choose.targets.by_hand import ByHand
from tests.parts import part
from tuiprobe import miniature, probe
from tuiprobe.choose.calibration.compute import Calibration
from tuiprobe.choose.robustness.compute import EffectiveRobustness, Robustness
from tuiprobe.choose.targets.compute import Targets
from tuiprobe.inside.ablation.compute import ChannelAblations
from tuiprobe.inside.directions.compute import Directions
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.miniature import world
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import is_known
from tuiprobe.results.report import Report

pytestmark = pytest.mark.slow

CLASSES = miniature.class_names()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the default run of 150 images a set, without concepts."""
    output = tmp_path_factory.mktemp("targets") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
        probe(
            "mini_clip", "miniature", output=output, sample=150, concepts="none", threads=1
        )  # fmt: skip
    return output


def test_the_range_holds_the_truth(run: Path) -> None:
    report = Report.read(run / "results.json")
    result = part(report, Targets)
    (street,) = result.targets
    estimate = street.headline
    assert is_known(estimate)
    assert result.left_out.shifts == len(miniature.SHIFTS)
    reader = RunReader(RunDir(run))
    head = reader.head
    answers = (reader.features("street")["features"] @ head.weight.T).argmax(axis=1)
    paths = reader.paths("street")
    labels = [
        world.label("street", int(Path(paths[i]).stem))
        for i in reader.features("street")["ids"].tolist()
    ]
    truth = float((answers == labels).mean())
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.low <= truth <= estimate.high
    assert estimate.high - estimate.low < 0.45


def test_the_figures_of_the_card_follow_from_the_files(run: Path) -> None:
    """Recomputed by numpy alone; what is cross-fitted agrees to three points."""
    report, hand = Report.read(run / "results.json"), ByHand(run)

    def value(id: str, data: str | None = None) -> float:
        figure = report.figure(id, data)
        assert is_known(figure), id
        return figure.value

    for name in ("val", *miniature.SHIFTS):
        assert value("top1", name) == pytest.approx(hand.accuracy(name))
    assert value("mean_shift") == pytest.approx(hand.mean_shift())
    assert value("kurtosis", "val") == pytest.approx(hand.kurtosis(), rel=1e-4)
    basis = next(one for one in part(report, Directions).bases if one.centred)
    assert is_known(basis.top_share)
    assert basis.top_share.value == pytest.approx(hand.first_importance(), rel=1e-3)
    (line, prediction), k = _effective(report), part(report, Targets).targets[0].scaled[0]
    x = hand.accuracy("val")
    expected = 1 / (1 + np.exp(-(line.slope * np.log(x / (1 - x)) + line.intercept)))
    assert prediction == pytest.approx(hand.mean_shift() - expected)
    ablated = part(report, ChannelAblations)
    for one in ablated.ablations:
        if one.mode == "zero" and is_known(one.difference):
            lost = hand.without(one.data, list(ablated.channels))
            assert one.difference.value == pytest.approx(lost, abs=1e-9)
    estimate, half = hand.estimate()
    assert value("target") == pytest.approx(estimate, abs=0.03)
    assert k.half == pytest.approx(half, abs=0.03)


def test_confidence_and_the_worst_class_follow_from_the_files(run: Path) -> None:
    report, hand = Report.read(run / "results.json"), ByHand(run)
    card = next(one for one in report.parts if one.probe == "calibration").section
    assert card.card is not None
    confidence, worst = ("".join(map(str, text)) for text in card.card)
    gap = hand.gap("val")
    assert (
        f"is on average {abs(100 * gap):.1f} points too {'high' if gap > 0 else 'low'}"
        in confidence
    )
    result = part(report, Calibration)
    shift = next(one for one in result.classes if f" on {one.data}, " in worst)
    label = CLASSES.index(shift.worst[0].name)
    right, images, taken_for, taken = hand.class_on(shift.data, label)
    assert f": {CLASSES[label]} on {shift.data}, {right} of {images} right" in worst
    assert shift.worst[0].taken == taken
    answers = {shift.worst[0].taken_for: shift.worst[0].taken, CLASSES[taken_for]: taken}
    assert set(answers.values()) == {taken}  # of equally many the first one is named


def _effective(report: Report) -> tuple[EffectiveRobustness, float]:
    first = part(report, Robustness).headlines()[0]
    assert is_known(first.prediction)
    return first, first.prediction.value


def test_every_picture_that_the_report_shows_is_kept(run: Path) -> None:
    report, directory = Report.read(run / "results.json"), RunDir(run)
    shown = {data.name: report.pictured(data.name) for data in report.data}
    assert part(report, Calibration).pictured in {name for name, ids in shown.items() if ids}
    for name, ids in shown.items():
        assert all(directory.thumbnail_file(name, id).exists() for id in ids), name
