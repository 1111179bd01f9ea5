"""Images whose representation is not finite: counted, listed, and in no figure."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.datasets.broden_tree import write_index, write_labels, write_map, write_picture
from tests.measure.engine.conftest import write_pictures
from tests.measure.engine.fake_run import FakeSet, write_run
from tests.parts import part
from tuiprobe import probe
from tuiprobe.choose.robustness.compute import Robustness
from tuiprobe.inside.ablation.targeted import Question, ablate
from tuiprobe.inside.concepts.compute import Concepts
from tuiprobe.inside.directions.compute import Directions
from tuiprobe.inside.outliers.result import OutlierResult
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.probes.report import make_report
from tuiprobe.results import Estimate, is_known
from tuiprobe.results.report import Report
from tuiprobe.show.report.html import html
from tuiprobe.show.report.markdown import markdown
from tuiprobe.show.report.tables import tables
from tuiprobe.show.report.terminal import summary

HALVED = (".calibration.", ".targets.")
"""Parts that fit to halves of the images, which are others where the order is another."""

MODEL = "py:tests.measure.engine.partly_nan:build"
BROKEN = {"class1/black.png": 0, "class4/black.png": 0, "class2/white.png": 255}


def run(data: Path, output: Path, **options: Any) -> Report:
    options = {"workers": 0, "threads": 1, "batch_size": 16, "concepts": "none", **options}
    return probe(MODEL, f"imagefolder:{data}", output=str(output), **options)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same images, with and without those whose representation is not finite."""
    root = tmp_path_factory.mktemp("pictures")
    write_pictures(root / "without", 120, classes=6)
    shutil.copytree(root / "without", root / "val")
    for name, level in BROKEN.items():
        Image.new("RGB", (48, 48), (level,) * 3).save(root / "val" / name)
    (root / "other").mkdir()
    (root / "without").rename(root / "other" / "val")
    return root / "val", root / "other" / "val"


@pytest.fixture(scope="module")
def runs(folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    output = tmp_path_factory.mktemp("runs")
    for name, folder in zip(("all", "finite"), folders, strict=True):
        run(folder, output / name)
    return output / "all", output / "finite"


def estimates(tree: object, path: str = "") -> dict[str, Estimate]:
    """Every figure below, by its place."""
    if isinstance(tree, dict):
        if tree.keys() >= {"value", "low", "high", "n", "method"}:
            return {path: Estimate.model_validate(tree)}
        parts: Iterable[tuple[object, object]] = tree.items()
    else:
        parts = enumerate(tree) if isinstance(tree, list | tuple) else ()
    return {k: v for name, part in parts for k, v in estimates(part, f"{path}.{name}").items()}


def test_every_figure_is_that_of_the_run_without_them(runs: tuple[Path, Path]) -> None:
    ours, theirs = (Report.read(path / "results.json") for path in runs)
    assert part(ours, Robustness).accuracies == part(theirs, Robustness).accuracies
    assert {item.n for b in part(ours, Directions).bases for c in b.curves for p in c.points
            for item in (p.accuracy,) if is_known(item)} == {120}  # fmt: skip
    result, expected = (
        estimates({entry.probe: entry.result for entry in report.parts})
        for report in (ours, theirs)
    )
    assert result.keys() == expected.keys()
    assert len(result) > 200
    for place, figure in result.items():
        assert figure.n == expected[place].n, place
        if place.startswith(HALVED):
            continue
        # The runs take the images in another order, so sums may round otherwise.
        assert figure.value == pytest.approx(expected[place].value, rel=1e-5, abs=1e-5), place
    final, other = (part(report, OutlierResult).taps[0] for report in (ours, theirs))
    assert final.images == other.images == 120
    listed = {i.path for c in final.top_images for i in (*c.largest, *c.smallest)}
    assert not listed & BROKEN.keys()


def test_every_format_says_how_many_and_which(runs: tuple[Path, Path]) -> None:
    report = Report.read(runs[0] / "results.json")
    (data,) = report.data
    assert (data.measured, data.nonfinite, set(data.nonfinite_images)) == (123, 3, set(BROKEN))
    (warning,) = (w for w in report.warnings if "finite" in w)
    assert warning.startswith("3 of 123 images of val gave representations that are not finite")
    for text in (markdown(report), html(report), summary(report)):
        assert "3 of 123 images" in text.replace("\N{NO-BREAK SPACE}", " ")
        assert "class4/black.png" in text
    csv = tables(report)
    assert csv["nonfinite"].count("val,class") == 3
    assert csv["data"].splitlines()[1].endswith(",123,123,0,3,6")
    plain = Report.read(runs[1] / "results.json")
    assert not any("finite" in warning for warning in plain.warnings)
    assert plain.data[0].nonfinite == 0


def test_ablation_counts_the_finite_images(runs, program):
    for mean in ([], ["--ablate-mode", "zero"]):
        answers = []
        for path in runs:
            question = ["--ablate", "channel:5,direction:1", *mean]
            answers.append(program("reprobe", str(path), *question, "--json").json["sets"][0])
        assert answers[0].pop("nonfinite") == 3
        assert answers[1].pop("nonfinite") == 0
        assert answers[0] == answers[1]
    out = program("reprobe", str(runs[0]), "--ablate", "channel:5").out
    assert "n 120, 3 not finite and left out" in out


def test_all_images_not_finite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(12):
        folder = tmp_path / "val" / f"class{number % 6}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (48, 48)).save(folder / f"{number}.png")
    report = run(tmp_path / "val", tmp_path / "run")
    assert report.data[0].nonfinite == report.data[0].measured == 12
    assert "12 of 12 images of val gave representations that are not finite" in markdown(report)
    assert "finite representation" in report.why_not("directions")
    top1 = part(report, Robustness).accuracies[0].top1
    assert not is_known(top1)
    assert top1.reason == "no image with a finite representation"
    assert part(report, OutlierResult).finals()[0].outcome == "withheld"
    without = ablate(RunDir(tmp_path / "run"), Question((3,), ()))
    assert [item.reason for item in without.not_run] == ["no image has a finite representation"]


def test_concepts_and_a_fitted_head_are_those_of_the_finite_images(folders, tmp_path):
    root, rows, rng = tmp_path / "broden1_224", [], np.random.default_rng(0)
    for i in range(150):
        red = rng.random() < 0.5
        color = (0, 0, 0) if i < 10 else (*((220, 40) if red else (40, 220)), 99)
        write_picture(root / "images" / f"set/{i:03d}.png", color)
        write_map(root / "images" / f"set/{i:03d}_color.png", np.full((8, 8), 1 if red else 2))
        rows.append((f"set/{i:03d}.png", "train" if i % 2 else "val", 16, 16, 8, 8,
                     f"set/{i:03d}_color.png", "", "", "", "", ""))  # fmt: skip
    write_index(root, rows)
    write_labels(root, ((1, "red-c", "color(75)"), (2, "green-c", "color(75)")))
    shutil.copytree(folders[1], tmp_path / "val")
    for number in range(24):
        Image.new("RGB", (48, 48)).save(tmp_path / "val" / f"class{number % 6}" / f"b{number}.png")
    options = {"concepts": f"broden:{root}", "concept_sample": 150, "head": "probe"}
    report = run(tmp_path / "val", tmp_path / "run", sample=60, **options)
    left = report.data[0].measured - report.data[0].nonfinite
    assert 0 < left < 60
    assert f"ridge regression on {left} images" in part(report, Directions).head
    assert part(report, Robustness).accuracies[0].images == left
    concepts = part(report, Concepts)
    assert (concepts.train, concepts.val) == (70, 70)
    assert concepts.not_finite == report.data[1].nonfinite == 10
    assert "10 of 150 images of broden1_224" in "".join(report.warnings)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_not_a_bit_is_left_of_them(tmp_path: Path, value: float) -> None:
    """Whether a value is infinite, or the length of h is, the rest is what it is without them."""
    rng = np.random.default_rng(3)
    weight = rng.standard_normal((8, 24)).astype("f4")
    labels = rng.integers(0, 8, 300)
    h = (weight[labels] + rng.standard_normal((300, 24))).astype("f4")
    h[:, 4] += 30
    broken = np.sort(rng.choice(300, 150, replace=False))
    spoiled = h.copy()
    spoiled[broken, 2] = value
    kept = np.setdiff1d(np.arange(300), broken)
    paths = {}
    for name, (some, truth) in {"all": (spoiled, labels), "kept": (h[kept], labels[kept])}.items():
        val = FakeSet(some, truth, classes=tuple("abcdefgh"))
        paths[name] = write_run(tmp_path / name, {"val": val}, weight)
    ours, theirs = make_report(paths["all"]), make_report(paths["kept"])
    assert part(ours, Directions) == part(theirs, Directions)
    assert part(ours, Robustness) == part(theirs, Robustness)
    assert ours.data[0].nonfinite == 150
    assert len(ours.data[0].nonfinite_images) == 100
    assert "- and 130 more\n" in markdown(ours)
    changed = {"nonfinite": 0, "top_images": ()}
    pair = [
        part(report, OutlierResult).taps[0].model_copy(update=changed) for report in (ours, theirs)
    ]
    assert pair[0] == pair[1]
