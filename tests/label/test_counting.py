"""Where labels count: headline, formats, lists, comparisons and gates of runs with labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.label.test_session import answer, truth
from tuiprobe.cli.app import run_cli
from tuiprobe.compare.decision import decide
from tuiprobe.compare.decision_section import describe_decision
from tuiprobe.compare.differences import compare_runs
from tuiprobe.compare.labels import label_evidence
from tuiprobe.compare.runs import read_run, read_runs
from tuiprobe.label.candidates import read_candidate
from tuiprobe.label.result import TargetLabels
from tuiprobe.label.session import Labelling, open_labelling
from tuiprobe.report import read_report
from tuiprobe.report.formats import files_of
from tuiprobe.report.terminal import section_text
from tuiprobe.report.text import line
from tuiprobe.results import Estimate
from tuiprobe.results.card import card
from tuiprobe.run.directory import RunDir
from tuiprobe.run.results import read_results


def first_lines(run: Path) -> list[str]:
    return [line(text) for text in card(read_report(RunDir(run)))[0].lines]


def by_hand(runs: list[Path], labelling: Labelling) -> list[tuple[float, float]]:
    """Returns accuracy and half its range of each of two runs, while none is dropped."""
    one, two = (read_candidate(RunDir(run), "photos") for run in runs)
    names = np.array([one.classes, two.classes])
    answers = np.array([names[n][run.answers] for n, run in enumerate((one, two))])
    sure = np.array([one.confidences, two.confidences])
    support = np.where(answers[0] == answers[1], 1.0, sure / sure.sum(axis=0))
    differ, places = answers[0] != answers[1], np.array(labelling.survey.drawn)
    right = answers[:, places] == np.array([truth(labelling, int(place)) for place in places])
    results = []
    for hits, guess in zip(right, support, strict=True):
        mean = variance = 0.0
        for block in (differ, ~differ):
            inside, weight = block[places], block.mean()
            rest = hits[inside] - guess[places][inside] / 2
            mean += weight * (rest.mean() + guess[block].mean() / 2)
            spread = min(0.25, (((rest - rest.mean()) ** 2).sum() + 0.5) / len(rest))
            variance += weight**2 * spread / len(rest) * (1 - len(rest) / block.sum())
        results.append((mean, (1.96 + 2.4 / (len(places) - 2)) * variance**0.5))
    return results


def test_the_headline_of_a_run_is_what_labels_measured(
    label_runs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    before = (label_runs[0] / "results.json").read_bytes()
    estimated = read_report(RunDir(label_runs[0])).title
    labelling = open_labelling(label_runs, "photos")
    answer(labelling, 16)
    assert not any(labelling.survey.dropped)  # type: ignore[union-attr]
    labelling.close()
    for run, (accuracy, half) in zip(label_runs, by_hand(label_runs, labelling), strict=True):
        report = read_report(RunDir(run))
        figure = report.figure("labelled", "photos")
        assert isinstance(figure, Estimate)
        hand = [accuracy, max(accuracy - half, 0), min(accuracy + half, 1)]
        assert figure.n == 16
        assert figure.low is not None
        assert figure.high is not None
        assert np.allclose([figure.value, figure.low, figure.high], hand, atol=1e-4)
        share, _, ends = figure.with_interval().partition(" (")
        model = report.model.name
        title = f"{model} on photos: {share} right ({ends}, measured on 16 pictures"
        assert report.title == title
        lines = first_lines(run)
        assert lines[0] == f"photos, measured on 16 of your pictures: {share} ({ends}."
        assert any("no labels" in text for text in lines[1:])  # the estimate stays
        files = files_of(report, RunDir(run), ["md", "html", "csv", "json"])
        assert f"measured on 16 of your pictures: {share} ({ends}" in files["report.md"]
        assert f"measured on 16 of your pictures: {share} ({ends}" in files["report.html"]
        assert (
            f"photos,labels,labelled,accuracy by labels,{figure.value}"
            in (files["tables/figures.csv"])
        )
        assert json.loads(files["results.json"])["title"] == title
    assert (label_runs[0] / "results.json").read_bytes() == before
    assert run_cli(["runs", "--root", str(label_runs[0].parent)]) == 0
    assert capsys.readouterr().out.count("by labels ") == 2
    assert run_cli(["runs", "--root", str(label_runs[0].parent), "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["runs"]}
    target = rows[label_runs[1].name]["target"]
    assert (target["evidence"], target["value"], target["n"]) == ("labels", figure.value, 16)
    assert rows[label_runs[1].name]["title"] == title
    for name in ("csv", "plan.json"):
        (label_runs[0].parent / f"labels-photos.{name}").unlink()
    assert read_report(RunDir(label_runs[0])).title == estimated


def test_labels_of_unknown_selection_stand_beside_the_estimate(label_runs: list[Path]) -> None:
    estimated = read_report(RunDir(label_runs[0]))
    labelling = open_labelling(label_runs, "photos")
    for place in range(10):
        labelling.label(place, "outside", truth(labelling, place))
    labelling.close()
    right = labelling.right(range(10))[0]
    words = f"right on {right} of 10 labelled pictures, which were not drawn at random"
    report = read_report(RunDir(label_runs[0]))
    assert report.title == estimated.title
    lines = first_lines(label_runs[0])
    assert lines[-1] == f"photos, {words}."
    assert len(lines) > 1
    assert report.headline("labelled") is None
    part = report.part(TargetLabels)
    assert part is not None
    assert (part.targets[0].right, part.targets[0].labelled) == (right, 10)
    runs = read_runs(label_runs)
    text = section_text(describe_decision(decide(runs), runs))
    assert words in " ".join(text.split())


def test_models_are_ordered_and_gated_by_labels(
    label_runs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    labelling = open_labelling(label_runs, "photos")
    answer(labelling, 40)
    labelling.close()
    names = np.array(labelling.matched.classes)
    labels = [truth(labelling, place) for place in range(40)]
    rights = (names[labelling.matched.answers] == labels).mean(axis=1)
    assert rights[0] != rights[1]
    best, other = np.argsort(-rights).tolist()
    runs = [read_run(RunDir(run)) for run in label_runs]
    for given in (runs, runs[::-1]):
        decision = decide(given)
        assert (decision.verdict, decision.evidence, decision.labels) == ("best", "labels", 40)
        assert [row.model for row in decision.models] == [
            runs[best].report.model.name,
            runs[other].report.model.name,
        ]
        assert [row.standing for row in decision.models] == ["take", "behind"]
        assert isinstance(decision.models[1].difference, Estimate)
        assert decision.models[1].difference.value == pytest.approx(rights[best] - rights[other])
        assert decision.sentence.startswith(f"Take {decision.models[0].model}: best on your ")
    comparison = compare_runs(runs, best, other, label_evidence(runs))
    row = next(row for row in comparison.differences if row.id == "labelled")
    assert isinstance(row.difference, Estimate)
    assert row.difference.value == pytest.approx(rights[other] - rights[best])
    assert row.differs
    paths = [str(label_runs[n]) for n in (best, other)]
    assert run_cli(["compare", *paths, "--fail-if", "labelled < -0.01"]) == 1
    assert "photos/labels: labelled changed by" in capsys.readouterr().err
    assert run_cli(["compare", *paths, "--fail-if", '"accuracy by labels" > 0.01']) == 0
    assert 'gate passed: "accuracy by labels" > 0.01' in capsys.readouterr().err
    assert run_cli(["compare", *paths, "--json"]) == 0
    written = json.loads(capsys.readouterr().out)["decision"]
    assert (written["evidence"], written["labels"]) == ("labels", 40)


@pytest.mark.parametrize("damage", ["conflict", "damaged", "no class"])
def test_labels_that_cannot_count_are_a_warning_that_names_the_line(
    label_runs: list[Path], damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    written = read_results(RunDir(label_runs[0]))
    labelling = open_labelling(label_runs, "photos")
    answer(labelling, 4)
    labelling.close()
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
    assert run_cli(["compare", *map(str, label_runs)]) == 0
    assert words in " ".join(capsys.readouterr().out.split())
    assert run_cli(["runs", "--root", str(file.parent)]) == 0
    assert " measured " not in capsys.readouterr().out
