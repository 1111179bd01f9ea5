"""Three models in one table: by what they are ranked, and who is not told apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.report.samples import estimate, model, report
from tests.report.strangers import strange_report
from tuiprobe.compare.differences import Run
from tuiprobe.compare.ranking import Ranking, describe_ranking, rank, write_ranking
from tuiprobe.report.markdown import section_markdown
from tuiprobe.report.text import line
from tuiprobe.results import Estimate, Part
from tuiprobe.results.headlines import MEAN_SHIFT, TARGET, TARGET_ERROR
from tuiprobe.results.section import MeanOf, NamedFigure
from tuiprobe.run.directory import RunDir
from tuiprobe.run.glance import write_results
from tuiprobe.run.per_image import SetValues


def figure(
    id: str, value: Estimate, data: str, rank: int | None = None, **more: Any
) -> NamedFigure:
    return NamedFigure(id=id, name=id, data=data, place="", figure=value, headline=rank, **more)


def run(name: str, *figures: NamedFigure, images: dict[str, SetValues] | None = None) -> Run:
    found = report(model=model(name=name))
    part = Part(probe="planted", title="Planted", figures=figures)
    return Run(found.model_copy(update={"parts": (*found.parts, part)}), images or {})


def shifted(name: str, value: float, **more: Any) -> Run:
    images = more.pop("images", None)
    return run(
        name, figure("mean_shift", estimate(value, 0.02), "val", MEAN_SHIFT, **more), images=images
    )


def test_the_mean_of_shifts_ranks_without_a_target() -> None:
    found = rank([shifted("b", 0.5), shifted("c", 0.3), shifted("a", 0.51)])
    assert (found.by, found.data) == ("mean_shift", "val")
    assert [one.model for one in found.models] == ["a", "b", "c"]
    told = [one.from_first and one.from_first.differs for one in found.models]
    assert told == [None, False, True]
    assert line(describe_ranking(found).headline) == (
        "Ranked by mean of shifts on val. a is not told apart by it from b (separate)."
    )


def test_an_estimate_on_the_target_comes_first_with_its_error() -> None:
    def model_of(name: str, value: float, mean: float, checked: bool = True) -> Run:
        return run(
            name,
            figure("target", estimate(value, 0.02), "photos", TARGET, role="estimate"),
            *([figure(TARGET_ERROR, estimate(0.09, 0.02), "val")] if checked else []),
            figure("mean_shift", estimate(mean, 0.02), "val", MEAN_SHIFT),
        )

    found = rank([model_of("a", 0.6, 0.9), model_of("b", 0.8, 0.5), shifted("lost", 0.99)])
    assert [one.model for one in found.models] == ["b", "a", "lost"]
    text = section_markdown(describe_ranking(found))
    assert "Ranked by estimated accuracy on photos, estimated without labels. b is told" in text
    assert "| estimated accuracy | error of the estimate on labelled shifts |" in text
    assert "| 0.800 (0.780 to 0.820) | 0.090 (0.070 to 0.110) |" in text
    assert "memory" not in text
    unchecked = rank([model_of("a", 0.6, 0.9, False), model_of("b", 0.8, 0.5, False)])
    said = line(describe_ranking(unchecked).headline)
    assert "; how wrong that is was not checked on any labelled shift. b is told" in said


def test_the_same_images_are_compared_in_pairs() -> None:
    rng = np.random.default_rng(0)
    hard = rng.random(4000)
    about = MeanOf(values="correct", sets=("r",))
    runs = []
    for name, rate in (("a", 0.5), ("b", 0.48), ("c", 0.2)):
        right = (hard < rate).astype(np.uint8)
        images = {"r": SetValues("list", "", np.arange(4000), {"correct": right})}
        runs.append(shifted(name, float(right.mean()), mean_of=about, images=images))
    found = rank(runs)
    assert [one.from_first and one.from_first.paired for one in found.models] == [None, True, True]
    # .02 apart with separate half-widths of .02, but every difference is of the same sign
    assert found.models[1].from_first is not None
    assert found.models[1].from_first.differs
    assert found.models[1].from_first.difference.value == pytest.approx(0.02, abs=0.01)  # type: ignore[union-attr]


def test_models_without_accuracies_are_not_ranked() -> None:
    found = rank([Run(report(), {}), Run(strange_report(), {}), Run(report(), {})])
    assert found.by == ""
    text = section_markdown(describe_ranking(found))
    assert "Not ranked: no two models have accuracies on the same set." in text
    assert (
        "| outlier features | shape of edges | highest channel | offset share | kurtosis |" in text
    )
    assert text.count(": concepts: not run: no concept set (pass --concepts broden:DIR)") == 3


def test_the_file_is_named_by_the_runs(tmp_path: Path) -> None:
    directories = []
    for name, value in (("a", 0.5), ("b", 0.6), ("c", 0.7)):
        directory = RunDir(tmp_path / name)
        write_results(directory, shifted(name, value).report)
        directories.append(directory)
    path, text = write_ranking(directories, tmp_path)
    assert path.read_text() == text
    assert path.name.startswith("comparison-")
    assert text.index("| c |") < text.index("| b |") < text.index("| a |")


def test_a_ranking_comes_back_from_json_as_it_was() -> None:
    found = rank([shifted("a", 0.5), shifted("b", 0.4), shifted("c", 0.3)])
    plain = json.loads(json.dumps(found.model_dump(mode="json")))
    assert Ranking.model_validate(plain) == found


def test_other_contents_are_other_images_whatever_the_folder_is_called() -> None:
    def seen(name: str, contents: str) -> Run:
        return run(name, images={"val": SetValues("list", contents, np.arange(9), {})})

    def notes(*runs: Run) -> list[str]:
        return [one for one in rank(runs).notes if "other images" in one]

    assert notes(seen("a", "x"), seen("b", "x")) == []
    assert notes(seen("a", "x"), seen("b", "y")) == ["b saw other images: 500 of val"]
    assert notes(seen("a", "x"), run("c")) == []
    moved = run("d")
    data = [one.model_copy(update={"source": "imagefolder:val"}) for one in moved.report.data]
    moved = moved._replace(report=moved.report.model_copy(update={"data": tuple(data)}))
    assert notes(run("c"), moved) == []
