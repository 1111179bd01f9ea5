"""What a run keeps of single images: what it is, whose it is, and that damage is noticed."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize, special, stats

from tests.measure.engine.fake_run import FakeSet, vouch, write_run
from tuiprobe.inside.ablation.targeted import Question, ablate
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.per_image import (
    OTHER_CONTENTS,
    OTHER_COUNTED,
    OTHER_IMAGES,
    list_digest,
    read_per_image,
)
from tuiprobe.measure.run.results import write_results
from tuiprobe.measure.run.samples import SampleRecord
from tuiprobe.probes.report import make_report

N, C, K = 60, 8, 5


def planted(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(N, C)).astype(np.float32)
    features[7] = 0  # a representation without a direction: no kurtosis, a wrong answer
    return features, rng.integers(0, K, N), rng.normal(size=(K, C)).astype(np.float32)


def a_run(path: Path, **changes: object) -> RunDir:
    features, labels, weight = planted()
    sets = {"val": FakeSet(features, labels), "plain": FakeSet(features[:30], None)}
    run = write_run(path, sets, weight, **changes)  # type: ignore[arg-type]
    write_results(run, make_report(run))
    return run


def test_values_are_those_of_scipy_and_give_the_figures_of_the_report(tmp_path: Path) -> None:
    features, labels, weight = planted()
    run = a_run(tmp_path / "run")
    found = read_per_image(run)["val"]
    logits = features @ weight.T
    right = (logits.argmax(axis=1) == labels) & features.any(axis=1)
    assert found.values["correct"].tolist() == right.tolist()
    others = np.arange(N) != 7
    kurtosis = stats.kurtosis(features[others].astype(float), axis=1, fisher=False)
    np.testing.assert_allclose(found.values["kurtosis"][others], kurtosis, rtol=1e-6)
    confidence = special.softmax(logits[others], axis=1).max(axis=1)
    np.testing.assert_allclose(found.values["confidence"][others], confidence, rtol=1e-5)
    assert np.isnan(found.values["kurtosis"][7])
    assert np.isnan(found.values["confidence"][7])
    report = make_report(run)
    assert report.figure("top1").value == pytest.approx(right.mean())
    assert report.figure("kurtosis").value == pytest.approx(kurtosis.mean(), rel=1e-6)


def test_answers_and_probabilities_are_those_of_scipy(tmp_path: Path) -> None:
    features, labels, weight = planted()
    run = a_run(tmp_path / "run")
    given = read_per_image(run)["val"].answers
    logits = (features @ weight.T).astype(float)
    order = np.argsort(-logits, axis=1)
    others = np.arange(N) != 7
    assert given.classes.tolist() == list(range(K))
    assert given.answer[others].tolist() == order[others, 0].tolist()
    assert given.second[others].tolist() == order[others, 1].tolist()
    assert given.truth.tolist() == labels.tolist()
    assert (given.answer[7], given.second[7]) == (-1, -1)
    assert np.isnan(given.confidence[7])

    def loss(temperature: float) -> float:
        likelihood = special.log_softmax(logits[others] / temperature, axis=1)
        return -float(likelihood[np.arange(N - 1), labels[others]].sum())

    fitted = optimize.minimize_scalar(loss, bounds=(0.05, 1e4), method="bounded").x
    expected = special.softmax(logits[others] / fitted, axis=1).max(axis=1)
    np.testing.assert_allclose(given.confidence[others], expected, atol=0.02)


def test_a_representation_too_small_for_a_length_counts_as_one_of_zeros(tmp_path: Path) -> None:
    features, labels, weight = planted()
    features[9] = 1e-25  # its squares are zero in float32
    run = write_run(tmp_path / "run", {"val": FakeSet(features, labels)}, weight)
    write_results(run, make_report(run))
    found = read_per_image(run)["val"]
    assert not found.values["correct"][[7, 9]].any()
    assert np.flatnonzero(np.isnan(found.values["confidence"])).tolist() == [7, 9]
    vouch(run)
    top1 = make_report(run).figure("top1")
    assert top1.value == pytest.approx(found.values["correct"].mean())
    (before,) = (row.before for row in ablate(run, Question((1,), (), False, "zero")).sets)
    assert before.top1 == pytest.approx(top1.value)


def test_what_is_not_known_is_not_kept(tmp_path: Path) -> None:
    found = read_per_image(a_run(tmp_path / "linear"))
    assert found["plain"].values.keys() == {"kurtosis", "confidence"}
    cosines = read_per_image(a_run(tmp_path / "cosines", normalize=True))
    assert cosines["val"].values.keys() == {"correct", "kurtosis", "linear"}  # no scale


def test_images_are_known_by_their_list_not_by_their_folder(tmp_path: Path) -> None:
    first, moved = read_per_image(a_run(tmp_path / "a")), read_per_image(a_run(tmp_path / "b"))
    assert first["val"].differs_from(moved["val"]) is None
    assert first["val"].differs_from(first["plain"]) is OTHER_COUNTED


@pytest.mark.parametrize(("field", "value"), [("path", "else.png"), ("label", 4), ("size", 9)])
def test_another_path_label_or_size_is_another_image(tmp_path, field, value):
    run = a_run(tmp_path / "run")
    before = read_per_image(run)["val"]
    lines = [json.loads(line) for line in run.samples_file.path.read_text().splitlines()]
    lines[0][field] = value if lines[0].get(field) != value else 3
    run.samples_file.write_text("".join(json.dumps(one) + "\n" for one in lines))
    vouch(run)
    make_report(run)
    assert read_per_image(run)["val"].differs_from(before) is OTHER_IMAGES


def test_other_contents_are_other_images(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    before = read_per_image(run)["val"]
    measured = json.loads(run.measured_file.path.read_text())
    for contents, difference in (("0" * 64, None), ("1" * 64, OTHER_CONTENTS)):
        measured["sets"]["val"]["contents"] = contents
        run.measured_file.write_json(measured)
        vouch(run)
        make_report(run)
        after = read_per_image(run)["val"]
        assert after.differs_from(before) is difference
        before = after


def test_samples_without_sizes_and_contents_are_known_by_their_source() -> None:
    rows = [SampleRecord(id=i, set="val", path=f"row {i}", label=None) for i in range(3)]
    assert list_digest(rows, "", "a.npy") != list_digest(rows, "", "b.npy")
    assert list_digest(rows, "digest", "a.npy") == list_digest(rows, "digest", "b.npy")
    files = [replace(one, size=9) for one in rows]
    assert list_digest(files, "", "/a") == list_digest(files, "", "/b")
