"""Labelled pictures in question: which they are, how they are matched, and what they decide."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from tests.choose.comparing.test_decision import run, shifted, standings, with_target
from tuiprobe.choose.comparing.decide import decide
from tuiprobe.choose.comparing.decision import Decision
from tuiprobe.choose.comparing.decision_section import describe_decision
from tuiprobe.choose.comparing.inference import best_reach, joint_reach
from tuiprobe.choose.comparing.runs import Run
from tuiprobe.choose.comparing.sentences import levels, sentence
from tuiprobe.measure.run.per_image import Answers, SetValues
from tuiprobe.results import Estimate, is_known
from tuiprobe.results.accuracy import sets_in_question
from tuiprobe.show.report.terminal import section_text

Bools = NDArray[np.bool_]


def answering(
    name: str, right: Sequence[bool] | Bools, truth: Sequence[int] | None = None, **changes: object
) -> Run:
    """Returns a run over one labelled set of pictures that knows which of them it is right on."""
    n = len(right)
    rows = np.array(truth if truth is not None else [0] * n, dtype=np.int32)
    classes = np.unique(rows)
    answers = Answers(classes, rows, rows, rows, np.full(n, 0.5))
    plain = SetValues("list", "", np.arange(n), {"correct": np.array(right, np.uint8)}, answers)
    return run(name, images={"val": replace(plain, **changes)})  # type: ignore[arg-type]


def of(*counts: tuple[bool, bool, int]) -> tuple[Bools, Bools]:
    """Returns two columns of answers from counts of their four combinations."""
    pairs = [(a, b) for a, b, n in counts for _ in range(n)]
    first, second = np.array(pairs).T
    return first, second


def test_the_pictures_in_question_are_the_target_or_the_only_labelled_set() -> None:
    plain = run("a").report
    (val,) = plain.data
    shift = val.model_copy(update={"name": "r"})
    target = val.model_copy(update={"name": "street", "labelled": False, "target": True})
    unlabelled = val.model_copy(update={"labelled": False})
    assert sets_in_question((val,)) == (val,)
    assert sets_in_question((val, target)) == (target,)
    assert sets_in_question((val, shift)) == ()
    assert sets_in_question((val, shift, target)) == (target,)
    assert sets_in_question((unlabelled,)) == ()


def test_labelled_pictures_decide_by_paired_differences() -> None:
    """75 against 55 % of 400, which nothing decided before."""
    first, second = of((True, True, 200), (True, False, 100), (False, True, 20), (False, False, 80))
    decision = decide([answering("b", second), answering("a", first)])
    assert (decision.verdict, decision.evidence) == ("best", "pictures")
    assert (decision.pictures, decision.left_out, decision.question) == (400, 0, "val")
    assert standings(decision) == [("a", "take"), ("b", "behind")]
    lead = decision.models[1].difference
    assert is_known(lead)
    assert lead.value == pytest.approx(0.2)
    up, down = 101 / 402, 21 / 402  # Bonett and Price, 1.96 errors for two models
    half = norm.isf(0.025) * np.sqrt((up + down - (up - down) ** 2) / 402)
    assert (lead.low, lead.high) == pytest.approx((up - down - half, up - down + half))
    assert "400 labelled pictures" in decision.sentence
    assert decision.command == ""


def test_a_target_without_labels_leaves_a_labelled_set_beside_it_undecided() -> None:
    first, second = of((True, False, 300), (False, True, 10))
    runs = [with_target(answering(*each), "street", 500) for each in (("a", first), ("b", second))]
    assert (decide(runs).evidence, decide(runs).verdict) == ("none", "undecided")


def test_below_thirty_pictures_the_lead_is_shown_and_nothing_decided() -> None:
    for n, verdict in ((29, "undecided"), (30, "best")):
        decision = decide([answering("a", [True] * n), answering("b", [False] * n)])
        assert (decision.evidence, decision.verdict) == ("pictures", verdict)
        lead = decision.models[1].difference
        assert is_known(lead)
        assert lead.value == 1.0
        assert decision.more is None


def test_how_many_more_pictures_would_tell_follows_from_lead_and_error() -> None:
    first, second = of((True, True, 200), (True, False, 40), (False, True, 30), (False, False, 30))
    decision = decide([answering("a", first), answering("b", second)])
    assert decision.verdict == "undecided"
    n, lead = 300, 10 / 300
    up, down = 41 / 302, 31 / 302
    error = np.sqrt((up + down - (up - down) ** 2) / 302)
    expected = n * (((norm.isf(0.025) + 0.84) * error / lead) ** 2 - 1)
    assert decision.more == int(np.ceil(expected)) == 1364
    far = of((True, True, 200), (True, False, 51), (False, True, 50), (False, False, 30))
    assert decide([answering("a", far[0]), answering("b", far[1])]).more is None  # under .5 points
    near = of((True, True, 20), (True, False, 17), (False, True, 16), (False, False, 3))
    assert decide([answering("a", near[0]), answering("b", near[1])]).more is None  # over 20 times


def test_more_pictures_hardly_tell_models_that_are_within_two_points_by_one_comparison() -> None:
    """The range of one comparison among four lies within 2 points, that of all pairs does not."""
    leading = np.arange(2000) < 1600
    others = []
    for start in (0, 200, 400):
        each = leading.copy()
        each[start : start + 145], each[1600 + start // 4 : 1744 + start // 4] = False, True
        others.append(each)
    runs = [answering(name, row) for name, row in zip("abcd", [leading, *others], strict=True)]
    decision = decide(runs)
    assert {row.standing for row in decision.models} == {"undecided"}
    assert (decision.close, decision.more) == (True, None)
    assert not decide(runs[:2]).close  # as good at its only level, or not within 2 points at all


@pytest.mark.parametrize("cut", [2, 4, 10])
def test_two_to_ten_models_have_the_levels_of_their_number(cut: int) -> None:
    rng = np.random.default_rng(cut)
    right = rng.random((cut, 500)) < np.r_[0.8, np.linspace(0.6, 0.3, cut - 1)][:, None]
    decision = decide([answering(f"m{n}", row) for n, row in enumerate(right)])
    assert decision.verdict == "best"
    lead = decision.models[1].difference
    least = decision.models[1].at_least
    assert is_known(lead)
    assert lead.low is not None
    assert lead.high is not None
    assert least is not None
    middle, half = (lead.low + lead.high) / 2, (lead.high - lead.low) / 2
    assert least == pytest.approx(middle - half * best_reach(cut) / joint_reach(cut))


def test_no_sentence_says_best_beside_a_range_that_holds_zero() -> None:
    """Not the best at .05 / 3 one-sided, while the range of six pairs holds 0."""
    rows = [*of((True, True, 200), (True, False, 46), (False, True, 25), (False, False, 29))]
    low = np.zeros(300, dtype=bool)
    decision = decide([answering(n, row) for n, row in zip("abcd", [*rows, low, low], strict=True)])
    second = decision.models[1]
    assert (decision.verdict, second.standing) == ("best", "not the best")
    assert is_known(second.difference)
    assert second.difference.low is not None
    assert second.difference.low < 0
    assert second.at_least is not None
    assert second.at_least > 0
    assert "at least" in decision.sentence
    assert "(" not in decision.sentence
    assert "one-sided" in levels(decision)  # why both hold
    lead = second.difference.model_copy(update={"low": 0.0008})
    behind = second.model_copy(update={"difference": lead, "standing": "behind"})
    above = decision.model_copy(update={"models": (decision.models[0], behind)})
    assert lead.with_interval(decimals=1) in sentence(above, [])  # the range of the row
    assert "one-sided" not in levels(above)


def test_the_factor_of_a_fitted_head_widens_every_range() -> None:
    first, second = of((True, True, 200), (True, False, 60), (False, True, 20), (False, False, 20))
    plain = [answering("a", first), answering("b", second)]
    answers = plain[0].images["val"].answers
    assert answers is not None
    fitted = answering("a", first, answers=replace(answers, widening=1.35))
    (_, narrow), (_, wide) = (
        [row.difference for row in decide([one, plain[1]]).models] for one in (plain[0], fitted)
    )
    assert is_known(narrow)
    assert is_known(wide)
    assert width(wide) == pytest.approx(1.35 * width(narrow))
    assert any(note.startswith("a: each picture") for note in decide([fitted, plain[1]]).notes)
    assert not any("fitted" in note for note in decide(plain).notes)


def test_labels_are_not_called_the_answers_of_a_head_that_was_fitted_to_them() -> None:
    first, second = of((True, False, 150), (True, True, 250))
    own, other = answering("a", first), answering("b", second)
    assert [doubt.id for doubt in decide([own, other]).doubts]
    answers = own.images["val"].answers
    assert answers is not None
    fitted = answering("a", first, answers=replace(answers, widening=1.35))
    assert decide([fitted, other]).doubts == ()


def width(change: Estimate) -> float:
    assert change.low is not None
    assert change.high is not None
    return change.high - change.low


def test_balanced_accuracy_is_the_first_note_where_it_puts_another_model_in_front() -> None:
    """A is right on the largest class alone, B on all three to some extent."""
    truth = [0] * 400 + [1] * 60 + [2] * 60
    a = [True] * 390 + [False] * 10 + [True] * 18 + [False] * 42 + [True] * 18 + [False] * 42
    b = [True] * 320 + [False] * 80 + [True] * 45 + [False] * 15 + [True] * 42 + [False] * 18
    decision = decide([answering("a", a, truth), answering("b", b, truth)])
    assert [row.model for row in decision.models] == ["a", "b"]
    balanced = [row.balanced for row in decision.models]
    assert balanced[0].value == pytest.approx((390 / 400 + 0.3 + 0.3) / 3)
    assert balanced[1].value == pytest.approx((0.8 + 0.75 + 0.7) / 3)
    change = decision.models[1].balanced_difference
    assert change.value == pytest.approx(balanced[0].value - balanced[1].value)
    assert change.high is not None
    assert change.high < 0
    assert "balanced" in decision.notes[0]
    found = decision.models[0].least_found
    assert (found.right, found.n, found.share) == (18, 60, 0.3)
    text = section_text(describe_decision(decision, [answering("a", a, truth)] * 2))
    assert "30 % of 60" in text
    even = decide([answering("a", a), answering("b", b)])  # one class
    assert not any("balanced" in note for note in even.notes)


def test_runs_without_answers_or_over_other_pictures_are_not_compared() -> None:
    first, second = of((True, True, 200), (True, False, 60), (False, True, 20), (False, False, 20))
    other = answering("c", first[:100], samples="other list")
    silent = run("d")
    runs = [answering("a", first), other, answering("b", second), silent, shifted("e", 0.9)]
    decision = decide(runs)
    assert standings(decision)[:2] == [("a", "take"), ("b", "behind")]
    assert {row.model: row.standing for row in decision.models[2:]} == dict.fromkeys(
        "cde", "not compared"
    )
    assert not any(is_known(row.difference) for row in decision.models[2:])
    assert sorted(of.place for of in decision.not_compared) == [1, 3, 4]


def test_a_decision_by_pictures_comes_back_from_json() -> None:
    first, second = of((True, True, 200), (True, False, 60), (False, True, 20), (False, False, 20))
    decision = decide([answering("a", first), answering("b", second)])
    assert Decision.model_validate_json(decision.model_dump_json()) == decision
    assert Path(decision.models[0].run).name == "run"
