"""A head fitted to the labels of a run: what it is fitted to, and what comes of a resume."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeClassifier

import tuiprobe
from tests.parts import part
from tuiprobe.choose.comparing.decide import decide
from tuiprobe.choose.comparing.decision_section import describe_decision
from tuiprobe.choose.comparing.inference import Pairing
from tuiprobe.choose.comparing.label_evidence import answered_pictures
from tuiprobe.choose.comparing.runs import read_runs
from tuiprobe.choose.robustness.compute import Robustness
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.head_file import read_head
from tuiprobe.probes.intervals import paired_difference
from tuiprobe.results import Report
from tuiprobe.results.card import card
from tuiprobe.results.section import Chart
from tuiprobe.show.report import strings

DIGITS = load_digits()


def vectors(folder: Path, h: np.ndarray, labels: Any, **options: Any) -> Report:
    """Measures stored vectors; without labels the set has none."""
    folder.mkdir(exist_ok=True)
    np.save(folder / "x.npy", np.asarray(h, np.float32))
    if labels is not None:
        (folder / "y.txt").write_text("\n".join(map(str, labels)))
        options["labels"] = str(folder / "y.txt")
    output = str(folder / "run")
    return tuiprobe.probe(
        embeddings=str(folder / "x.npy"), output=output, threads=1, sample=0, **options
    )


def predicted(report: Report) -> dict[int, str | None]:
    return {each.id: each.answer for each in report.predictions()}


def test_labelled_vectors_have_a_head_and_each_is_answered_without_itself(tmp_path: Path) -> None:
    h, y = DIGITS.data[:120], DIGITS.target[:120]
    report = vectors(tmp_path, h, y)
    file = read_head(RunDir(tmp_path / "run"))
    assert file.fitted.ids.tolist() == list(range(120))
    penalty = float(file.head.source.rpartition(" ")[2])
    answers = predicted(report)
    different = 0
    for i in range(0, 120, 5):
        others = np.arange(120) != i
        without = RidgeClassifier(alpha=penalty, solver="svd").fit(h[others], y[others])
        different += answers[i] != str(without.predict(h[i : i + 1])[0])
    assert different == 0
    assert vectors(tmp_path / "asked", h, y, head="probe").key == report.key
    top1 = part(report, Robustness).accuracies[0].top1
    assert top1.value == np.mean([answers[i] == str(y[i]) for i in range(120)])
    assert "1.35" in top1.method


def test_other_images_are_answered_by_the_whole_head(tmp_path: Path) -> None:
    h, y = DIGITS.data.astype("f4"), DIGITS.target
    np.save(tmp_path / "street.npy", h[200:400])
    report = vectors(tmp_path, h[:200], y[:200], target_embeddings=[str(tmp_path / "street.npy")])
    head = load_file(tmp_path / "run" / "head.safetensors")
    answers = (h[200:400] @ head["weight"].T + head["bias"]).argmax(1)
    target = [each.answer for each in report.predictions() if each.set != report.data[0].name]
    assert target == [str(answer) for answer in answers]


def test_copies_count_once_and_contradictions_not_at_all(tmp_path: Path) -> None:
    h, y = DIGITS.data[:80], DIGITS.target[:80].copy()
    once = vectors(tmp_path / "once", h[:79], y[:79])
    copied = np.concatenate([h, h[:20], h[79:]])
    labels = np.concatenate([y, y[:20], [(y[79] + 1) % 10]])
    report = vectors(tmp_path / "copies", copied, labels)
    assert len(read_head(RunDir(tmp_path / "copies" / "run")).fitted.ids) == 79
    first, other = (part(each, Robustness).accuracies[0] for each in (once, report))
    assert (other.images, other.top1) == (79, first.top1)


def test_a_resume_fits_again_when_it_has_measured_more(tmp_path: Path) -> None:
    """The head is not in the key, but what it was fitted to is in its choice."""
    folder = tmp_path / "data"
    for i in range(40):
        place = folder / f"c{i % 2}" / f"{i:02}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(i)
        Image.fromarray(rng.integers(0, 128 + 127 * (i % 2), (48, 48, 3), np.uint8)).save(place)
    options: dict[str, Any] = {"head": "probe", "batch_size": 4, "threads": 1, "workers": 0}
    run = tmp_path / "run"

    def probed() -> Report:
        return tuiprobe.probe(
            "mini_supervised", f"imagefolder:{folder}", output=str(run), sample=0, **options
        )

    whole = probed()
    before = (run / "head.safetensors").read_bytes()
    assert probed().probe_key == whole.probe_key
    assert (run / "head.safetensors").read_bytes() == before
    lost = sorted((run / "shards").iterdir())[-1]
    lost.unlink()
    status = json.loads((run / "results.json").read_text())
    assert status["key"] == whole.key
    again = probed()
    assert again.probe_key == whole.probe_key
    stored = load_file(run / "head.safetensors")
    assert len(stored["fitted/ids"]) == 40
    assert stored["fitted/contents"].shape == (40, 32)


@pytest.mark.parametrize("named", [False, True])
def test_the_file_answers_other_images_with_its_names(tmp_path: Path, named: bool) -> None:
    h, y = DIGITS.data[:150], DIGITS.target[:150]
    (tmp_path / "names").write_text("\n".join(f"digit {i}" for i in range(10)))
    options = {"classes": str(tmp_path / "names")} if named else {}
    vectors(tmp_path, h, y, **options)
    head = str(tmp_path / "run" / "head.safetensors")
    other = vectors(tmp_path / "other", DIGITS.data[150:300], None, head=head)
    weight = load_file(head)
    answers = (DIGITS.data[150:300] @ weight["weight"].T + weight["bias"]).argmax(1)
    names = [f"digit {i}" if named else str(i) for i in answers]
    assert list(predicted(other).values()) == names


def test_runs_are_compared_with_wider_ranges(tmp_path: Path) -> None:
    h, y = DIGITS.data[:300], DIGITS.target[:300]
    vectors(tmp_path / "all", h, y)
    vectors(tmp_path / "half", h[:, :32], y)
    directories = [tmp_path / name / "run" for name in ("all", "half")]
    runs = read_runs(directories)
    answered = answered_pictures(runs)
    assert answered.widening == (1.35, 1.35)
    first, second = answered.right
    gained, lost = int((first & ~second).sum()), int((second & ~first).sum())
    expected = paired_difference(gained, lost, 300, 1.35 * 1.959963984540054)
    assert answered.lead(0, 1) == expected
    one, other = (
        next(figure for part in run.report.parts for figure in part.figures if figure.id == "top1")
        for run in runs
    )
    a, b = ({"rows": replace(run.images["rows"], contents="", samples="")} for run in runs)
    paired = Pairing(a, b).second_minus_first(one, other)
    assert paired is not None
    (curves,) = [
        piece for piece in describe_decision(decide(runs), runs).content if isinstance(piece, Chart)
    ]
    assert [len(one.x) for one in curves.series] == [4, 4]
    assert {one.x[-1] for one in curves.series} == {300.0}
    widths = [change.high - change.low for change in (paired, expected)]
    assert widths[0] == pytest.approx(widths[1], rel=0.1)


def test_the_card_says_how_each_was_answered_and_of_how_few(tmp_path: Path) -> None:
    report = vectors(tmp_path, DIGITS.data[:40], DIGITS.target[:40])
    accuracy = part(report, Robustness).accuracies[0]
    assert (accuracy.left_out, accuracy.labels) == (True, 10)
    assert accuracy.largest == np.bincount(DIGITS.target[:40]).max() / 40
    line = strings.line(card(report)[0].lines[0])
    assert "by a head fitted to the others" in line
    assert "too few to judge" in line


@pytest.mark.parametrize("form", ["list", "folders", "folders without test"])
def test_parts_are_fitted_to_train_and_judged_by_test(tmp_path: Path, form: str) -> None:
    rows = ["path,label,split"]
    order, parts = ("train", "test", "val"), {}
    for i in range(60):
        split = order[i // 20] if form != "folders without test" else ("train", "val")[i // 20 == 1]
        path = f"{i:02}.png" if form == "list" else f"{split}/c{i % 2}/{i:02}.png"
        parts[path] = split
        rng, file = np.random.default_rng(i), tmp_path / "data" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 128 + 127 * (i % 2), (48, 48, 3), np.uint8)).save(file)
        rows.append(f"{path},c{i % 2},{split}")
    if form == "list":
        (tmp_path / "data" / "list.csv").write_text("\n".join(rows))
    report = tuiprobe.probe(
        "mini_supervised", f"csv:{tmp_path}/data/list.csv" if form == "list" else tmp_path / "data",
        output=str(tmp_path / "run"), sample=0,
        head="probe", batch_size=10, threads=1, workers=0,
    )  # fmt: skip
    fitted = read_head(RunDir(tmp_path / "run")).fitted
    names, judged = sorted(parts), "val" if form == "folders without test" else "test"
    judged_ids = [n for n, name in enumerate(names) if parts[name] == judged]
    assert fitted.ids.tolist() == [n for n in range(60) if n not in judged_ids]
    assert fitted.tested.tolist() == judged_ids
    true = np.array([int(name[-5]) % 2 for name in names])
    features = load_file(next((tmp_path / "run" / "features").iterdir()) / "images.safetensors")
    of_test = np.isin(features["ids"], np.asarray(fitted.tested))
    stored = load_file(tmp_path / "run" / "head.safetensors")
    answers = (features["features"] @ stored["weight"].T + stored["bias"]).argmax(1)
    accuracy = part(report, Robustness).accuracies[0]
    right = (answers == true[features["ids"]])[of_test]
    assert (accuracy.images, accuracy.left_out) == (20, False)
    assert accuracy.top1.value == right.mean()
    assert accuracy.top1.method == "Wilson"
    assert sorted(predicted(report)) == judged_ids
