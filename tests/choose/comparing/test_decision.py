"""Which model to take: what orders models, at which levels, and when that is left undecided."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from tests.show.report.samples import NO_RUN, estimate, model, report
from tests.show.report.strangers import strange_report
from tuiprobe.choose.comparing.decide import decide
from tuiprobe.choose.comparing.decision import Decision
from tuiprobe.choose.comparing.decision_section import describe_decision
from tuiprobe.choose.comparing.inference import METHOD, best_reach, joint_reach
from tuiprobe.choose.comparing.runs import Run, with_names
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.per_image import SetValues
from tuiprobe.measure.run.results import write_results
from tuiprobe.results import Estimate, Part, is_known
from tuiprobe.results.figures import MEAN_SHIFT, TARGET, TARGET_ERROR, TOP1
from tuiprobe.results.section import MeanOf, NamedFigure, Table
from tuiprobe.show.report.decision_file import write_decision
from tuiprobe.show.report.markdown import section_markdown
from tuiprobe.show.report.strings import line
from tuiprobe.show.report.terminal import WIDTH, section_text


def figure(
    id: str, value: Estimate, data: str, rank: int | None = None, **more: Any
) -> NamedFigure:
    return NamedFigure(id=id, name=id, data=data, place="", figure=value, headline=rank, **more)


def run(name: str, *figures: NamedFigure, images: dict[str, SetValues] | None = None) -> Run:
    plain = report(model=model(name=name))
    part = Part(probe="planted", title="Planted", figures=figures)
    return Run(plain.model_copy(update={"parts": (*plain.parts, part)}), images or {}, NO_RUN)


def shifted(name: str, value: float, half: float = 0.02, **more: Any) -> Run:
    return run(
        name, figure("mean_shift", estimate(value, half), "val", MEAN_SHIFT.headline, **more)
    )


def costing(run: Run, parameters: int, speed: float | None = None) -> Run:
    about = run.report.model.model_copy(update={"parameters": parameters})
    timings = run.report.timings.model_copy(update={"images_per_second": speed})
    changes = {"model": about, "timings": timings}
    return run._replace(report=run.report.model_copy(update=changes))


def standings(decision: Decision) -> list[tuple[str, str]]:
    return [(row.model, row.standing) for row in decision.models]


def text_of(*runs: Run) -> str:
    return section_text(describe_decision(decide(runs), runs))


def with_target(run: Run, name: str, pictures: int) -> Run:
    target = run.report.data[0].model_copy(
        update={"name": name, "target": True, "measured": pictures}
    )
    data = (*run.report.data, target)
    return run._replace(report=run.report.model_copy(update={"data": data}))


def test_the_measured_mean_of_shifts_orders_and_decides() -> None:
    decision = decide([shifted("b", 0.5), shifted("c", 0.3), shifted("a", 0.6)])
    assert (decision.verdict, decision.evidence) == ("best", "shifts")
    assert standings(decision) == [("a", "take"), ("b", "behind"), ("c", "behind")]
    assert [row.place for row in decision.models] == [2, 0, 1]
    reference, following, _ = decision.models
    assert not is_known(reference.difference)
    assert is_known(following.difference)
    # .02 sqrt(2) is 1.96 errors of each difference; three pairs take 2.394 of them
    assert following.difference.value == pytest.approx(0.1)
    half = 0.02 * np.sqrt(2) * norm.isf(0.05 / 3 / 2) / norm.isf(0.025)
    assert following.difference.low == pytest.approx(0.1 - half)
    assert following.difference.high == pytest.approx(0.1 + half)


def test_two_models_are_compared_like_any_two_figures() -> None:
    decision = decide([shifted("b", 0.5), shifted("a", 0.53)])
    change = decision.models[1].difference
    assert is_known(change)
    assert (change.low, change.high) == pytest.approx((0.03 - 0.02 * 2**0.5, 0.03 + 0.02 * 2**0.5))
    assert standings(decision) == [("a", "take"), ("b", "behind")]
    assert decide([shifted("b", 0.5), shifted("a", 0.528)]).verdict == "undecided"


def test_one_that_is_not_the_best_need_not_be_behind_the_one_to_take() -> None:
    """Of four models the best is one-sided at .05 / 3, a range two-sided at .05 / 6."""
    half, error = 0.02, 0.02 * 2**0.5 / norm.isf(0.025)
    for errors, standing in ((2.0, "undecided"), (2.4, "not the best"), (2.7, "behind")):
        others = [shifted(name, 0.9 - errors * error, half) for name in "bcd"]
        decision = decide([shifted("a", 0.9, half), *others])
        assert {row.standing for row in decision.models[1:]} == {standing}
        assert decision.verdict == ("undecided" if standing == "undecided" else "best")
        change = decision.models[1].difference
        assert is_known(change)
        assert (change.low is not None and change.low > 0) is (standing == "behind")


@pytest.mark.parametrize("models", [4, 10])
def test_equal_models_are_told_apart_in_five_of_a_hundred_cases_at_most(models: int) -> None:
    """Against normal errors; the reference is whichever model leads in the sample."""
    rng = np.random.default_rng(models)
    shared, own = rng.normal(size=(20_000, 1)), rng.normal(size=(20_000, models))
    means = shared + own  # paired: what images share cancels in a difference
    leader = means.max(axis=1, keepdims=True)
    errors = (leader - means) / np.sqrt(2)
    behind = (errors > joint_reach(models)).any(axis=1)
    best_dropped = errors[:, 0] > best_reach(models)  # any of them may count as the best
    assert behind.mean() < 0.05
    assert best_dropped.mean() < 0.05
    covered = (np.abs(errors) <= joint_reach(models)).all(axis=1)
    assert covered.mean() > 0.95
    # the same levels tell the second of two models apart as often as any test does
    assert np.abs(errors).max() > joint_reach(models)


@pytest.mark.nightly
@pytest.mark.parametrize(("models", "pools"), [(4, 200), (10, 400)])
def test_levels_hold_for_paired_answers_of_equal_models(models: int, pools: int) -> None:
    """The same from answers to images: equal models, paired bootstrap, the decision itself."""
    rng, images = np.random.default_rng(7), 400
    about = MeanOf(values="correct", sets=("r",))
    behind = dropped = missed = 0
    for _ in range(pools):
        hard = rng.random(images)
        runs = []
        for n in range(models):
            right = ((hard + rng.normal(0, 0.3, images)) < 0.6).astype(np.uint8)
            known = {"r": SetValues("list", "", np.arange(images), {"correct": right})}
            measured = shifted(f"m{n}", float(right.mean()), mean_of=about)
            runs.append(measured._replace(images=known))
        decision = decide(runs)
        behind += any(row.standing == "behind" for row in decision.models)
        best = next(row for row in decision.models if row.model == "m0")
        dropped += best.standing in ("behind", "not the best")
        changes = [row.difference for row in decision.models[1:]]
        missed += any(is_known(change) and not change.low <= 0 <= change.high for change in changes)  # type: ignore[operator]
    most = 0.05 * pools + 2.5 * np.sqrt(0.05 * 0.95 * pools)  # .99 of samples at 5 %
    assert behind <= most
    assert dropped <= most
    assert missed <= most


def test_neither_apart_nor_equal_is_undecided() -> None:
    decision = decide([shifted("a", 0.51), shifted("b", 0.5), shifted("c", 0.3)])
    assert standings(decision) == [("a", "undecided"), ("b", "undecided"), ("c", "behind")]
    assert (decision.verdict, decision.take) == ("undecided", None)
    assert decision.sentence == "Undecided between a and b on labelled shifts."


def test_no_number_of_labels_is_promised_before_the_first_one(tmp_path: Path) -> None:
    def seen(name: str, value: float, pictures: int) -> Run:
        estimated = figure("target", estimate(0.5, 0.2), "photos", TARGET.headline, role="estimate")
        mean = figure("mean_shift", estimate(value, 0.02), "val", MEAN_SHIFT.headline)
        measured = with_target(run(name, mean, estimated), "photos", pictures)
        return measured._replace(directory=RunDir(tmp_path / name))

    for pictures in (40, 500):
        runs = [seen("a", 0.51, pictures), seen("b", 0.5, pictures)]
        decision = decide(runs)
        assert (decision.target, decision.pictures, decision.more) == ("photos", pictures, None)
        assert decision.command == f"tuiprobe label {tmp_path / 'a'} {tmp_path / 'b'}"
        text = " ".join(text_of(*runs).split())
        twice = with_names([runs[0], runs[0]])
        assert decide(twice).command == ""  # a run is labelled once
        assert "Labels of photos would decide it" in text


def test_the_cheapest_is_advised_only_within_the_margin() -> None:
    """Equal means that the range of the difference lies within 2 points."""
    best = costing(shifted("best", 0.51, 0.005), 300, 10.0)
    equal = costing(shifted("equal", 0.505, 0.005), 200, 40.0)
    small = costing(shifted("small", 0.5, 0.005), 100, 20.0)
    far = costing(shifted("far", 0.3, 0.005), 1, 99.0)
    decision = decide([equal, far, small, best])
    assert standings(decision) == [
        ("equal", "take"), ("best", "as good"), ("small", "as good"), ("far", "behind"),
    ]  # fmt: skip
    assert decision.verdict == "within"
    values = [row.difference.value for row in decision.models[1:] if is_known(row.difference)]
    assert values == pytest.approx([-0.005, 0.005, 0.205])  # all from the model to take
    untimed = costing(shifted("small", 0.5, 0.005), 100)
    assert ("small", "take") in standings(decide([equal, untimed, best]))  # then by parameters
    table = costing(shifted("table", 0.5, 0.005), 0, 999.0)  # of answers: what they cost is unknown
    assert standings(decide([table, best])) == [("best", "take"), ("table", "as good")]


def test_neither_estimates_nor_accuracy_in_distribution_order_models() -> None:
    def known(name: str, estimated: float, top1: float) -> Run:
        made = run(
            name,
            figure("target", estimate(estimated, 0.02), "photos", TARGET.headline, role="estimate"),
            figure(TARGET_ERROR.id, estimate(0.09, 0.02), "val"),
            figure("top1", estimate(top1, 0.001), "val", TOP1.headline),
        )
        return with_target(made, "photos", 500)

    runs = [known("a", 0.6, 0.7), known("b", 0.8, 0.9)]
    decision = decide(runs)
    assert (decision.evidence, decision.verdict) == ("none", "undecided")
    assert standings(decision) == [("a", "undecided"), ("b", "undecided")]
    assert not any(is_known(row.difference) for row in decision.models)
    section = describe_decision(decision, runs)
    models = next(piece for piece in section.content if isinstance(piece, Table))
    assert models.columns[-1].id == "estimate"  # with its range, and never a difference
    assert "(78.0 to 82.0)" in line((models.rows[1][-1],))
    assert "| 0.090 (0.070 to 0.110) |" in section_markdown(section)


def test_a_target_is_named_only_if_all_runs_with_targets_have_it() -> None:
    def seeing(name: str, value: float, *targets: str) -> Run:
        seen = shifted(name, value)
        for target in targets:
            seen = with_target(seen, target, 500)
        return seen

    both, photos = seeing("a", 0.6, "street", "photos"), seeing("b", 0.3, "photos")
    decision = decide([both, photos, shifted("c", 0.2)])
    assert decision.target == "photos"
    assert "; on photos itself undecided." in decision.sentence
    runs = [seeing("a", 0.6, "street"), photos]
    assert decide(runs).target == ""
    assert "street" not in text_of(*runs)


def test_means_over_other_shifts_do_not_order_each_other() -> None:
    two, three = (MeanOf(values="correct", sets=sets) for sets in (("r", "v2"), ("r", "v2", "a")))
    runs = [shifted("a", 0.5, mean_of=two), shifted("b", 0.2, mean_of=three)]
    assert decide(runs).evidence == "none"
    decision = decide([*runs, shifted("c", 0.7, mean_of=two)])
    assert standings(decision) == [("c", "take"), ("a", "behind"), ("b", "not compared")]
    assert decision.shifts == ("r", "v2")
    assert not is_known(decision.models[2].difference)
    assert decision.sentence.startswith("Take c: best on 2 labelled shifts, 0.200 (")


def test_the_same_images_are_compared_in_pairs() -> None:
    rng = np.random.default_rng(0)
    hard = rng.random(4000)
    about = MeanOf(values="correct", sets=("r",))
    runs = []
    for name, rate in (("a", 0.5), ("b", 0.48), ("c", 0.2)):
        right = (hard < rate).astype(np.uint8)
        images = {"r": SetValues("list", "", np.arange(4000), {"correct": right})}
        runs.append(shifted(name, float(right.mean()), mean_of=about)._replace(images=images))
    first, second, _ = decide(runs).models
    # .02 apart with separate half-widths of .02, but every difference is of the same sign
    assert (first.standing, second.standing) == ("take", "behind")
    assert is_known(second.difference)
    assert second.difference.method == METHOD
    assert second.difference.value == pytest.approx(0.02, abs=0.01)


def test_the_largest_loss_is_against_the_same_classes() -> None:
    runs = [
        run(
            name,
            figure("top1", estimate(0.9, 0.01), "val", TOP1.headline),
            figure("top1", estimate(0.6, 0.01), "r", TOP1.headline),
            figure("id_own_classes", estimate(0.7, 0.01), "r"),
            figure("top1", estimate(0.5, 0.01), "a", TOP1.headline),
        )
        for name in "ab"
    ]
    assert "a \N{MINUS SIGN}0.40" in text_of(*runs)


def test_the_table_fits_a_terminal_and_has_no_empty_column() -> None:
    named = [shifted(f"ViT-H-14-quickgelu-{at}", 0.5 - at / 10) for at in range(3)]
    text = text_of(*named, Run(strange_report(), {}, NO_RUN))
    assert max(map(len, text.splitlines())) <= WIDTH == 100
    rule = next(row for row in text.splitlines() if row.startswith("---"))
    assert len(rule.split()) == 5
    assert "on your pictures" not in text
    assert "in distribution" not in text
    assert "\\" not in text


def test_sixty_models_are_one_page_of_text() -> None:
    runs = [shifted(f"model-{n}", 0.5 - n / 200) for n in range(60)]
    text = text_of(*runs)
    assert len(text.splitlines()) <= 120
    assert "model-59" in text


def test_a_decision_is_written_as_a_file_and_comes_back_from_json(tmp_path: Path) -> None:
    directories = []
    for name, value in (("a", 0.5), ("b", 0.6), ("c", 0.7)):
        directory = RunDir(tmp_path / name)
        write_results(directory, shifted(name, value).report)
        directories.append(directory)
    path, text, decision = write_decision(directories, tmp_path, ["d: no weights"])
    assert path.name.startswith("comparison-")
    written = path.read_text()
    assert written.index("| c |") < written.index("| b |") < written.index("| a |")
    assert "d: no weights" in written
    assert "d: no weights" in text
    assert decision.command == ""  # no pictures of one's own to label
    assert Decision.model_validate(json.loads(decision.model_dump_json())) == decision


def test_other_contents_are_other_images_whatever_the_folder_is_called() -> None:
    def seen(name: str, contents: str) -> Run:
        return run(name, images={"val": SetValues("list", contents, np.arange(9), {})})

    def notes(*runs: Run) -> list[str]:
        return [of.sentence for of in decide(runs).doubts if of.id == "other-pictures"]

    def others(*runs: Run) -> list[tuple[str, str]]:
        return [(of.model, of.reason) for of in decide(runs).not_compared]

    assert others(seen("a", "x"), seen("b", "x")) == []
    assert others(seen("a", "x"), seen("b", "y")) == [("b", "other pictures")]
    assert others(seen("a", "x"), seen("b", "y"), seen("c", "x")) == [("b", "other pictures")]
    (unknown,) = notes(seen("a", "x"), run("c"))
    assert "c: the run has no values of single images" in unknown
    moved = run("d")
    data = [old.model_copy(update={"source": "imagefolder:val"}) for old in moved.report.data]
    moved = moved._replace(report=moved.report.model_copy(update={"data": tuple(data)}))
    assert notes(run("c"), moved) == []


def test_what_weakens_runs_stands_directly_under_the_decision() -> None:
    warned = shifted("a", 0.6)
    warned = warned._replace(
        report=warned.report.model_copy(update={"warnings": ("a demonstration",), "partial": True})
    )
    weights = model().weights.model_copy(update={"kind": "untrained"})
    untrained = shifted("b", 0.3)
    about = untrained.report.model.model_copy(update={"weights": weights})
    changed = {"model": about, "warnings": ("a demonstration", "of other classes")}
    untrained = untrained._replace(report=untrained.report.model_copy(update=changed))
    decision = decide([warned, untrained])
    assert decision.notes[:4] == (
        "a demonstration",
        "b: of other classes",
        "a is PARTIAL: not all of its images were measured",
        "b is UNTRAINED: its weights are random",
    )
    section = describe_decision(decision, [warned, untrained])
    beneath = section.content[0]
    notes = [line(item) for item in beneath.items[: len(decision.notes)]]
    assert notes == [f"note: {note}" for note in decision.notes]
    for text in (section_text(section), section_markdown(section)):
        assert text.index(decision.notes[1]) < text.index("behind")
