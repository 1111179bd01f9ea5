"""Where labels count: headline, formats, lists, comparisons and gates of runs with labels."""

import json
from contextlib import closing
from hashlib import sha256
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest

from tests.choose.labelling.test_session import labelled, truth
from tests.conftest import Program
from tuiprobe.choose.comparing.decide import decide
from tuiprobe.choose.comparing.differences import compare_runs
from tuiprobe.choose.comparing.label_evidence import label_evidence
from tuiprobe.choose.comparing.runs import read_run, read_runs
from tuiprobe.choose.labelling.candidates import read_candidate
from tuiprobe.choose.labelling.report_part import TargetLabels, with_labels
from tuiprobe.choose.labelling.session import Labelling, open_labelling
from tuiprobe.choose.labelling.standing import difference_words, label_status
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.results import read_results
from tuiprobe.numbers import NO_BREAK
from tuiprobe.results import Estimate, is_known
from tuiprobe.results.accuracy import best_accuracy
from tuiprobe.results.card import card
from tuiprobe.results.report import Timings
from tuiprobe.show.report import read_report
from tuiprobe.show.report.formats import files_of
from tuiprobe.show.report.strings import line
from tuiprobe.show.tui.screens.label import candidate_rows


def first_lines(run: Path) -> list[str]:
    return [line(text) for text in card(read_report(RunDir(run)))[0].lines]


def by_hand(runs: list[Path], labelling: Labelling) -> list[tuple[float, float, float]]:
    """Returns accuracy and ends of each of two runs, while none is dropped and none unsure."""
    one, two = (read_candidate(RunDir(run), "photos") for run in runs)
    names = np.array([one.classes, two.classes])
    answers = np.array([names[n][run.answers] for n, run in enumerate((one, two))])
    sure = np.array([one.confidences, two.confidences])
    support = np.where(answers[0] == answers[1], 1.0, sure / sure.sum(axis=0))
    differ, labels = answers[0] != answers[1], set(labelling.survey.labels)
    samples = []
    for inside in (differ, ~differ):
        sample: set[int] = set()
        for name in (b"order", b"other"):

            def key(place: int, name: bytes = name) -> bytes:
                return sha256(name + bytes.fromhex(labelling.matched.digests[place])).digest()

            walk = sorted(np.flatnonzero(inside).tolist(), key=key)
            sample |= set(takewhile(labels.__contains__, walk))
        samples.append(sorted(sample))
    n = sum(map(len, samples))
    sampled = []
    for model, guess in zip(answers, support, strict=True):
        mean = variance = 0.0
        for block, places in zip((differ, ~differ), samples, strict=True):
            weight, count = block.mean(), len(places)
            hits = model[places] == [truth(labelling, place) for place in places]
            rest = hits - guess[places] / 2
            mean += weight * (rest.mean() + guess[block].mean() / 2)
            p = (hits.sum() + 2) / (count + 4)
            spread = min(0.25, max(((rest - rest.mean()) ** 2).mean(), p * (1 - p)))
            variance += weight**2 * spread / count * (1 - count / block.sum())
        sampled.append((mean, 1.25 * (1.96 + 2.4 / (n - 2)) * variance**0.5))
    left = 1 - len(labels) / len(differ)
    by_samples = 2 * sampled[labelling.leader][1] < left - 1e-9  # for all of them
    results = []
    for model, (mean, half) in zip(answers, sampled, strict=True):
        least = sum(model[place] == truth(labelling, place) for place in labels) / len(differ)
        most = least + left
        if by_samples:
            ends = max(mean - half, least), min(mean + half, most)
            results.append((min(max(mean, least), most), *ends))
        else:  # what labels prove
            results.append(((least + most) / 2, least, most))
    assert n == 24
    return results


def test_the_headline_of_a_run_is_what_labels_measured(label_runs, program):
    before = (label_runs[0] / "results.json").read_bytes()
    estimated = read_report(RunDir(label_runs[0])).title
    labelling = labelled(label_runs, 24)
    for run, hand in zip(label_runs, by_hand(label_runs, labelling), strict=True):
        report = read_report(RunDir(run))
        figure = report.figure("labelled", "photos")
        assert figure.n == 24
        assert figure.low is not None
        assert figure.high is not None
        assert np.allclose([figure.value, figure.low, figure.high], hand, atol=1e-4)
        share, _, ends = figure.with_interval().partition(" (")
        model = report.model.name
        words = f"{share} right ({ends}, measured on 24 pictures"
        if hand[2] - hand[1] == pytest.approx(16 / 40):  # the pictures without a label
            between = f"between {share.replace(' to ', ' and ')} right"
            words = f"{between}: labels of 24 pictures prove it"
        title = f"{model} on photos: {words}"
        assert report.title == title
        lines = first_lines(run)
        assert lines[0] == f"photos: {words}."
        assert any("without its 24 labels" in text for text in lines[1:])  # the estimate stays
        known = [text for text in lines if text.startswith("photos")]
        assert not any("4 of 5" in text or "label some" in text for text in known)
        assert not any("no labels" in text for text in lines if text.startswith("photos"))
        files = files_of(report, RunDir(run), ["md", "html", "csv", "json"])
        assert words in files["report.md"]
        assert words in files["report.html"].replace(NO_BREAK, " ")
        assert (
            f"photos,labels,labelled,accuracy by labels,{figure.value}"
            in (files["tables/figures.csv"])
        )
        assert json.loads(files["results.json"])["title"] == title
    assert (label_runs[0] / "results.json").read_bytes() == before
    assert program("runs", "--root", str(label_runs[0].parent)).out.count("by labels ") == 2
    printed = program("runs", "--root", str(label_runs[0].parent), "--json").json
    rows = {row["name"]: row for row in printed["runs"]}
    program("runs", "--root", str(label_runs[0].parent), "--sort", "target")
    target = rows[label_runs[1].name]["target"]
    assert (target["evidence"], target["n"]) == ("labels", 24)
    assert target["value"] == (figure.value if target["range"] == "labels" else None)
    assert rows[label_runs[1].name]["title"] == title
    for name in ("csv", "questions.json"):
        (label_runs[0].parent / f"labels-photos.{name}").unlink()
    assert read_report(RunDir(label_runs[0])).title == estimated


def test_labels_outside_of_any_sample_prove_something_all_the_same(label_runs: list[Path]) -> None:
    estimated = read_report(RunDir(label_runs[0]))
    labelling = open_labelling(label_runs[:1], "photos")
    pool, strata = labelling.matched.pool, labelling.survey.strata  # type: ignore[union-attr]
    firsts = {next(p for p in o if strata[p] == 0) for o in (pool.order, pool.other)}
    chosen = [place for place in range(40) if place not in firsts][:10]
    for place in chosen:
        labelling.label(place, truth(labelling, place))
    labelling.close()
    right = int(labelling.survey.right[0])
    report = read_report(RunDir(label_runs[0]))
    part = report.part(TargetLabels)
    (known,) = part.targets
    assert (known.right, known.labelled, known.pictures, known.evidence) == (right, 10, 40, "open")
    assert known.proven == (right / 40, (right + 30) / 40)
    assert report.headline("labelled") is None
    lines = first_lines(label_runs[0])
    words = f"right on {right} of 10 labelled pictures, which were not drawn at random"
    assert lines[-1].startswith(f"photos: {words}: that proves ")
    runs = read_runs(label_runs)
    decision = decide(runs)
    assert (decision.target, decision.labels, decision.verdict) == ("photos", 10, "undecided")
    before, after = estimated.figure("target", "photos"), report.figure("target", "photos")
    least, most = known.proven
    assert after.low == max(before.low or 0, least)
    assert after.high == min(before.high or 1, most)
    assert least <= after.value <= most


def test_no_estimate_stands_where_labels_prove_more(label_runs: list[Path]) -> None:
    labelling = labelled(label_runs, places=range(38))
    for run, right in zip(label_runs, labelling.survey.right.tolist(), strict=True):
        report = read_report(RunDir(run))
        figure = report.figure("labelled", "photos")
        assert right / 40 <= (figure.low or 0) <= (figure.high or 1) <= (right + 2) / 40
        estimates = {
            named.id
            for part in report.parts
            for named in part.figures
            if named.data == "photos" and named.id.startswith("target") and is_known(named.figure)
        }
        assert not estimates
        assert report.figure("target", "street") != report.figure("target", "photos")
        assert report.title.startswith(f"{report.model.name} on photos: ")
        assert "about" not in report.title


@pytest.mark.parametrize("count", [12, 38])
def test_a_reader_of_no_results_cuts_estimates_like_any_other(label_runs, count):
    labelled(label_runs, places=range(count))
    for run in map(RunDir, label_runs):
        some, all_results = read_report(run, results=()), read_report(run)
        assert some.accuracies == all_results.accuracies
        assert card(some) == card(all_results)
        (known,) = with_labels(read_results(run), run).part(TargetLabels).targets  # type: ignore[union-attr]
        estimate = all_results.figure_or_absent("target", "photos")
        least, most = known.proven
        if is_known(estimate):
            assert least <= (estimate.low or 0) <= (estimate.high or 1) <= most
            assert (estimate.high or 1) - (estimate.low or 0) <= most - least


@pytest.mark.parametrize("count", [8, 24, 34, 39])
def test_a_run_has_one_accuracy_whoever_asks(label_runs: list[Path], count: int) -> None:
    labelled(label_runs, count)
    for some in (label_runs, label_runs[::-1]):
        status = label_status(open_labelling(some, "photos"))
        models = {model.model: model for model in decide(read_runs(some)).models}
        for row in status.candidates:
            report = read_report(RunDir(label_runs[0].parent / row.run))
            figure = report.figure_or_absent("labelled", "photos")
            assert is_known(figure) == row.accuracy.known
            if is_known(figure):
                known = row.accuracy
                assert figure.n == known.labels
                assert figure.value == known.value or known.value is None
                assert (figure.low, figure.high) == (known.low, known.high)
            assert models[row.model].accuracy == best_accuracy(report, "photos")


def test_where_nearly_all_is_labelled_no_value_lies_on_an_end_and_no_range_is_a_sample(label_runs):
    labelling = open_labelling(label_runs, "photos")
    labels = {place: truth(labelling, place) for place in range(40)}
    answers = np.array(labelling.matched.classes)[labelling.matched.answers]
    agreed = [place for place in range(40) if answers[0, place] == answers[1, place]]
    for place in labels:
        if place not in agreed[:1]:
            labelling.label(place, labels[place])
    labelling.close()
    status = label_status(open_labelling(label_runs, "photos"))
    (row,) = (row for row in status.candidates if row.difference is not None)
    assert row.difference is not None
    value, low, high = row.difference
    rates = (answers == [labels[place] for place in range(40)]).mean(axis=1)
    assert value == low == high == pytest.approx(abs(rates[0] - rates[1]))
    assert " to " not in difference_words(row)
    assert not any("overstates" in remark for remark in status.remarks())
    runs = read_runs(label_runs)
    decision = decide(runs)
    assert " to " not in decision.sentence
    assert {row.accuracy.range for row in decision.models} == {"proven"}  # type: ignore[union-attr]
    assert all(
        row.ends is not None and row.ends.value is None and row.ends.low < row.ends.high
        for row in candidate_rows(status, named=True)
    )


def test_models_are_ordered_and_gated_by_labels(label_runs: list[Path], program: Program) -> None:
    labelling = labelled(label_runs, 40)
    names = np.array(labelling.matched.classes)
    labels = [truth(labelling, place) for place in range(40)]
    rights = (names[labelling.matched.answers] == labels).mean(axis=1)
    assert rights[0] != rights[1]
    best, other = np.argsort(-rights).tolist()
    runs = [read_run(RunDir(run)) for run in label_runs]
    for some in (runs, runs[::-1]):
        decision = decide(some)
        assert (decision.verdict, decision.evidence, decision.labels) == ("best", "labels", 40)
        assert [row.model for row in decision.models] == [
            runs[best].report.model.name,
            runs[other].report.model.name,
        ]
        assert [row.standing for row in decision.models] == ["take", "behind"]
        assert isinstance(decision.models[1].difference, Estimate)
        assert decision.models[1].difference.value == pytest.approx(rights[best] - rights[other])
        assert decision.sentence.startswith(f"Take {decision.models[0].model}: 40 labels ")
    sets = tuple(data for data in runs[0].report.data if not data.target)
    model = runs[0].report.model.model_copy(update={"name": "no target"})
    changes = {"data": sets, "model": model, "timings": Timings()}
    untargeted = runs[0]._replace(
        report=runs[0].report.model_copy(update=changes),
        directory=RunDir(label_runs[0].parent / "untargeted"),
    )
    decision = decide([untargeted, *runs, runs[0]])
    assert (decision.verdict, decision.evidence, decision.labels) == ("best", "labels", 40)
    left_out = {of.place: of.reason for of in decision.not_compared}
    assert left_out == {0: "no such set", 3: "same measurement"}
    comparison = compare_runs(runs, best, other, label_evidence(runs))
    row = next(row for row in comparison.differences if row.id == "labelled")
    assert row.difference.value == pytest.approx(rights[other] - rights[best])
    assert row.differs
    paths = [str(label_runs[n]) for n in (best, other)]
    err = program("compare", *paths, "--fail-if", "labelled < -0.01", code=1).err
    assert "photos/labels: labelled: " in err
    printed = program("compare", *paths, "--fail-if", '"accuracy by labels" > 0.01').err
    assert 'gate passed: "accuracy by labels" > 0.01' in printed
    written = program("compare", *paths, "--json").json["decision"]
    assert (written["evidence"], written["labels"]) == ("labels", 40)


@pytest.mark.parametrize("damage", ["conflict", "damaged", "no class"])
def test_labels_that_cannot_count_are_a_warning_that_names_the_line(label_runs, damage, program):
    written = read_results(RunDir(label_runs[0]))
    labelling = labelled(label_runs, 4)
    file = label_runs[0].parent / "labels-photos.csv"
    lines = file.read_text("utf-8").splitlines(keepends=True)
    digest, label = lines[2].split(",")[1:3]
    other = next(name for name in labelling.matched.classes if name != label)
    added, words = {
        "conflict": (
            lines[2].replace(f"{digest},{label}", f"{digest},{other}"),
            f"line 3 says that {labelling.counted[1].line.image} is {label}, line 6",
        ),
        "damaged": ("what?\n", "line 6 is no label: what?"),
        "no class": ("", "'unicorn' is no class of these runs"),
    }[damage]
    text = "".join(lines) + added
    if damage == "no class":
        text = text.replace(f"{digest},{label}", f"{digest},unicorn")
    file.write_text(text, "utf-8")
    report = read_report(RunDir(label_runs[0]))
    (warning,) = set(report.warnings) - set(written.warnings)
    assert words in warning
    assert str(file.parent) not in warning  # reports hold no folders
    assert report.title == written.title
    assert words in " ".join(program("compare", *map(str, label_runs)).out.split())
    assert " measured " not in program("runs", "--root", str(file.parent)).out


@pytest.mark.parametrize("count", [24, 40])  # 40: all, so no estimate stands beside them
def test_labels_of_answers_among_few_classes_say_so(label_runs: list[Path], count: int) -> None:
    labelled(label_runs, count)
    directory = RunDir(label_runs[0])
    written = read_results(directory)
    parts = tuple(
        part.model_copy(
            update={
                "figures": tuple(
                    named.model_copy(update={"classes": 5, "of_classes": 40})
                    if named.id == "target"
                    else named
                    for named in part.figures
                )
            }
        )
        for part in written.parts
    )
    report = with_labels(written.model_copy(update={"parts": parts}), directory)
    named = report.headline("labelled", "photos")
    assert (named.classes, named.of_classes) == (5, 40)
    assert "among these 5 classes" in report.title


def test_labels_behind_a_gap_give_a_difference_bounds_and_no_value(label_runs: list[Path]) -> None:
    with closing(open_labelling(label_runs, "photos")) as labelling:
        order, answers = labelling.survey.pool.order.tolist(), labelling.matched.answers
        first, *others = [i for i in order if answers[0, i] != answers[1, i]]
        for picture in (others := others[:6]):
            labelling.label(picture, labelling.matched.classes[0])
    status = label_status(labelling)
    (row,) = (row for row in status.candidates if row.difference is not None)
    assert row.difference is not None
    value, low, high = row.difference
    assert (status.waiting, value) == (len(others), None)
    lead = decide(read_runs(label_runs)).models[1].difference
    assert isinstance(lead, Estimate)
    assert (lead.value, lead.low, lead.high) == pytest.approx(((low + high) / 2, low, high))
    assert difference_words(row) == lead.with_interval()
    labelling.label(first, labelling.matched.classes[0])
    assert label_status(labelling).waiting == 0
