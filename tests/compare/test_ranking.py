"""Which model to take: what orders models, and when that is left undecided."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.report.samples import estimate, model, report
from tests.report.strangers import strange_report
from tuiprobe.compare.differences import Run
from tuiprobe.compare.ranking import Ranking, rank
from tuiprobe.compare.ranking_section import describe_ranking, title_of, write_ranking
from tuiprobe.report.markdown import section_markdown
from tuiprobe.report.terminal import WIDTH, section_text
from tuiprobe.report.text import line
from tuiprobe.results import Estimate, Part, given
from tuiprobe.results.headlines import MEAN_SHIFT, TARGET, TARGET_ERROR, TOP1
from tuiprobe.results.section import MeanOf, NamedFigure
from tuiprobe.run.directory import RunDir
from tuiprobe.run.per_image import SetValues
from tuiprobe.run.results import write_results


def figure(
    id: str, value: Estimate, data: str, rank: int | None = None, **more: Any
) -> NamedFigure:
    return NamedFigure(id=id, name=id, data=data, place="", figure=value, headline=rank, **more)


def run(name: str, *figures: NamedFigure, images: dict[str, SetValues] | None = None) -> Run:
    plain = report(model=model(name=name))
    part = Part(probe="planted", title="Planted", figures=figures)
    return Run(plain.model_copy(update={"parts": (*plain.parts, part)}), images or {})


def shifted(name: str, value: float, half: float = 0.02, **more: Any) -> Run:
    return run(name, figure("mean_shift", estimate(value, half), "val", MEAN_SHIFT, **more))


def costing(run: Run, parameters: int, speed: float | None = None) -> Run:
    about = run.report.model.model_copy(update={"parameters": parameters})
    timings = run.report.timings.model_copy(update={"images_per_second": speed})
    changes = {"model": about, "timings": timings}
    return run._replace(report=run.report.model_copy(update=changes))


def decisions(ranking: Ranking) -> list[tuple[str, str]]:
    return [(row.model, row.decision) for row in ranking.models]


def test_the_measured_mean_of_shifts_orders_and_decides() -> None:
    ranking = rank([shifted("b", 0.5), shifted("c", 0.3), shifted("a", 0.6)])
    assert (ranking.by, ranking.data) == ("mean_shift", "val")
    assert decisions(ranking) == [("a", "take"), ("b", "behind"), ("c", "behind")]
    assert title_of(ranking) == "Take a: the best on the mean of labelled shifts"
    text = section_text(describe_ranking(ranking))
    assert "- a minus b, mean of shifts: +0.100 (+0.072 to +0.128), separate." in text
    # two tests at once: error .02 sqrt(2) / 1.96 of each, (2.2414 + .8416) of it
    assert ranking.detectable == pytest.approx(0.0445, abs=1e-4)


def test_neither_apart_nor_equal_is_undecided() -> None:
    ranking = rank([shifted("a", 0.51), shifted("b", 0.5), shifted("c", 0.3)])
    assert decisions(ranking) == [("a", "undecided"), ("b", "undecided"), ("c", "behind")]
    headline = line(describe_ranking(ranking).headline)
    assert title_of(ranking) == "Undecided between a and b: label some of your own pictures"
    assert headline.startswith(title_of(ranking))
    assert "About 50 labels tell a difference of 11 points" in headline


def test_no_more_labels_are_asked_for_than_there_are_pictures() -> None:
    runs = []
    for name, value in (("a", 0.51), ("b", 0.5)):
        measured = shifted(name, value)
        target = measured.report.data[0].model_copy(
            update={"name": "photos", "target": True, "measured": 40}
        )
        data = (*measured.report.data, target)
        runs.append(measured._replace(report=measured.report.model_copy(update={"data": data})))
    ranking = rank(runs)
    assert title_of(ranking) == "Undecided between a and b: label all 40 pictures of photos"
    assert "50" not in line(describe_ranking(ranking).headline)


def test_the_cheapest_is_advised_only_within_the_margin() -> None:
    """Equal means that the interval of the difference lies within 2 points."""
    best = costing(shifted("best", 0.51, 0.005), 300, 10.0)
    equal = costing(shifted("equal", 0.505, 0.005), 200, 40.0)
    small = costing(shifted("small", 0.5, 0.005), 100, 20.0)
    far = costing(shifted("far", 0.3, 0.005), 1, 99.0)
    ranking = rank([equal, far, small, best])
    assert decisions(ranking) == [
        ("best", "as good"), ("equal", "take"), ("small", "as good"), ("far", "behind"),
    ]  # fmt: skip
    assert title_of(ranking) == (
        "Take equal, the cheapest of 3 models within 2 points of the best on the mean of labelled "
        "shifts"
    )
    untimed = costing(shifted("small", 0.5, 0.005), 100)
    assert ("small", "take") in decisions(rank([equal, untimed, best]))  # then by parameters


def test_neither_estimates_nor_accuracy_in_distribution_order_models() -> None:
    def known(name: str, estimated: float, top1: float) -> Run:
        return run(
            name,
            figure("target", estimate(estimated, 0.02), "photos", TARGET, role="estimate"),
            figure(TARGET_ERROR, estimate(0.09, 0.02), "val"),
            figure("top1", estimate(top1, 0.001), "val", TOP1),
        )

    ranking = rank([known("a", 0.6, 0.7), known("b", 0.8, 0.9)])
    assert (ranking.by, decisions(ranking)) == ("", [("a", "undecided"), ("b", "undecided")])
    text = section_text(describe_ranking(ranking))
    assert "Undecided: label some of your own pictures" in " ".join(text.split())
    assert "0.800 (0.780 to 0.820)" in text
    assert "| 0.090 (0.070 to 0.110) |" in section_markdown(describe_ranking(ranking))


def test_means_over_other_shifts_do_not_order_each_other() -> None:
    two, three = (MeanOf(values="correct", sets=sets) for sets in (("r", "v2"), ("r", "v2", "a")))
    runs = [shifted("a", 0.5, mean_of=two), shifted("b", 0.2, mean_of=three)]
    assert rank(runs).by == ""
    ranking = rank([*runs, shifted("c", 0.7, mean_of=two)])
    assert decisions(ranking) == [("c", "take"), ("a", "behind"), ("b", "undecided")]
    assert ranking.models[2].from_first is None
    assert title_of(ranking) == "Take c: the best on the mean of 2 labelled shifts"
    assert line(describe_ranking(ranking).headline) == (
        f"{title_of(ranking)}. Not compared, without a mean over the same shifts: b."
    )


def test_the_same_images_are_compared_in_pairs() -> None:
    rng = np.random.default_rng(0)
    hard = rng.random(4000)
    about = MeanOf(values="correct", sets=("r",))
    runs = []
    for name, rate in (("a", 0.5), ("b", 0.48), ("c", 0.2)):
        right = (hard < rate).astype(np.uint8)
        images = {"r": SetValues("list", "", np.arange(4000), {"correct": right})}
        runs.append(shifted(name, float(right.mean()), mean_of=about)._replace(images=images))
    ranking = rank(runs)
    assert [row.from_first and row.from_first.paired for row in ranking.models] == [
        None,
        True,
        True,
    ]
    # .02 apart with separate half-widths of .02, but every difference is of the same sign
    against = ranking.models[1].from_first
    assert against is not None
    assert given(against.difference)
    assert against.differs
    assert against.difference.value == pytest.approx(0.02, abs=0.01)


def test_the_largest_loss_is_against_the_same_classes() -> None:
    ranking = rank(
        [
            run(
                name,
                figure("top1", estimate(0.9, 0.01), "val", TOP1),
                figure("top1", estimate(0.6, 0.01), "r", TOP1),
                figure("id_own_classes", estimate(0.7, 0.01), "r"),
                figure("top1", estimate(0.5, 0.01), "a", TOP1),
            )
            for name in "ab"
        ]
    )
    first = ranking.models[0]
    assert given(first.largest_loss)
    assert first.lost_on == "a"
    assert first.largest_loss.value == pytest.approx(-0.4)


def test_the_table_fits_a_terminal_and_has_no_empty_column() -> None:
    named = [shifted(f"open_clip:ViT-H-14-quickgelu-{at}", 0.5 - at / 10) for at in range(3)]
    text = section_text(describe_ranking(rank([*named, Run(strange_report(), {})])))
    assert max(map(len, text.splitlines())) <= WIDTH == 100
    rule = next(row for row in text.splitlines() if row.startswith("---"))
    assert len(rule.split()) == 4
    assert "on your pictures" not in text
    assert "in distribution" not in text
    assert "\\" not in text
    assert text.count("concepts: not run: no concept set") == 1  # once for all runs


def test_a_ranking_is_written_as_a_file_and_comes_back_from_json(tmp_path: Path) -> None:
    directories = []
    for name, value in (("a", 0.5), ("b", 0.6), ("c", 0.7)):
        directory = RunDir(tmp_path / name)
        write_results(directory, shifted(name, value).report)
        directories.append(directory)
    path, text, following = write_ranking(directories, tmp_path, ["d: no weights"])
    assert path.name.startswith("comparison-")
    written = path.read_text()
    assert written.index("| c |") < written.index("| b |") < written.index("| a |")
    assert "d: no weights" in written
    assert "d: no weights" in text
    assert following == ""  # no pictures of one's own to label
    ranking = rank([shifted("a", 0.5), shifted("b", 0.4)])
    assert Ranking.model_validate(json.loads(ranking.model_dump_json())) == ranking


def test_other_contents_are_other_images_whatever_the_folder_is_called() -> None:
    def seen(name: str, contents: str) -> Run:
        return run(name, images={"val": SetValues("list", contents, np.arange(9), {})})

    def notes(*runs: Run) -> list[str]:
        return [note for note in rank(runs).notes if "not paired" in note]

    assert notes(seen("a", "x"), seen("b", "x")) == []
    assert notes(seen("a", "x"), seen("b", "y")) == [
        "b beside a: val: differences are not paired: images of other contents"
    ]
    (unknown,) = notes(seen("a", "x"), run("c"))
    assert "c: no values of single images are kept" in unknown
    moved = run("d")
    data = [old.model_copy(update={"source": "imagefolder:val"}) for old in moved.report.data]
    moved = moved._replace(report=moved.report.model_copy(update={"data": tuple(data)}))
    assert notes(run("c"), moved) == []
