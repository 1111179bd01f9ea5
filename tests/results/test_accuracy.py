"""One accuracy of a set: the best evidence, what its range is, and every place that shows it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tuiprobe
from tests.show.report.samples import data_sets, model, report
from tests.show.report.samples_head import one_hot, targets
from tuiprobe import miniature
from tuiprobe.choose.robustness.compute import Baselines, probe_robustness
from tuiprobe.choose.robustness.describe import AccuracyUnderShift
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.per_image import read_per_image
from tuiprobe.measure.run.results import summary_of
from tuiprobe.probes import LABELS
from tuiprobe.probes.protocol import Subject
from tuiprobe.probes.report import part
from tuiprobe.results import Estimate, NotRun, Part, Report, SetSummary
from tuiprobe.results.accuracy import Accuracy, Evidence, best_accuracy, on_your_pictures, sentence
from tuiprobe.results.card import card, title
from tuiprobe.results.figures import LABELLED
from tuiprobe.results.section import NamedFigure

PHOTOS = SetSummary(name="photos", source="photos", images=200, measured=200, target=True)


def with_target(labelled: Estimate | None = None) -> Report:
    """Returns a report with a target set, perhaps with an accuracy by labels."""
    made = report(targets=targets(), data=(*data_sets(), PHOTOS))
    if labelled is None:
        return made
    figure = NamedFigure(
        id=LABELLED.id, name="accuracy by labels", data="photos", place="labels",
        figure=labelled, headline=LABELLED.headline,
    )  # fmt: skip
    return made.model_copy(
        update={"parts": (*made.parts, Part(probe=LABELS, title="Labels", figures=(figure,)))}
    )


def test_labels_come_before_an_estimate_and_both_say_what_their_range_is() -> None:
    estimated = best_accuracy(with_target(), "photos")
    assert isinstance(estimated, Accuracy)
    assert (estimated.evidence, estimated.range) == ("estimate", "estimates")
    by_labels = Estimate(value=0.6, low=0.5, high=0.7, unit="share", n=50, method="labels")
    known = best_accuracy(with_target(by_labels))
    assert isinstance(known, Accuracy)
    assert (known.evidence, known.range, known.n) == ("labels", "labels", 50)
    assert (known.classes, known.of_classes) == (8, 8)  # as the estimate of the same set says
    assert summary_of(with_target(by_labels)).target == known
    assert isinstance(best_accuracy(with_target(), "nowhere"), NotRun)


def test_json_holds_the_best_accuracy_of_each_set_and_readers_compute_it_anew() -> None:
    made = with_target()
    tree = json.loads(made.to_json())
    assert [one["data"] for one in tree["accuracies"]] == ["photos"]
    assert Accuracy.model_validate(tree["accuracies"][0]) == best_accuracy(made)
    tree["accuracies"] = [{"data": "forged"}]
    assert Report.model_validate(tree).accuracies == made.accuracies


@pytest.mark.parametrize("evidence", ["estimate", "measured", "confidence"])
def test_an_estimate_is_about_and_confidence_is_no_accuracy(evidence: Evidence) -> None:
    known = Accuracy(data="a", value=0.56, low=0.37, high=0.75, range="images", n=9,
                     evidence=evidence)  # fmt: skip
    text = sentence(known)
    assert text.startswith("about ") == (evidence == "estimate")
    assert ("not an accuracy" in text) == (evidence == "confidence")


def test_one_labelled_set_is_the_users_pictures_and_answers_among_few_classes_say_so() -> None:
    head, images = one_hot()
    answers = images.classes_of_rows(8).copy()
    answers[3:] = -1
    keep = images.labels < 3
    few = replace(images, features=images.features[keep], labels=images.labels[keep],
                  answers=answers)  # fmt: skip
    result = probe_robustness(head, [few], {}, Baselines())
    only = part(AccuracyUnderShift(), result, Subject(model(), data_sets()))
    made = report(parts=(only,), title=title(model(), data_sets(), (only,)))
    known = on_your_pictures(made)
    assert isinstance(known, Accuracy)
    assert (known.evidence, known.classes, known.of_classes) == ("measured", 3, 8)
    right = (images.features[keep][:, :3].argmax(axis=1) == few.labels).mean()
    assert known.value == pytest.approx(right)
    blocks = {block.block: block for block in card(made)}
    assert "shifts" not in blocks
    (line, *_) = blocks["your images"].lines
    assert "3 classes" in made.title
    assert "all 8" in made.title
    assert made.title.endswith(str(line[0]))


@pytest.mark.slow
def test_among_all_classes_the_second_accuracy_becomes_the_headline(tmp_path: Path) -> None:
    exported = miniature.export(
        tmp_path / "exported", sets=("sketch",), layouts=("imagefolder",), images=400
    )
    folder = tmp_path / "five"
    for source in sorted((exported / "imagefolder" / "sketch").iterdir())[:5]:
        shutil.copytree(source, folder / source.name)
    made = {}
    for among in ("set", "all"):
        options: Any = {"answers_among": among, "target": ("none",), "concepts": "none"}
        output = str(tmp_path / among)
        made[among] = tuiprobe.probe(
            "mini_supervised", str(folder), output=output, workers=0, **options
        )
    few, every = (best_accuracy(made[among]) for among in ("set", "all"))
    assert isinstance(few, Accuracy)
    assert isinstance(every, Accuracy)
    assert (few.classes, few.of_classes, every.classes) == (5, 40, 40)
    assert every.value < few.value
    assert made["set"].figure("top1_all", "five").value == every.value
    assert made["all"].figure("top1_set", "five").value == few.value
    right = read_per_image(RunDir(tmp_path / "all"))["five"].values["correct"]
    assert right.mean() == pytest.approx(every.value)
