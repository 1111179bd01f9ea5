"""The images behind a figure: which ones a question gives, in which order, and what they say."""

import csv
import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.measure.engine.fake_run import KEY, PRINT, FakeSet, write_run
from tuiprobe.choose.labelling.reading import read_report
from tuiprobe.errors import UsageError
from tuiprobe.measure.run.arrays import Arrays
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.pictures import differing, read_pictures
from tuiprobe.measure.run.records import ShardFile, write_shard
from tuiprobe.measure.run.results import write_results
from tuiprobe.probes.report import make_report
from tuiprobe.results.subject import Prediction
from tuiprobe.show.report.formats import files_of

N, K = 80, 4


def a_run(path: Path, seed: int = 0) -> RunDir:
    rng = np.random.default_rng(9)
    labels = np.arange(N) % K
    features = (np.eye(K)[labels] + 0.6 * rng.normal(size=(N, K))).astype(np.float32)
    weight = (np.eye(K) + 0.4 * np.random.default_rng(seed).normal(size=(K, K))).astype(np.float32)
    sets = {"val": FakeSet(features, labels), "plain": FakeSet(features[::-1].copy(), None)}
    run = write_run(path, sets, weight)
    write_results(run, make_report(run))
    ids = np.arange(N)
    for name in sets:
        digests = np.frombuffer(
            b"".join(hashlib.sha256(f"{name} {i}".encode()).digest() for i in ids), np.uint8
        ).reshape(N, 32)
        arrays: Arrays = {"ids": ids, "images": ids, "digests": digests}
        shard = ShardFile(run.shard_file(name, 0), arrays, PRINT, skipped=(), size=N, pieces=1)
        write_shard(shard, (name, 0), KEY)
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return a_run(tmp_path_factory.mktemp("pictures") / "run")


def test_wrong_answers_are_those_of_the_accuracy_most_sure_first(run: RunDir) -> None:
    images = read_pictures(run)["val"]
    wrong = images.at(images.wrong())
    assert 0 < len(wrong) < N
    top1 = read_report(run).figure("top1", "val").value
    assert len(wrong) == round(N * (1 - top1))
    assert all(picture.label != picture.answer for picture in wrong)
    sure = [picture.confidence or 0.0 for picture in wrong]
    assert sure == sorted(sure, reverse=True)
    first = wrong[0]
    same = images.at(images.wrong(first.label, first.answer))
    assert same == [p for p in wrong if (p.label, p.answer) == (first.label, first.answer)]


def test_least_sure_and_answers_of_a_class_are_in_order(run: RunDir) -> None:
    images = read_pictures(run)["plain"]
    everything = images.at(images.everything())
    least = images.at(images.least_sure())
    assert [p.confidence for p in least] == sorted(p.confidence or 0.0 for p in everything)
    answer = everything[0].answer
    assert answer is not None
    answered = images.at(images.answered(answer))
    assert {p.id for p in answered} == {p.id for p in everything if p.answer == answer}
    assert all(p.label is None for p in everything)


def test_classes_and_answers_are_counted_like_the_single_images(run: RunDir) -> None:
    sets = read_pictures(run)
    everything = sets["val"].at(sets["val"].everything())
    classes = sets["val"].by_class()
    for name, right, n in classes:
        labelled = [p for p in everything if p.label == name]
        assert (right, n) == (sum(p.answer == name for p in labelled), len(labelled))
    assert sum(n for *_, n in classes) == N
    shares = [right / n for _, right, n in classes]
    assert shares == sorted(shares)
    assert sets["plain"].by_class() == []  # no labels
    answers = Counter(p.answer for p in sets["plain"].at(sets["plain"].everything()))
    assert dict(sets["plain"].common()) == answers
    counts = [count for _, count in sets["plain"].common()]
    assert counts == sorted(counts, reverse=True)


def test_where_models_differ_the_most_sure_answer_of_the_first_leads(run, tmp_path):
    sets = [read_pictures(one)["val"] for one in (run, a_run(tmp_path / "other", seed=5))]
    ours, theirs = (images.at(differing(sets)) for images in sets)
    assert [p.digest for p in ours] == [p.digest for p in theirs]
    assert ours
    assert all(a.answer != b.answer for a, b in zip(ours, theirs, strict=True))
    every = [images.at(images.everything()) for images in sets]
    assert len(ours) == sum(a.answer != b.answer for a, b in zip(*every, strict=True))
    sure = [p.confidence or 0.0 for p in ours]
    assert sure == sorted(sure, reverse=True)


def test_predictions_hold_every_image_once_and_give_the_accuracies(run: RunDir) -> None:
    report = read_report(run)
    text = files_of(report, None, ["predictions"])["predictions.csv"]
    rows = list(csv.DictReader(text.splitlines()))
    columns = ["set", "path", "sha256", "label", "class", "confidence", "calibrated", "second"]
    assert list(rows[0]) == [*columns, "unattended"]
    assert [row["set"] for row in rows] == ["val"] * N + ["plain"] * N
    right = [row["label"] == row["class"] for row in rows if row["set"] == "val"]
    assert report.figure("top1", "val").value == np.mean(right)
    assert {row["label"] for row in rows if row["set"] == "plain"} == {""}
    listed = report.predictions()
    assert [p.digest for p in listed] == [row["sha256"] for row in rows]
    assert isinstance(listed[0], Prediction)
    with pytest.raises(UsageError):
        make_report(run).predictions()
