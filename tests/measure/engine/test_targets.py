"""`--target`: measured with the rest, never taken for a labelled set or a shift."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import tuiprobe
from tests.measure.engine.conftest import write_pictures
from tests.parts import part
from tuiprobe import miniature
from tuiprobe.choose.labelling.candidates import read_candidate
from tuiprobe.choose.robustness.compute import Robustness
from tuiprobe.choose.targets.compute import Targets
from tuiprobe.errors import UsageError
from tuiprobe.inside.outliers.result import OutlierResult
from tuiprobe.measure.engine.opening import plan_run
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.head_file import read_head
from tuiprobe.measure.run.records import PlanRecord, read_plan
from tuiprobe.measure.run.samples import read_samples
from tuiprobe.measure.run.status import read_status
from tuiprobe.measure.run.verify import verify
from tuiprobe.models.load import load_encoder
from tuiprobe.probes.reader import RunReader
from tuiprobe.probes.run import run
from tuiprobe.request import RunRequest, make_spec
from tuiprobe.results import Report, is_known

pytestmark = pytest.mark.slow

CLASSES = len(miniature.class_names())
MODEL = "py:tests.measure.engine.colors:build"


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def probe(output: Path, model: str = "mini_clip", data: str = "miniature:val", **more: Any) -> Any:
    options = {"workers": 0, "threads": 1, "sample": 40, **more}
    return tuiprobe.probe(model, data, output=str(output), **options)


@pytest.fixture(scope="module")
def default(default_run) -> Path:
    return default_run[1]


def test_data_without_labels_are_the_target_that_labels_are_asked_for(tmp_path: Path) -> None:
    options = {"data": "miniature:street", "classes": ",".join(miniature.class_names())}
    report = probe(tmp_path / "run", **options, target="none", concepts="none")
    assert [(dataset.name, dataset.target) for dataset in report.data] == [("street", True)]
    assert is_known(report.figure("target.uncalibrated", "street"))
    assert "on street" in report.title
    assert "not an accuracy" in report.title
    candidate = read_candidate(RunDir(tmp_path / "run"))
    assert (candidate.target, len(candidate.ids)) == ("street", 40)
    both = probe(tmp_path / "both", **options, target="miniature:v2", concepts="none")
    assert [dataset.name for dataset in both.data if dataset.target] == [
        "v2"
    ]  # what is named goes first


def test_while_it_measures_a_run_shows_the_answers_that_it_ends_with(default):
    report, status = Report.read(default / "results.json"), read_status(RunDir(default), 0)
    assert not status.unanswered
    accuracies = {accuracy.data: accuracy.top1 for accuracy in part(report, Robustness).accuracies}
    answers = {name: (answer.right, answer.images) for name, answer in status.answers.items()}
    assert answers.pop("street") == (None, 60)
    assert answers == {name: (round(top1.value * 60), 60) for name, top1 in accuracies.items()}
    (target,), street = part(report, Targets).targets, status.answers["street"]
    headline = target.headline
    assert (street.value, street.low, street.high) == (headline.value, headline.low, headline.high)
    assert street.calibrated == bool(target.scaled)
    assert street.estimated == 60


def test_the_default_run_brings_its_target_which_no_probe_takes_for_a_labelled_set_or_a_shift(
    default,
):
    report, run = Report.read(default / "results.json"), RunReader(RunDir(default))
    (target,) = [dataset for dataset in report.data if dataset.target]
    assert (target.name, target.source) == ("street", "miniature:street")
    assert (target.images, target.measured, target.labelled, target.classes) == (60, 60, False, 0)
    assert {sample.label for sample in read_samples(RunDir(default))["street"].values()} == {None}
    pictured = report.pictured("street")
    assert 9 <= len(pictured) <= 12  # eight of least confidence, four common answers
    assert {int(file.stem) for file in (default / "thumbs/street").glob("*.jpg")} >= pictured
    assert all(finding.sound for finding in verify(RunDir(default)))
    labelled = ["val", *miniature.SHIFTS]
    assert [accuracy.data for accuracy in part(report, Robustness).accuracies] == labelled
    assert {tap.data for tap in part(report, OutlierResult).taps} == set(labelled)
    assert report.title.startswith("mini_clip on street: about ")
    assert (
        [image.name for image in run.id_and_shifts]
        == [head_set.name for head_set in run.head_sets]
        == labelled
    )
    (street,) = run.target_sets  # answers by the rows of the first set
    assert street.labels is None
    assert street.answers.tolist() == list(range(CLASSES))
    assert street.features.shape == (60, 128)
    module: Any = load_encoder("miniature:mini_clip").module
    assert run.head.normalize
    assert run.head.logit_scale == pytest.approx(float(module.logit_scale.exp()), rel=1e-6)
    assert run.head.logit_bias == 0


def test_a_plan_that_no_engine_writes_is_refused(default: Path) -> None:
    for place, changes, message in (
        (0, {"target": True}, "do not begin with one of images"),
        (-1, {"classes": ["cat"]}, "has classes or concepts"),
    ):
        plan = read_plan(RunDir(default)).model_dump(mode="json")
        plan["sets"][place] |= changes
        with pytest.raises(ValueError, match=message):
            PlanRecord.model_validate(plan)


def test_none_leaves_the_target_out(default: Path, tmp_path: Path) -> None:
    options = {"sample": 60, "target": ("none",), "concepts": "none"}
    plan = plan_run(RunRequest(spec=make_spec("mini_clip", "miniature", options)))
    assert not plan.suite.targets
    assert plan.key == Report.read(default / "results.json").key
    with pytest.raises(UsageError, match="--target none"):
        probe(tmp_path / "other", target=("none", "miniature:street"))


def test_a_target_that_is_a_measured_source_counts_once(tmp_path: Path) -> None:
    """Its features are those of the labelled set, in an order that labels do not decide."""
    targets = ("miniature:val", "miniature:v2")
    report = probe(tmp_path / "run", data="miniature", target=targets, concepts="none", sample=8)
    assert [dataset.name for dataset in report.data if dataset.target] == [
        "val-target",
        "v2-target",
    ]
    robust = part(report, Robustness)
    assert [accuracy.data for accuracy in robust.accuracies] == ["val", *miniature.SHIFTS]
    without = probe(
        tmp_path / "without", data="miniature", target=("none",), concepts="none", sample=8
    )
    assert robust == part(without, Robustness)


def test_added_later_it_joins_the_head_whose_digest_covers_its_logit_scale(tmp_path):
    weight = torch.randn(CLASSES, 128, generator=torch.Generator().manual_seed(3))
    run, digests = RunDir(tmp_path / "run"), []
    for scale in (None, 20.0):
        file = tmp_path / f"{scale}.safetensors"
        extra = {} if scale is None else {"logit_scale": torch.tensor([scale])}
        save_file({"weight": weight, **extra}, file)
        for target in ((), ("miniature:street",)):
            probe(run.path, head=str(file), target=target, sample=8)
            digests.append(read_head(run).digest)
            assert len(RunReader(run).target_sets) == len(target)
        assert RunReader(run).head.logit_scale == scale
    assert len(set(digests)) == 4
    for _ in range(2):  # without the target it is what it was, and stays
        written = run.head_file.modified()
        probe(run.path, head=str(file), sample=8)
        assert read_head(run).digest == digests[2]
    assert run.head_file.modified() == written


def test_own_classes_may_all_answer(tmp_path: Path) -> None:
    names = [f"thing {i}" for i in range(5)]
    (tmp_path / "names.txt").write_text("\n".join(names))
    named: dict[str, Any] = {
        "target": ("miniature:street",),
        "classes": str(tmp_path / "names.txt"),
    }
    probe(tmp_path / "run", data="miniature:web", **named)
    (street,) = RunReader(RunDir(tmp_path / "run")).target_sets
    assert street.answers.tolist() == list(range(5))


@pytest.fixture
def photos(tmp_path: Path) -> tuple[str, tuple[str, ...]]:
    for name, count in (("photos", 24), ("one", 20), ("other", 12)):
        write_pictures(tmp_path / name, count)
    data, *targets = (f"imagefolder:{tmp_path / name}" for name in ("photos", "one", "other"))
    return data, tuple(targets)


def test_an_interrupted_run_with_only_targets_has_nothing_to_report(photos, tmp_path):
    data, targets = photos
    probe(tmp_path / "run", MODEL, data, target=targets, batch_size=4)
    for shard in (tmp_path / "run" / "shards").glob("photos-*"):
        shard.unlink()
    (tmp_path / "run" / "results.json").unlink()

    def cancel(event: Any) -> None:
        if event.data.get("stage") == "extract":
            (tmp_path / "run" / "cancel").touch()

    options = {"workers": 0, "threads": 1, "sample": 40, "target": targets, "batch_size": 4}
    request = RunRequest(spec=make_spec(MODEL, data, options), output=tmp_path / "run")
    [outcome] = run([request], listen=lambda _, event: cancel(event))
    assert not outcome.complete
    assert not (tmp_path / "run" / "results.json").exists()
