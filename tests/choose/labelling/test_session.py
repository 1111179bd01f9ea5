"""Sessions of labelling over finished runs: resuming, questions, refusals, tables."""

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import tuiprobe
from tuiprobe import probe
from tuiprobe.choose.labelling.handed_out import ImportedAnswers, import_answers, todo_text
from tuiprobe.choose.labelling.label_log import NONE_OF_THESE, UNSURE
from tuiprobe.choose.labelling.session import Labelling, open_labelling
from tuiprobe.choose.labelling.standing import label_status
from tuiprobe.errors import DataError, UsageError
from tuiprobe.miniature import world
from tuiprobe.results import Report
from tuiprobe.show.cli.app import run_cli

MODELS, PICTURES = ("mini_clip_soft", "mini_finetuned"), 40


def truth(labelling: Labelling, place: int) -> str:
    name = world.CLASS_NAMES[world.label("street", int(Path(labelling.matched.paths[place]).stem))]
    return name if name in labelling.matched.classes else NONE_OF_THESE


def answer(labelling: Labelling, count: int, label: str | None = None) -> None:
    for _ in range(count):
        picture = labelling.following()
        assert picture is not None
        labelling.label(picture.index, truth(labelling, picture.index) if label is None else label)


def labelled(runs: list[Path], count: int = 0, places: Iterable[int] = ()) -> Labelling:
    """Labels pictures in the order of the session or by their places; returns it closed."""
    labelling = open_labelling(runs, "photos")
    answer(labelling, count)
    for place in places:
        labelling.label(place, truth(labelling, place))
    labelling.close()
    return labelling


def test_leaving_and_coming_back_loses_nothing(label_runs: list[Path]) -> None:
    labelling = open_labelling(label_runs, "photos")
    states = []
    for count in range(12):
        states.append((label_status(labelling), labelling.following()))
        answer(labelling, 1, {3: UNSURE, 2: ""}.get(count % 4))
        again = open_labelling(label_runs, "photos")  # nothing was closed: as after a kill
        assert label_status(again) == label_status(labelling)
        assert again.following() == labelling.following()
        turned = open_labelling(label_runs[::-1], "photos")
        assert turned.following() == labelling.following()
        assert turned.letters == labelling.letters[::-1]
    state = label_status(labelling)
    assert (state.labelled, state.unsure, state.skipped) == (
        9,
        3,
        2,
    )  # one that was skipped came back
    while states:
        labelling.undo()
        before = states.pop()
        assert (label_status(labelling), labelling.following()) == before
        assert len(open_labelling(label_runs, "photos").counted) == len(states)
    with pytest.raises(UsageError, match="no label to take back"):
        labelling.undo()
    labelling.close()


@pytest.mark.parametrize("name", ["a\0b", "..", "x" * 5000, "\ud800", "", None])
def test_questions_of_strangers_cost_a_sentence_at_most(label_runs, name):
    labelling = labelled(label_runs[:1], 1)
    digests = ["0" * 64] * 2 if name is not None else []
    pool = {
        "pictures": labelling.matched.pictures_digest, "first": digests, "asked": digests,
        "runs": [name] * len(digests),
    }  # fmt: skip
    labelling.files.json.path.write_text(json.dumps({"schema_version": 1, "pools": [pool]}))
    with suppress(DataError):
        assert open_labelling(label_runs[:1], "photos").first is None


def test_a_table_beside_the_runs_that_holds_no_labels_is_left_alone(label_runs: list[Path]) -> None:
    labelling = open_labelling(label_runs, "photos")
    table = labelling.files.csv.path.with_name("labels-todo.csv")
    table.write_text(todo_text(labelling, 3))
    answer(open_labelling(label_runs, "photos"), 1)
    assert len(open_labelling(label_runs, "photos").counted) == 1


def test_nobody_is_favoured_while_labelling(label_runs: list[Path]) -> None:
    labelling = open_labelling(label_runs, "photos")
    answers = labelling.matched.answers
    upcoming = labelling.upcoming(PICTURES)
    assert sorted(picture.index for picture in upcoming) == list(range(PICTURES))
    first = 0
    for picture in upcoming:
        own = [labelling.matched.classes[number] for number in answers[:, picture.index]]
        assert sorted(picture.choices) == sorted(set(own))
        first += len(picture.choices) > 1 and picture.choices[0] == own[0]
    differ = sum(len(picture.choices) > 1 for picture in upcoming)
    assert 0.2 * differ < first < 0.8 * differ
    assert sorted(labelling.letters) == ["A", "B"]
    words = json.dumps([label_status(labelling).sentence(), label_status(labelling).headline()])
    assert not any(model in words for model in MODELS)


def test_the_picture_shown_is_the_one_that_was_measured(label_runs, runs_on_targets):
    labelling = open_labelling(label_runs, "photos")
    assert labelling.image(3).size == (64, 64)
    path = labelling.originals.file(labelling.matched.paths[3])
    assert path is not None
    assert path.is_relative_to(runs_on_targets / "photos")
    street = open_labelling(label_runs, "street")
    assert street.originals.file(street.matched.paths[3]) is None  # the miniature has no files
    other = labelling.originals.file(labelling.matched.paths[4])
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


def test_the_order_follows_from_the_pictures_alone(label_runs: list[Path]) -> None:
    pools = [
        open_labelling(runs, "photos").matched
        for runs in (label_runs, label_runs[::-1], label_runs[:1])
    ]
    for name in ("order", "other"):
        first, *others = (
            [matched.digests[place] for place in getattr(matched.pool, name).tolist()]
            for matched in pools
        )
        keys = [sha256(name.encode() + bytes.fromhex(digest)).hexdigest() for digest in first]
        assert keys == sorted(keys)
        assert others == [first, first]


def test_what_cannot_be_labelled_together_is_refused_with_what_differs(label_runs, tmp_path):
    with pytest.raises(DataError, match="several target sets") as several:
        open_labelling(label_runs)
    for name in ("street", "photos"):
        assert shlex.join(["tuiprobe", "label", *map(str, label_runs), "--target", name]) in str(
            several.value
        )
    decision = tuiprobe.compare(label_runs)
    assert decision.command.endswith("--target street")
    assert run_cli([*shlex.split(decision.command)[1:], "--json"]) == 0
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


def test_a_mistyped_class_has_near_names(label_runs: list[Path]) -> None:
    labelling = open_labelling(label_runs, "photos")
    name = labelling.matched.classes[3]
    for typed in (name.upper(), name[:-1], f"{name}e"):
        with pytest.raises(UsageError, match=rf"is no class of these runs: .*{name}.*\?"):
            labelling.label(0, typed)


def test_a_table_goes_out_and_its_answers_come_back(label_runs: list[Path], tmp_path: Path) -> None:
    labelling, table = open_labelling(label_runs, "photos"), tmp_path / "todo.csv"
    places = [picture.index for picture in labelling.upcoming(8)]
    head, *rows = todo_text(labelling, 8).splitlines()
    filled = [
        row.replace(",,", f",{truth(labelling, place)},", 1)
        for row, place in zip(rows, places, strict=True)
    ]
    refused = {
        "has other rows than the batch": filled[1:],
        "line 2 is about a picture that these": [f"x.jpg,{'0' * 64},cat,,"],
        "line 3: 'unicorn' is no class": [
            filled[0],
            rows[1].replace(",,", ",unicorn,", 1),
            *rows[2:],
        ],
        "an earlier label": [*filled, f"x.jpg,{labelling.matched.digests[places[0]]},{UNSURE},,"],
    }
    for message, lines in refused.items():
        table.write_text("\n".join([head, *lines]) + "\n")
        with pytest.raises(UsageError, match=message):
            import_answers(labelling, table)
        assert not labelling.counted  # every line is checked before the first answer is taken
    table.write_text("\n".join([head, *filled[:3], rows[3], *filled[4:6], *rows[6:]]) + "\n")
    assert import_answers(labelling, table) == ImportedAnswers(
        new=5, repeated=0, skipped=1, unsure=0, blank=2
    )
    assert list(labelling.survey.labels) == [*places[:3], *places[4:6]]
    assert list(labelling.survey.skipped) == [places[3]]
    assert import_answers(labelling, table) == ImportedAnswers(
        new=0, repeated=5, skipped=0, unsure=0, blank=2
    )
    table.write_text(f"sha256;class\n{labelling.matched.digests[places[7]]};{UNSURE}\n")
    assert import_answers(labelling, table).new == 1
    labelling.close()
    state = label_status(open_labelling(label_runs, "photos"))
    assert (state.labelled, state.unsure, state.skipped) == (6, 1, 1)


def test_a_second_skip_counts_in_a_list_that_was_written_after_the_first_was_read(
    label_runs: list[Path], tmp_path: Path
) -> None:
    labelling, table = open_labelling(label_runs, "photos"), tmp_path / "todo.csv"

    def returned(rows: list[str], labels: dict[int, bool]) -> ImportedAnswers:
        """Reads a list back; the labels say by place in it whether there is an answer."""
        digests = {digest: place for place, digest in enumerate(labelling.matched.digests)}
        filled = [
            row.replace(",,", f",{truth(labelling, digests[row.split(',')[1]])},", 1)
            if labels.get(number)
            else row
            for number, row in enumerate(rows)
        ]
        table.write_text("\n".join([head, *filled]) + "\n")
        return import_answers(labelling, table)

    head, *rows = todo_text(labelling, 6).splitlines()
    assert all(row.endswith(",") for row in rows)
    places = [picture.index for picture in labelling.upcoming(6)]
    answers = returned(rows, {1: True, 3: True})
    assert answers == ImportedAnswers(new=2, repeated=0, skipped=2, unsure=0, blank=2)
    for again in (rows, sorted(rows, key=lambda row: rows.index(row) in (1, 3))):
        answers = returned(again, {n: row in (rows[1], rows[3]) for n, row in enumerate(again)})
        assert (answers.new, answers.repeated, answers.unsure) == (0, 2, 0)
    assert list(labelling.survey.skipped) == [places[n] for n in (0, 2, 4, 5)]  # sorted by class
    head, *rows = todo_text(labelling, 6).splitlines()
    assert [row.endswith(",once") for row in rows] == [True] * 4 + [False] * 2
    assert [picture.skipped for picture in labelling.upcoming(6)] == [True] * 4 + [False] * 2
    answers = returned(rows, {1: True, 4: True})
    assert answers == ImportedAnswers(new=2, repeated=0, skipped=0, unsure=3, blank=1)
    assert label_status(labelling).unsure == 3
    assert [row.line.label for row in labelling.counted].count(UNSURE) == 3
    read_again = returned(rows, {1: True, 4: True})
    assert read_again == ImportedAnswers(new=0, repeated=2, skipped=0, unsure=0, blank=1)
    labelling.close()


def test_a_picture_that_is_skipped_twice_is_unsure(label_runs: list[Path]) -> None:
    labelling = open_labelling(label_runs, "photos")
    first = labelling.following()
    assert first is not None
    assert not first.skipped
    labelling.label(first.index, "")
    answer(labelling, 5)
    again = labelling.following()
    assert again is not None
    assert (again.index, again.skipped) == (first.index, True)
    labelling.label(again.index, "")
    assert [row.line.label for row in labelling.counted][::6] == ["", UNSURE]
    state = label_status(labelling)
    assert (state.labelled, state.unsure, state.skipped) == (6, 1, 0)
    labelling.undo()
    assert labelling.following() == again
    labelling.close()


IDS = {
    "balloon": "n02782093", "hammer": "n03481172", "mushroom": "n07734744",
    "sailboat": "n04612504", "snail": "n01944390", "umbrella": "n04507155",
}  # fmt: skip
"""Synset ids of classes of the miniature that ImageNet has too."""


def write_labels(labelling: Labelling, table: Path) -> dict[str, str]:
    """Writes the class of each picture by its path, named as folders of data are; returns them."""
    truths = {path: truth(labelling, n) for n, path in enumerate(labelling.matched.paths)}
    rows = [f"{path};{IDS.get(name, name.upper())}" for path, name in truths.items()]
    table.write_text("\n".join(["path;class", *rows]))
    return truths


def test_answers_name_pictures_by_path_and_classes_as_data_do(label_runs, tmp_path):
    labelling, table = open_labelling(label_runs, "photos"), tmp_path / "labels.csv"
    truths = write_labels(labelling, table)
    assert set(IDS) & set(truths.values())
    assert import_answers(labelling, table).new == len(truths) == PICTURES
    assert {row.line.image: row.line.label for row in labelling.counted} == truths
    table.write_text(f"path,class\n{next(iter(truths))[:-1]},cat\n")
    with pytest.raises(UsageError, match=rf"line 2.* did you mean {next(iter(truths))}\?"):
        import_answers(labelling, table)
    labelling.close()


def test_python_decides_as_the_commands_do(label_runs, tmp_path, program):
    labelling, table = open_labelling(label_runs, "photos"), tmp_path / "labels.csv"
    labelling.close()
    write_labels(labelling, table)
    decision = tuiprobe.label(label_runs, "photos", answers_from=table)
    assert (decision.evidence, decision.target) == ("labels", "photos")
    assert 0 < decision.labels < PICTURES
    paths = [str(run) for run in label_runs]
    reports = [Report.read(run / "results.json") for run in label_runs]
    nowhere = Report.parse((label_runs[0] / "results.json").read_bytes(), "a file")
    for command in (["label", *paths, "--target", "photos"], ["compare", *paths]):
        assert program(*command, "--json").json["decision"] == decision.model_dump(mode="json")
    assert tuiprobe.compare(reports) == tuiprobe.compare(paths, "photos") == decision
    wrong: list[Any] = [paths[:1], paths[0], [paths[0], nowhere]]
    for runs in wrong:
        with pytest.raises(UsageError, match="runs= takes"):
            tuiprobe.compare(runs)


def test_no_torch_is_loaded_for_labels(label_runs: list[Path]) -> None:
    program = (
        "import sys; from pathlib import Path;"
        "from tuiprobe.choose.labelling.session import open_labelling;"
        f"open_labelling([Path({str(label_runs[0])!r})], 'photos').following();"
        "print({'torch', 'textual'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr
