"""The targets of a real run: the embedded default against labels that the run never saw."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.parts import part
from tuiprobe import miniature, probe
from tuiprobe.miniature import world
from tuiprobe.probes.calibration.result import Calibration
from tuiprobe.probes.reader import RunReader
from tuiprobe.probes.robustness.result import Robustness
from tuiprobe.probes.targets.result import Targets
from tuiprobe.results import given
from tuiprobe.results.card import card
from tuiprobe.results.report import Report
from tuiprobe.run.directory import RunDir

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the default run of 200 images a set, without concepts."""
    output = tmp_path_factory.mktemp("targets") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
        probe("mini_clip", "miniature", output=str(output), sample=200, concepts="none")
    return output


def test_the_range_holds_the_truth(run: Path) -> None:
    report = Report.read(run / "results.json")
    found = part(report, Targets)
    (street,) = found.targets
    estimate = street.headline
    assert given(estimate)
    assert found.left_out.shifts == len(miniature.SHIFTS)
    reader = RunReader(RunDir(run))
    head = reader.head
    assert not isinstance(head, str)
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


def test_checks_are_of_the_accuracies_that_the_report_gives(run: Path) -> None:
    report = Report.read(run / "results.json")
    measured = {one.data: one.top1 for one in part(report, Robustness).accuracies}
    for one in part(report, Targets).checks:
        assert one.measured == measured[one.data]


def test_the_card_states_estimate_and_error(run: Path) -> None:
    report = Report.read(run / "results.json")
    block = next(one for one in card(report) if one.block == "your images")
    first, *_, last = ("".join(str(piece) for piece in text) for text in block.lines)
    assert first.startswith("street (200 images, no labels): about ")
    assert last.startswith("The same estimate of 5 labelled shifts, each from the others, was off")
    assert report.title.startswith("mini_clip on street: about ")
    assert report.figure("target", "street") == part(report, Targets).targets[0].headline


def test_scaling_calibrates_in_distribution(run: Path) -> None:
    found = part(Report.read(run / "results.json"), Calibration)
    first = found.sets[0]
    assert found.scale_known
    assert given(first.before)
    assert given(first.after)
    assert first.after.value < first.before.value
