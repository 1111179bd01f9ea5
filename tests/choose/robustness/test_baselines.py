"""Which baselines a run is compared with, and that a planted effective robustness comes back."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Program
from tests.measure.engine.fake_run import FakeSet, write_run
from tests.parts import part
from tuiprobe.catalog.accuracies import SHIFTS, ModelAccuracies
from tuiprobe.catalog.effective_robustness import bundled, logit, sigmoid
from tuiprobe.choose.robustness.baselines import (
    baselines_for,
    check_baseline,
    family_of,
    read_baseline_csv,
)
from tuiprobe.choose.robustness.compute import Robustness
from tuiprobe.errors import UsageError
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.records import SetRecord, load_baseline, read_baseline, write_baseline
from tuiprobe.miniature import data as own_runs
from tuiprobe.probes.report import make_report
from tuiprobe.results import NotRun
from tuiprobe.results.report import Report

OWN = "model,imagenet,imagenet_v2,imagenet_r,imagenet_on_r_classes\n" + "".join(
    f"{family}net,{x:.3f},{sigmoid(logit(x) - 0.5 + 0.01 * i):.4f},{x / 2:.3f},{x + 0.05:.3f}\n"
    for i, (family, x) in enumerate(zip("abcdefgh", np.linspace(0.4, 0.8, 8), strict=True))
)


def record(name: str, published: str | None = None, source: str = "") -> SetRecord:
    return SetRecord(
        name=name, source=source or f"imagefolder:/{name}", found=9, planned=9, shards=1,
        classes=("a",), notes=(), published=published, key="k",
    )  # fmt: skip


def imagenet(*shifts: str) -> list[SetRecord]:
    return [record("val", "imagenet"), *(record(f"my-{shift}", shift) for shift in shifts)]


def miniature(*names: str) -> list[SetRecord]:
    return [record(name, source=f"miniature:{name}") for name in names]


def lines(sets: list[SetRecord], own: str | None = None) -> list[tuple[str, tuple[str, ...], str]]:
    result = baselines_for(sets, own)[1].lines
    return [(one.line.baseline, one.line.target, one.axis) for one in result]


def test_imagenets_sets_get_every_published_baseline_on_both_axes() -> None:
    result = lines(imagenet(*SHIFTS))
    counts = {"standard": 5, "standard_and_low": 5, "timm_imagenet1k": 4, "zero_shot": 5}
    for name, count in counts.items():
        mine = [(target, axis) for baseline, target, axis in result if baseline == name]
        assert mine[0] == (bundled(name).target, "imagenet")
        assert len([t for t, axis in mine if axis == "imagenet"]) == count + 1
        own = [t for t, axis in mine if axis == "own classes"]
        has = {("imagenet_r",), ("imagenet_a",), ("objectnet",)}
        lacks = {"timm_imagenet1k": {("objectnet",)}, "zero_shot": has}
        assert set(own) == has - lacks.get(name, set())


def test_a_mean_is_of_the_shifts_that_were_measured() -> None:
    result = lines(imagenet("imagenet_r", "objectnet"))
    assert ("standard", ("imagenet_r", "objectnet"), "imagenet") in result
    assert ("timm_imagenet1k", ("imagenet_r",), "imagenet") in result
    assert not any("imagenet_v2" in target for _, target, _ in result)
    (missing,) = baselines_for(imagenet("objectnet"), None)[1].not_run
    assert missing.reason == "timm_imagenet1k: none of its shifts was measured"


def test_worlds_are_never_mixed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert family_of([record("val"), record("r", "imagenet_r")]) is None
    assert family_of(miniature("v2", "val")) is None  # v2 is no in-distribution set
    mixed = [*miniature("val", "r"), record("r2", "imagenet_r")]
    assert dict(family_of(mixed).measured) == {"r": "r"}  # type: ignore[union-attr]
    other = [*imagenet("imagenet_r"), *miniature("r")]
    assert dict(family_of(other).measured) == {"my-imagenet_r": "imagenet_r"}  # type: ignore[union-attr]
    reason = baselines_for([record("photos")], None)[1].nothing.reason
    assert reason == "no baseline applies to imagefolder:/photos"
    assert "no shift" in baselines_for(imagenet(), None)[1].nothing.reason
    with pytest.raises(UsageError, match="nothing to compare"):
        baselines_for([record("photos")], OWN)
    with pytest.raises(UsageError, match=r"lacks the column 'val'"):
        baselines_for(miniature("val", "v2"), OWN)


def runs(count: int) -> list[ModelAccuracies]:
    shifts = ("v2", "r", "sketch", "a", "objectnet")
    return [
        ModelAccuracies(
            table="miniature", model=f"run{'abcdefghij'[i]}", tag="", training="supervised",
            baselines=frozenset({"miniature"}), imagenet=x,
            shifts=dict.fromkeys(shifts, x - 0.2 + 0.001 * i),
        )
        for i, x in enumerate(np.linspace(0.4, 0.9, count).tolist())
    ]  # fmt: skip


def test_the_miniature_has_its_own_line_from_seven_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = miniature("val", "v2", "r", "sketch", "a", "objectnet")
    monkeypatch.setattr(own_runs, "baseline_rows", lambda: runs(7))
    result = lines(sets)
    assert result[0] == ("miniature", ("v2", "r", "sketch", "a", "objectnet"), "val")
    assert len(result) == 6  # the mean and each shift; its shifts have all classes
    monkeypatch.setattr(own_runs, "baseline_rows", lambda: runs(6))
    _, none = baselines_for(sets, None)
    assert not none.lines
    assert none.nothing.reason == "miniature: 6 models have the accuracies; a line needs 7"


def test_a_users_csv_is_a_further_baseline() -> None:
    result = lines(imagenet("imagenet_v2", "imagenet_r"), OWN)
    assert ("own", ("imagenet_v2", "imagenet_r"), "imagenet") in result
    assert ("own", ("imagenet_r",), "own classes") in result
    assert result[0][0] == "own"  # the headline
    few = "\n".join(OWN.splitlines()[:5])
    with pytest.raises(UsageError, match="own: 4 models have the accuracies; a line needs 7"):
        baselines_for(imagenet("imagenet_v2"), few)


def one_hot(accuracy: float, n: int, classes: int = 40) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(n) % classes
    shown = np.where(np.arange(n) < round(accuracy * n), labels, (labels + 1) % classes)
    return np.eye(classes, dtype=np.float32)[shown], labels


def planted_run(path: Path, x: float, shift: float, own: str | None = None) -> RunDir:
    """A run of ImageNet's sets; the shifts are of the first twenty classes."""
    first, labels = one_hot(x, 400)
    val = FakeSet(first, labels, more={"published": "imagenet"})
    few, theirs = one_hot(shift, 400, 20)
    few = np.pad(few, ((0, 0), (0, 20)))
    answers = np.where(np.arange(40) < 20, np.arange(40), -1)
    sets = {"val": val} | {
        f"my-{name}": FakeSet(few, theirs, answers=answers, more={"published": name})
        for name in SHIFTS
    }
    run = write_run(path, sets, np.eye(40))
    if own is not None:
        run.baseline_file.write_text(own)
    return run


def planted(*of: Any, **more: Any) -> Robustness:
    return part(make_report(planted_run(*of, **more)), Robustness)


@pytest.mark.slow
def test_a_planted_effective_robustness_reaches_the_report(tmp_path: Path) -> None:
    line = bundled("standard")
    result = planted(tmp_path / "run", 0.7, line.expected(0.7) + 0.2, OWN)
    assert not isinstance(result.effective, NotRun)
    assert [one.shift for one in result.accuracies] == [None, *SHIFTS]
    assert result.effective[0].baseline == "own"
    mean = next(one for one in result.effective if one.baseline == "standard")
    assert (mean.axis, mean.models) == ("imagenet", 80)
    assert mean.value.value == pytest.approx(0.2, abs=0.002)  # type: ignore[union-attr]
    assert mean.above
    assert mean.extrapolated is False
    own = [one for one in result.effective if one.axis == "own classes"]
    assert {one.target[0] for one in own} == {"imagenet_r", "imagenet_a", "objectnet"}
    (restricted,) = {a.id_own_classes for a in result.accuracies[1:]}
    assert restricted.n == 200  # type: ignore[union-attr]
    assert restricted.value == pytest.approx(0.7)  # type: ignore[union-attr]


def test_what_of_a_csv_is_not_used_is_said(tmp_path: Path) -> None:
    sets = imagenet("imagenet_r")
    assert check_baseline(sets, OWN, "mine.csv") == ""
    text = OWN.replace("\n", ",2024\n").replace(",2024", ",year", 1)
    assert check_baseline(sets, text, "mine.csv") == "not used: column year (2024 8)"
    with pytest.raises(UsageError, match=r"mine\.csv line 2: imagenet is '76'"):
        check_baseline(sets, "model,imagenet,imagenet_r\nx,76,36\n", "mine.csv")


def test_the_csv_is_kept_in_the_run_and_goes_with_the_option(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(OWN)
    run = RunDir(tmp_path / "run")
    run.path.mkdir()
    write_baseline(run, load_baseline(str(path)))
    assert read_baseline(run) == OWN
    write_baseline(run, None)
    assert not run.baseline_file.exists()
    with pytest.raises(UsageError, match="cannot read"):
        load_baseline(str(tmp_path / "none.csv"))
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot read"):
        load_baseline(str(path))


@pytest.mark.slow
def test_reprobe_takes_a_csv(tmp_path: Path, program: Program) -> None:
    planted_run(tmp_path / "run", 0.7, 0.5)
    (tmp_path / "mine.csv").write_text(OWN)
    words = ("reprobe", str(tmp_path / "run"), "--baseline", str(tmp_path / "mine.csv"))
    program(*words)
    report = Report.model_validate_json((tmp_path / "run" / "results.json").read_text())
    effective = part(report, Robustness).effective
    assert any(one.baseline == "own" for one in effective)  # type: ignore[union-attr]
    (tmp_path / "mine.csv").write_text("model\n")
    assert "lacks the column 'imagenet'" in program(*words, code=2).err


def read(text: str) -> list[ModelAccuracies]:
    return read_baseline_csv(text, "mine.csv", "imagenet", SHIFTS)


def test_columns_are_found_by_name_and_empty_cells_are_unknown() -> None:
    first, second = read(
        "\ufeffnote,model,imagenet_r,imagenet,imagenet_on_r_classes,imagenet_v2\n"
        '"a, b",resnet50,0.36,0.761,0.92,\n\nx,vit,,0.8,,0.7\n'
    )
    assert (first.model, second.model) == ("resnet50", "vit")
    assert first.imagenet == 0.761
    assert first.shifts == dict.fromkeys(SHIFTS) | {"imagenet_r": 0.36}
    assert [row.on_shift_classes["imagenet_r"] for row in (first, second)] == [0.92, None]
    (semicolons,) = read("Model;ImageNet;imagenet_v2\nvit;0,8;0,7\n")
    assert (semicolons.imagenet, semicolons.shifts["imagenet_v2"]) == (0.8, 0.7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"mine\.csv is empty"),
        ("model,val\nx,0.5\n", "lacks the column 'imagenet'"),
        ("model,imagenet,v2\nx,0.5,0.4\n", "imagenet_v2 or imagenet_r"),
        ("model,imagenet,imagenet_r\n", "no model"),
        ("model,imagenet,imagenet_r\nx,76.1,36\n", "line 2: imagenet is '76.1'"),
        ("model,imagenet,imagenet_r\nx,0.5,nan\n", "imagenet_r is 'nan'"),
        ("model,imagenet,imagenet_r\nx,0.5,high\n", "imagenet_r is 'high', no number from 0 to 1"),
        ("model,imagenet,imagenet_r\n\n,0.5,0.4\n", "line 3: column 'model' is empty"),
        ("model,imagenet,imagenet,imagenet_r\nx,0.5,0.5,0.4\n", "'imagenet' appears twice"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read(text)
