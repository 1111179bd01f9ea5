"""Sessions of labelling over finished runs: resuming, plans, refusals, accuracies beside runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tuiprobe import probe
from tuiprobe.errors import DataError, UsageError
from tuiprobe.label.accuracy import labelled_accuracy
from tuiprobe.label.answer_table import take_answers, todo_text
from tuiprobe.label.files import NONE_OF_THESE, UNSURE
from tuiprobe.label.session import Labelling, open_labelling
from tuiprobe.label.status import label_status
from tuiprobe.miniature import world
from tuiprobe.results import Estimate
from tuiprobe.run.directory import RunDir

MODELS, PICTURES = ("mini_clip_soft", "mini_finetuned"), 40


def truth(labelling: Labelling, place: int) -> str:
    name = world.CLASS_NAMES[world.label("street", int(Path(labelling.matched.paths[place]).stem))]
    return name if name in labelling.matched.classes else NONE_OF_THESE


def answer(labelling: Labelling, count: int, label: str | None = None) -> None:
    for _ in range(count):
        picture = labelling.following()
        assert picture is not None
        labelling.label(picture.place, picture.how, label or truth(labelling, picture.place))


def test_leaving_and_coming_back_loses_nothing(label_runs: list[Path]) -> None:
    labelling = open_labelling(label_runs, "photos")
    states = []
    for count in range(12):
        states.append((label_status(labelling), labelling.following()))
        answer(labelling, 1, UNSURE if count % 4 == 3 else None)
        again = open_labelling(label_runs[::-1], "photos")  # nothing was closed: as after a kill
        assert label_status(again) == label_status(labelling)
        assert again.following() == labelling.following()
        assert again.matched.candidates[0].model == MODELS[0]  # the order of the plan
    assert label_status(labelling).unsure == 3
    while states:
        labelling.undo()
        before = states.pop()
        assert (label_status(labelling), labelling.following()) == before
        assert len(open_labelling(label_runs, "photos").counted) == len(states)
    with pytest.raises(UsageError, match="no label to take back"):
        labelling.undo()
    labelling.close()


def test_nobody_is_favoured_while_labelling(label_runs: list[Path]) -> None:
    labelling = open_labelling(label_runs, "photos")
    answers = labelling.matched.answers
    upcoming = labelling.upcoming(PICTURES)
    assert sorted(picture.place for picture in upcoming) == list(range(PICTURES))
    first = 0
    for picture in upcoming:
        own = [labelling.matched.classes[number] for number in answers[:, picture.place]]
        assert sorted(picture.choices) == sorted(set(own))
        first += len(picture.choices) > 1 and picture.choices[0] == own[0]
    differ = sum(len(picture.choices) > 1 for picture in upcoming)
    assert 0.2 * differ < first < 0.8 * differ
    assert sorted(labelling.letters) == ["A", "B"]
    words = json.dumps([label_status(labelling).sentence(), label_status(labelling).headline()])
    assert not any(model in words for model in MODELS)


def test_the_picture_shown_is_the_one_that_was_measured(
    label_runs: list[Path], runs_on_targets: Path
) -> None:
    labelling = open_labelling(label_runs, "photos")
    assert labelling.image(3).size == (64, 64)
    path = labelling.path(3)
    assert path is not None
    assert path.is_relative_to(runs_on_targets / "photos")
    assert open_labelling(label_runs, "street").path(3) is None  # the miniature has no files
    other = labelling.path(4)
    assert other is not None
    kept = path.read_bytes()
    try:
        shutil.copy(other, path)
        with pytest.raises(DataError, match="has changed since the runs measured it"):
            labelling.image(3)
        path.unlink()
        with pytest.raises(DataError, match=r"no longer in"):
            open_labelling(label_runs, "photos").image(3)
    finally:
        path.write_bytes(kept)


def test_a_plan_keeps_its_seed_and_new_candidates_take_another(label_runs: list[Path]) -> None:
    labelling = open_labelling(label_runs, "photos", seed=5)
    answer(labelling, 6)
    labelling.close()
    assert open_labelling(label_runs, "photos").plan.seed == 5
    with pytest.raises(UsageError, match="labelled by seed 5: choosing among seeds"):
        open_labelling(label_runs, "photos", seed=6)
    third = label_runs[0].parent / "third"
    shutil.copytree(label_runs[0], third)
    with pytest.raises(UsageError, match="seed 5 belongs to other candidates"):
        open_labelling([*label_runs, third], "photos", seed=5)
    more = open_labelling([*label_runs, third], "photos")
    assert more.plan.seed == 6
    assert len(more.survey.known) == 6  # the same labels; drawn by another plan
    answer(more, 1)
    more.close()
    assert [plan.seed for plan in more.files.plans()] == [5, 6]
    assert label_status(open_labelling(label_runs, "photos")).outside == 1


def test_what_cannot_be_labelled_together_is_refused_with_what_differs(
    label_runs: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="several target sets: choose one of street, photos"):
        open_labelling(label_runs)
    with pytest.raises(DataError, match="no target set park; it has street, photos"):
        open_labelling(label_runs, "park")
    with pytest.raises(UsageError, match="named twice"):
        open_labelling([label_runs[0], label_runs[0]], "photos")
    with pytest.raises(DataError, match="no run directory"):
        open_labelling([tmp_path], "photos")
    fewer = tmp_path / "runs/fewer"
    street = ("miniature:street",)
    probe(
        MODELS[0], "miniature:val", output=str(fewer), sample=30, target=street, concepts="none"
    )  # fmt: skip
    with pytest.raises(DataError, match="different pictures: 10 of 40 are only in the first, 0 of"):
        open_labelling([label_runs[1], fewer], "street")
    results = fewer / "results.json"
    for stopped in (
        lambda: results.write_text(
            results.read_text().replace('"partial": false', '"partial": true')
        ),
        (fewer / "measured.json").unlink,
    ):
        stopped()
        with pytest.raises(DataError, match="is not finished: the same command resumes it"):
            open_labelling([fewer])
    labelling = open_labelling(label_runs, "photos")
    with pytest.raises(UsageError, match="'unicorn' is no class of these runs: "):
        answer(labelling, 1, "unicorn")
    answer(labelling, 1)
    labelling.close()
    path = labelling.files.csv.path
    path.write_text(path.read_text().replace(labelling.counted[0].line.label, "unicorn"))
    with pytest.raises(UsageError, match="line 2: 'unicorn' is no class of these runs"):
        open_labelling(label_runs, "photos")


def test_labels_are_found_by_digest_for_any_run_beside_them(label_runs: list[Path]) -> None:
    assert labelled_accuracy(RunDir(label_runs[0]), "photos") is None
    labelling = open_labelling(label_runs, "photos")
    answer(labelling, 15)
    stranger = label_runs[0].parent / "stranger"
    shutil.copytree(label_runs[1], stranger)
    for run, row in zip(label_runs, label_status(labelling).candidates, strict=True):
        beside = labelled_accuracy(RunDir(run), "photos")
        assert beside is not None
        assert row.accuracy is not None
        figure = row.accuracy.figure
        assert (beside.accuracy, beside.pictures, beside.labelled) == (figure, PICTURES, 15)
        assert beside.sentence().startswith("measured on 15 of your pictures: ")
    assert labelled_accuracy(RunDir(stranger), "street") is None  # rendered, so of other contents
    shutil.rmtree(
        label_runs[0]
    )  # a rival is gone: the blocks of the plan still say how they were drawn
    beside = labelled_accuracy(RunDir(label_runs[1]), "photos")
    assert beside is not None
    assert isinstance(beside.accuracy, Estimate)
    assert beside.accuracy.low <= figure.value <= beside.accuracy.high
    labelling.close()


def test_the_accuracy_of_a_run_alone_does_not_rest_on_its_name(label_runs: list[Path]) -> None:
    labelling = open_labelling(label_runs[:1], "photos")
    answer(labelling, 25)
    labelling.close()
    before = labelled_accuracy(RunDir(label_runs[0]), "photos")
    renamed = label_runs[0].rename(label_runs[0].with_name("renamed"))
    assert before is not None
    assert labelled_accuracy(RunDir(renamed), "photos") == before
    (known,) = open_labelling([renamed], "photos").accuracies()
    assert known is not None
    assert known.figure == before.accuracy


def test_labels_of_pictures_that_their_plan_does_not_list_make_no_accuracy(
    label_runs: list[Path],
) -> None:
    labelling = open_labelling(label_runs, "photos")
    answer(labelling, 5)
    labelling.close()
    (plan,) = labelling.files.plans()
    drawn = {row.line.digest for row in labelling.counted}
    rest = [
        (picture, stage)
        for picture, stage in zip(plan.pictures, plan.stages, strict=True)
        if picture not in drawn
    ]
    pictures, stages = zip(*rest, strict=True)
    edited = plan.model_copy(update={"pictures": pictures, "stages": stages})
    labelling.files.write_plans([edited])
    beside = labelled_accuracy(RunDir(label_runs[0]), "photos")
    assert beside is not None
    assert "were not drawn at random" in beside.sentence()


def test_the_truth_is_within_the_accuracy_of_a_run_that_was_no_candidate(
    label_runs: list[Path],
) -> None:
    labelling = open_labelling(label_runs[:1], "photos")
    answer(labelling, 25)
    labelling.close()
    beside = labelled_accuracy(RunDir(label_runs[1]), "photos")
    assert beside is not None
    assert isinstance(beside.accuracy, Estimate)
    other = open_labelling(label_runs[1:], "photos").matched
    rights = [
        other.classes[number] == truth(labelling, place)
        for place, number in enumerate(other.answers[0].tolist())
    ]
    assert beside.accuracy.low <= np.mean(rights) <= beside.accuracy.high
    assert beside.accuracy.n == 25


def test_a_table_goes_out_and_its_answers_come_back(label_runs: list[Path], tmp_path: Path) -> None:
    labelling, table = open_labelling(label_runs, "photos"), tmp_path / "todo.csv"
    places = [picture.place for picture in labelling.upcoming(8)]
    head, *rows = todo_text(labelling, 8).splitlines()
    filled = [
        row.replace(",,", f",{truth(labelling, place)},", 1)
        for row, place in zip(rows, places, strict=True)
    ]
    refused = {
        "line 3 has no class and later lines do": [filled[0], rows[1], *filled[2:]],
        "is of the plan 0{12}, not of": [filled[0].replace(labelling.plan.id, "0" * 12)],
        "line 2 is about a picture that these": [f"x.jpg,{'0' * 64},cat,,outside,"],
        "line 3: 'unicorn' is no class": [filled[0], rows[1].replace(",,", ",unicorn,", 1)],
        "an earlier label": [filled[0], rows[0].replace(",,", f",{UNSURE},", 1)],
    }
    for message, lines in refused.items():
        table.write_text("\n".join([head, *lines]) + "\n")
        with pytest.raises(UsageError, match=message):
            take_answers(labelling, table)
        assert not labelling.counted  # every line is checked before the first answer is taken
    table.write_text("\n".join([head, *filled[:6], *rows[6:]]) + "\n")
    taken = take_answers(labelling, table)
    assert (taken.drawn, taken.outside, taken.repeated, taken.blank) == (6, 0, 0, 2)
    assert labelling.survey.drawn == places[:6]
    assert take_answers(labelling, table).repeated == 6
    table.write_text(f"sha256,class\n{labelling.matched.digests[places[7]]},{UNSURE}\n")
    assert take_answers(labelling, table).outside == 1
    assert label_status(labelling).outside == 1
    labelling.close()


def test_no_torch_is_loaded_for_labels(label_runs: list[Path]) -> None:
    program = (
        "import sys; from pathlib import Path; from tuiprobe.label.session import open_labelling;"
        f"open_labelling([Path({str(label_runs[0])!r})], 'photos').following();"
        "print({'torch', 'textual'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr
