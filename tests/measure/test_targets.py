"""`--target`: measured with the rest, never taken for a labelled set or a shift."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file

import tuiprobe
from tests.measure.conftest import write_pictures
from tests.parts import part
from tuiprobe import miniature
from tuiprobe.api import run_several
from tuiprobe.cli.app import run_cli
from tuiprobe.errors import DataError, UsageError
from tuiprobe.miniature.encoder import load
from tuiprobe.probes.outliers.result import OutlierResult
from tuiprobe.probes.reader import RunReader
from tuiprobe.probes.robustness.result import Robustness
from tuiprobe.results import Report
from tuiprobe.run.arrays import read_arrays
from tuiprobe.run.directory import RunDir
from tuiprobe.run.head_file import head_digest
from tuiprobe.run.records import PlanRecord, read_plan, read_samples
from tuiprobe.run.verify import verify
from tuiprobe.spec import make_spec

pytestmark = pytest.mark.slow

CLASSES = len(miniature.class_names())
MODEL = "py:tests.measure.colors:build"


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def probe(output: Path, model: str = "mini_clip", data: str = "miniature:val", **more: Any) -> Any:
    options = {"workers": 0, "threads": 1, "sample": 40, **more}
    return tuiprobe.probe(model, data, output=str(output), **options)


def arrays_of(run: Path, sets: Iterable[str]) -> dict[str, np.ndarray]:
    found = read_arrays(RunDir(run).statistics_file)[0]
    found = {name: a for name, a in found.items() if name.split("/")[0] in sets}
    for name in sets:
        found |= {f"{name}/{k}": a for k, a in load_file(
            RunDir(run).features_file(name).path
        ).items()}  # fmt: skip
    return found


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the default run, of 64 images a set."""
    output = tmp_path_factory.mktemp("default") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
        probe(output, data="miniature", sample=64)
    return output


def test_the_default_run_brings_its_target(default: Path) -> None:
    report = Report.read(default / "results.json")
    (target,) = [one for one in report.data if one.target]
    assert (target.name, target.source) == ("street", "miniature:street")
    assert (target.images, target.measured, target.labelled, target.classes) == (64, 64, False, 0)
    assert {one.label for one in read_samples(RunDir(default))["street"].values()} == {None}
    assert list((default / "thumbs" / "street").glob("*.jpg"))
    assert all(one.sound for one in verify(RunDir(default)))


def test_no_probe_takes_a_target_for_a_labelled_set_or_a_shift(default: Path) -> None:
    report = Report.read(default / "results.json")
    labelled = ["val", *miniature.SHIFTS]
    assert [one.data for one in part(report, Robustness).accuracies] == labelled
    assert {one.data for one in part(report, OutlierResult).taps} == set(labelled)
    assert "street" not in report.title
    run = RunReader(RunDir(default))
    assert [one.name for one in run.images] == labelled
    assert [one.name for one in run.head_sets] == labelled
    assert [one.name for one in run.targets] == ["street"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sets": {0: {"target": True}}}, "do not begin with one of images"),
        ({"sets": {-1: {"classes": ["cat"]}}}, "has classes or concepts"),
        ({"concept_set": "street"}, "has classes or concepts"),
    ],
)
def test_a_plan_that_no_engine_writes_is_refused(
    default: Path, changes: dict[str, Any], said: str
) -> None:
    plan = read_plan(RunDir(default)).model_dump(mode="json")
    for place, more in changes.pop("sets", {}).items():
        plan["sets"][place] |= more
    with pytest.raises(ValueError, match=said):
        PlanRecord.model_validate(plan | changes)


def test_a_target_answers_by_the_rows_of_the_first_set(default: Path) -> None:
    run = RunReader(RunDir(default))
    (street,) = run.target_sets
    assert street.labels is None
    assert street.answers is not None
    assert street.answers.tolist() == list(range(CLASSES))
    assert street.features.shape == (64, 128)


def test_the_logit_scale_is_the_models(default: Path) -> None:
    module: Any = load("mini_clip", None, device="cpu", dtype=torch.float32).module
    run = RunReader(RunDir(default))
    assert not isinstance(run.head, str)
    assert run.head.normalize
    assert run.head.logit_scale == pytest.approx(float(module.logit_scale.exp()), rel=1e-6)
    assert run.head.logit_bias == 0
    stored = load_file(RunDir(default).head_file.path)
    assert stored["logit_scale"].dtype == np.float32
    assert stored["logit_scale"].shape == (1,)


def test_none_leaves_the_target_out(default: Path, tmp_path: Path) -> None:
    report = probe(tmp_path / "run", data="miniature", sample=64, target=("none",))
    assert not any(one.target for one in report.data)
    assert report.key == Report.read(default / "results.json").key
    with pytest.raises(UsageError, match="--target none"):
        probe(tmp_path / "other", target=("none", "miniature:street"))


def test_a_classifier_has_no_logit_scale(tmp_path: Path) -> None:
    probe(tmp_path / "run", "mini_supervised", target=("miniature:street",))
    run = RunReader(RunDir(tmp_path / "run"))
    assert not isinstance(run.head, str)
    assert (run.head.logit_scale, run.head.logit_bias) == (None, 0)
    assert run.target_sets[0].answers is not None


def test_a_target_that_is_a_measured_source_counts_once(tmp_path: Path) -> None:
    """Its features are those of the labelled set, in an order that labels do not decide."""
    targets = ("miniature:val", "miniature:v2")
    report = probe(tmp_path / "run", data="miniature", target=targets, concepts="none", sample=8)
    assert [one.name for one in report.data if one.target] == ["val-target", "v2-target"]
    robust = part(report, Robustness)
    assert [one.data for one in robust.accuracies] == ["val", *miniature.SHIFTS]
    without = probe(
        tmp_path / "without", data="miniature", target=("none",), concepts="none", sample=8
    )
    assert robust == part(without, Robustness)


def test_added_later_it_joins_the_head_and_leaves_it_again(tmp_path: Path) -> None:
    output = tmp_path / "run"
    probe(output)
    without = head_digest(RunDir(output))
    written = RunDir(output).head_file.modified()
    probe(output)
    assert RunDir(output).head_file.modified() == written
    probe(output, target=("miniature:street",))
    assert RunReader(RunDir(output)).target_sets[0].answers is not None
    assert head_digest(RunDir(output)) != without
    probe(output)
    assert head_digest(RunDir(output)) == without


def test_the_digest_of_the_head_covers_its_logit_scale(tmp_path: Path) -> None:
    weight = miniature_head()
    digests = []
    for scale in (None, 20.0, 30.0):
        file = tmp_path / f"{scale}.safetensors"
        extra = {} if scale is None else {"logit_scale": torch.tensor([scale])}
        save_file({"weight": weight, **extra}, file)
        probe(tmp_path / "run", head=str(file))
        run = RunReader(RunDir(tmp_path / "run"))
        assert not isinstance(run.head, str)
        assert run.head.logit_scale == scale
        assert run.head.normalize == (scale is not None)
        digests.append(head_digest(RunDir(tmp_path / "run")))
    assert len(set(digests)) == 3


def miniature_head() -> Any:
    return torch.randn(CLASSES, 128, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("labelled", [True, False])
def test_own_classes_may_all_answer(tmp_path: Path, labelled: bool) -> None:
    names = [f"thing {i}" for i in range(CLASSES if labelled else 5)]
    (tmp_path / "names.txt").write_text("\n".join(names))
    data = "miniature:val" if labelled else "miniature:web"
    targets = ("miniature:street",)
    probe(tmp_path / "run", data=data, target=targets, classes=str(tmp_path / "names.txt"))
    (street,) = RunReader(RunDir(tmp_path / "run")).target_sets
    assert street.answers is not None
    assert street.answers.tolist() == list(range(len(names)))


def test_labels_of_a_target_are_ignored(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 24)
    write_pictures(tmp_path / "mine", 12, classes=4)
    sources = (f"imagefolder:{tmp_path / 'photos'}", f"imagefolder:{tmp_path / 'mine'}")
    report = probe(tmp_path / "run", MODEL, sources[0], target=(sources[1],), batch_size=4)
    (_, mine) = report.data
    assert (mine.name, mine.target, mine.labelled, mine.classes) == ("mine", True, False, 0)
    assert read_plan(RunDir(tmp_path / "run")).sets[1].classes == ()
    assert {one.label for one in read_samples(RunDir(tmp_path / "run"))["mine"].values()} == {None}


@pytest.fixture
def photos(tmp_path: Path) -> tuple[str, tuple[str, ...]]:
    for name, count in (("photos", 24), ("one", 20), ("other", 12)):
        write_pictures(tmp_path / name, count)
    data, *targets = (f"imagefolder:{tmp_path / name}" for name in ("photos", "one", "other"))
    return data, tuple(targets)


def test_ranks_and_resuming_give_the_same_bits(
    photos: tuple[str, tuple[str, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, targets = photos
    options = {"target": targets, "batch_size": 4}
    whole = probe(tmp_path / "whole", MODEL, data, **options)
    for rank in ("0", "1"):  # each in turn; the last finds all shards and merges
        with monkeypatch.context() as patch:
            for name, value in (("RANK", rank), ("WORLD_SIZE", "2"), ("LOCAL_RANK", rank)):
                patch.setenv(name, value)
            spec = make_spec(MODEL, data, {"workers": 0, "threads": 1, "sample": 40, **options})
            tuiprobe.api.run(spec, output=tmp_path / "ranks")
    shared = Report.read(tmp_path / "ranks" / "results.json")
    assert shared.without_timings() == whole.without_timings()
    for shard in sorted((tmp_path / "whole" / "shards").glob("one-*"))[1::2]:
        shard.unlink()
    again = probe(tmp_path / "whole", MODEL, data, **options)
    assert again.without_timings() == whole.without_timings()
    sets = ("photos", "one", "other")
    expected, found = arrays_of(tmp_path / "whole", sets), arrays_of(tmp_path / "ranks", sets)
    assert expected.keys() == found.keys()
    assert all(np.array_equal(a, found[name], equal_nan=True) for name, a in expected.items())


def test_an_interrupted_run_with_only_targets_has_nothing_to_report(
    photos: tuple[str, tuple[str, ...]], tmp_path: Path
) -> None:
    data, targets = photos
    probe(tmp_path / "run", MODEL, data, target=targets, batch_size=4)
    for shard in (tmp_path / "run" / "shards").glob("photos-*"):
        shard.unlink()
    (tmp_path / "run" / "results.json").unlink()

    def cancel(event: Any) -> None:
        if event.data.get("stage") == "extract":
            (tmp_path / "run" / "cancel").touch()

    options = {"workers": 0, "threads": 1, "sample": 40, "target": targets, "batch_size": 4}
    outcome = tuiprobe.api.run(
        make_spec(MODEL, data, options), output=tmp_path / "run", listen=cancel
    )
    assert not outcome.complete
    assert not (tmp_path / "run" / "results.json").exists()


def test_several_models_share_the_decoding_of_targets(tmp_path: Path) -> None:
    options = {"workers": 0, "threads": 1, "sample": 20, "target": ("miniature:street",)}
    models = ("mini_clip_soft", "mini_supervised")
    specs = [make_spec(model, "miniature:val", options) for model in models]
    outcomes = run_several(specs, runs=tmp_path / "runs")
    for model, outcome in zip(models, outcomes, strict=True):
        alone = probe(tmp_path / model, model, sample=20, target=("miniature:street",))
        together = Report.read(outcome.directory.path / "results.json")  # type: ignore[union-attr]
        assert together.without_timings() == alone.without_timings()


def test_a_bad_source_ends_the_run_before_the_first_image(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--headless", "--data", "miniature:val", "--target", "imagefolder:nowhere"]
    assert run_cli(words) == 4
    assert "error: --target imagefolder:nowhere: " in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
    with pytest.raises(DataError, match="--target"):
        probe(tmp_path / "run", target=("miniature",))
