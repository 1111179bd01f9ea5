"""Percentiles among filed models, and what height adds to accuracy, planted and by brute force."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.measure.fake_run import FakeSet, write_run
from tests.parts import part
from tests.probes.population.test_population import OWN, of, signature
from tests.report.samples import report
from tuiprobe.answer import answer
from tuiprobe.catalog.signatures import Signature, filed
from tuiprobe.probes.population.compute import population
from tuiprobe.probes.population.grade import grade
from tuiprobe.probes.population.probe import PopulationOfModels
from tuiprobe.probes.population.result import Grade, Population
from tuiprobe.probes.protocol import Subject
from tuiprobe.report.markdown import markdown
from tuiprobe.results import NotRun, given

SETS = ("a", "b", "c", "d", "e", "f")


def planted(slope: float, noise: float = 0.01, count: int = 24, seed: int = 0) -> list[Signature]:
    """Models whose effective robustness is .3 of accuracy, and `slope` of a tenth of the height."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(count):
        height, accuracy = rng.uniform(2, 20), rng.uniform(0.5, 0.8)
        er = 0.3 * accuracy + slope * height / 10 + noise * rng.standard_normal()
        found.append(graded(f"m{i}", i, height, accuracy, er))
    return found


def graded(name: str, i: int, height: float, accuracy: float, er: float, **more: Any) -> Signature:
    return signature(
        name, 10 + i, 0.5, height=(height, None, None), offset=(0.01 * i, None, None),
        robustness=(er, er - 0.01, er + 0.01), baseline="standard", robustness_from="run",
        shifts="imagenet_r", imagenet=accuracy, pretraining=SETS[i % len(SETS)], **more,
    )  # fmt: skip


def test_a_planted_effect_of_height_is_found() -> None:
    found = grade(planted(0.1))
    assert isinstance(found, Grade)
    assert (found.models, found.sets, found.baseline) == (24, 6, "standard")
    assert found.better
    assert found.error < 0.02 < found.error_alone
    assert given(found.gain)
    assert found.gain.value == pytest.approx(found.error_alone - found.error)


def test_without_an_effect_height_is_no_better() -> None:
    verdicts = [grade(planted(0.0, noise=0.05, seed=seed)) for seed in range(40)]
    better = sum(isinstance(one, Grade) and one.better for one in verdicts)
    assert better <= 4  # a one-sided test at 2.5 %: more than 4 of 40 in 0.3 % of cases


def test_errors_are_those_of_scipy_and_of_refits_by_hand() -> None:
    filed_models = planted(0.05, noise=0.03)
    found = grade(filed_models)
    assert isinstance(found, Grade)
    alone, both = [], []
    for name in SETS:
        kept = [one for one in filed_models if one.pretraining != name]
        out = [one for one in filed_models if one.pretraining == name]
        line = stats.linregress([o.imagenet for o in kept], [er(o) for o in kept])
        alone.append(
            np.mean([abs(line.slope * (o.imagenet or 0) + line.intercept - er(o)) for o in out])
        )
        x = np.array([[1, o.imagenet, tall(o)] for o in kept], float)
        beta = np.linalg.solve(x.T @ x, x.T @ np.array([er(o) for o in kept]))
        both.append(np.mean([abs(beta @ [1, o.imagenet, tall(o)] - er(o)) for o in out]))
    assert found.error_alone == pytest.approx(np.mean(alone))
    assert found.error == pytest.approx(np.mean(both))
    ends = stats.ttest_rel(alone, both).confidence_interval(0.95)
    assert given(found.gain)
    assert (found.gain.low, found.gain.high) == pytest.approx((ends.low, ends.high))


def er(one: Signature) -> float:
    assert one.robustness is not None
    return one.robustness[0]


def tall(one: Signature) -> float:
    assert one.height is not None
    return one.height[0]


def test_it_is_refused_with_the_reason() -> None:
    few = grade(planted(0.1, count=19))
    assert isinstance(few, NotRun)
    assert few.reason.startswith("19 filed models of 6 pretraining sets have height")
    alike = [graded(f"m{i}", 6 * i, 3.0 + i, 0.6, 0.2) for i in range(30)]
    one_set = grade(alike)
    assert isinstance(one_set, NotRun)
    assert "of 1 pretraining sets" in one_set.reason
    assert isinstance(grade([]), NotRun)


def test_only_models_on_the_same_images_are_placed_and_graded() -> None:
    own, subject = of(20, height=11.0)
    same = planted(0.1)
    other = [graded(f"o{i}", i, 1.0, 0.6, 0.1, data="elsewhere") for i in range(30)]
    earlier = [signature(f"e{i}", 5, 0.5) for i in range(6)]  # without height
    found = population(own, subject, OWN, [], [*same, *other, *earlier])
    assert len(found.filed) == 60
    height, offset, kurtosis = (one.below for one in found.places)
    lower = sum(tall(one) < 11 for one in same)
    assert given(height)
    assert (height.value, height.n) == (lower / 24, 24)
    interval = stats.binomtest(lower, 24).proportion_ci(method="wilson")
    assert (height.low, height.high) == pytest.approx((interval.low, interval.high), abs=1e-6)
    assert given(offset)
    assert offset.n == 24
    assert given(kurtosis)
    assert (kurtosis.value, kurtosis.n) == (16 / 30, 30)  # those of earlier versions count here
    assert isinstance(found.grade, Grade)
    assert found.grade.models == 24


@pytest.mark.parametrize(("slope", "said"), [(0.1, "reduces the error"), (0.0, "no better than")])
def test_a_report_says_it_in_words(slope: float, said: str) -> None:
    own, subject = of(20, height=11.0)
    found = population(own, subject, OWN, [], planted(slope))
    text = markdown(report(population=found))
    assert said in text
    assert "24 other models of kind projected are filed." in text
    assert "kurtosis / (C - 1)" not in "".join(
        str(one) for one in PopulationOfModels().describe(found, Subject(subject, ())).content
    )
    assert {one.id for one in PopulationOfModels().named(found).figures} == {
        "below.height", "below.offset.share", "below.kurtosis"
    }  # fmt: skip


def test_filed_models_of_the_users_folder_place_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "signatures.jsonl"
    monkeypatch.setattr("tuiprobe.probes.population.probe.signatures_file", lambda: store)
    models = [
        graded(f"m{i}", i, 3 + i, 0.6 + i / 100, 0.2, representation="pooled", data="photos:x")
        for i in range(22)
    ]
    store.write_text("".join(json.dumps(asdict(one)) + "\n" for one in models))
    assert len(filed(store).signatures) == 22
    h = np.random.default_rng(0).standard_normal((300, 16))
    run = write_run(tmp_path / "run", {"val": FakeSet(h, None, source="photos:x")}, None)
    found = part(answer(run), Population)
    kurtosis = next(one for one in found.places if one.id == "kurtosis")
    assert given(kurtosis.below)
    assert kurtosis.below.value == 0.0  # a Gaussian's 3 is below 10 and more
    assert isinstance(found.grade, Grade)
