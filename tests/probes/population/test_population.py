"""Whom a model stands beside: its architecture untrained, and filed models of its kind alone."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.measure.fake_run import FakeSet, write_run
from tests.parts import part
from tests.probes.subject import model
from tuiprobe.answer import answer
from tuiprobe.catalog.signatures import Signature, filed, shipped
from tuiprobe.probes.population.compute import population
from tuiprobe.probes.population.probe import PopulationOfModels
from tuiprobe.probes.population.result import Population
from tuiprobe.probes.protocol import Subject
from tuiprobe.results import Estimate, Weights
from tuiprobe.results.section import Code, Prose, Strong, Table


def signature(name: str, kappa: float, p: float, **changes: Any) -> Signature:
    fields: dict[str, Any] = {
        "model": name, "architecture": "A", "weights": "pretrained", "digest": name,
        "representation": "projected", "data": "imagefolder:/val", "n": 5000, "width": 512,
        "kurtosis": (kappa, kappa - 1, kappa + 1), "persistence": (p, None, None),
    }  # fmt: skip
    return Signature(**{**fields, **changes})


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "signatures.jsonl"


def write(path: Path, *signatures: Signature) -> None:
    path.write_text("".join(json.dumps(asdict(one)) + "\n" for one in signatures))


OWN = "imagefolder:/val"


def of(kappa: float, height: float | None = None) -> tuple[dict[str, Any], Any]:
    figures = {"kurtosis": estimate(kappa)}
    if height is not None:
        figures |= {"height": estimate(height), "offset.share": estimate(0.4)}
    subject = model(
        architecture="ViT-B-16", width=512,
        weights=Weights(kind="pretrained", source="x", digest="own"),
    )  # fmt: skip
    return figures, subject


def estimate(value: float) -> Estimate:
    return Estimate(value=value, low=None, high=None, n=500, method="planted")


def test_the_same_architecture_untrained_is_found_by_name_and_kind(store: Path) -> None:
    own, subject = of(20)
    found = population(own, subject, OWN, shipped(), filed(store).signatures)
    wanted = next(one for one in shipped() if one.architecture == "ViT-B-16")
    assert found.untrained is not None
    assert found.untrained.n == wanted.n == 64
    assert found.untrained.kurtosis.value == wanted.kurtosis[0]  # type: ignore[union-attr, index]
    assert found.untrained.persistence.low is None  # type: ignore[union-attr]
    assert found.filed == ()
    other = subject.model_copy(update={"representation": "token"})
    assert population(own, other, OWN, shipped(), filed(store).signatures).untrained is None


def test_only_other_trained_models_of_the_kind_are_its_population(store: Path) -> None:
    write(
        store,
        signature("low", 10, 0.2),
        signature("wide", 30, 0.95, width=1024),
        signature("high", 40, 0.99),
        signature("own name", 1, 0.1, digest="own"),
        signature("pooled", 1, 0.1, representation="pooled"),
        signature("random", 1, 0.1, weights="untrained"),
    )
    own, subject = of(20)
    found = population(own, subject, OWN, shipped(), filed(store).signatures)
    assert [one.model for one in found.filed] == ["low", "wide", "high"]
    reasons = [one.below.reason for one in found.places]  # type: ignore[union-attr]
    assert reasons[:2] == ["not given in this run"] * 2
    assert reasons[2] == "3 filed models have it on the same images; 20 are needed"


def test_a_damaged_store_costs_no_run(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuiprobe.probes.population.probe.signatures_file", lambda: store)
    store.write_text("{not json\n")
    h = np.random.default_rng(0).standard_normal((12, 6))
    run = write_run(store.parent / "run", {"val": FakeSet(h, None)}, None)
    assert part(answer(run), Population).filed == ()


def test_a_section_tells_both_references(store: Path) -> None:
    write(store, signature("evil|`name`", 10, 0.2))
    own, subject = of(20)
    section = PopulationOfModels().describe(
        population(own, subject, OWN, shipped(), filed(store).signatures), Subject(subject, ())
    )
    untrained, places, others = [one for one in section.content if isinstance(one, Table)]
    assert [column.id for column in untrained.columns] == [column.id for column in others.columns]
    assert untrained.rows[0][1] == Strong(strong="untrained")
    assert [row[0] for row in places.rows][-1] == "kurtosis"
    assert others.rows[0][:3] == (
        Code(code="evil|`name`"),
        "pretrained",
        Code(code="imagefolder:/val"),
    )
    said = [text for one in section.content if isinstance(one, Prose) for text in one.text]
    assert any(str(text).startswith("1 other model of kind projected is filed.") for text in said)


def test_a_section_says_where_there_is_no_reference(store: Path) -> None:
    own, subject = of(20)
    other = subject.model_copy(update={"architecture": "nobody's"})
    section = PopulationOfModels().describe(
        population(own, other, OWN, shipped(), filed(store).signatures), Subject(other, ())
    )
    said = [text for one in section.content if isinstance(one, Prose) for text in one.text]
    assert "No untrained reference is available for " in said
    assert Code(code="nobody's") in said
    assert Code(code="tuiprobe atlas add RUN") in said
