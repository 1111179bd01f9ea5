"""Whom a model stands beside: its architecture untrained, and filed models of its kind alone."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.report.samples import estimate, model, outliers
from tests.report.samples import report as sample_report
from tuiprobe.catalog.signatures import Signature, shipped
from tuiprobe.probes.population.compute import population
from tuiprobe.probes.preflight.result import PreflightCheck
from tuiprobe.report.markdown import markdown
from tuiprobe.results import Weights
from tuiprobe.results.report import Report


def signature(name: str, kappa: float, p: float, **changes: Any) -> Signature:
    fields: dict[str, Any] = {
        "model": name, "architecture": "A", "weights": "pretrained", "digest": name,
        "representation": "projected", "data": "imagefolder:/val", "n": 5000, "width": 512,
        "kurtosis": (kappa, kappa - 1, kappa + 1), "persistence": (p, None, None),
    }  # fmt: skip
    return Signature(**{**fields, **changes})


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "signatures.jsonl"
    monkeypatch.setattr("tuiprobe.probes.population.compute.signatures_file", lambda: path)
    return path


def write(path: Path, *signatures: Signature) -> None:
    path.write_text("".join(json.dumps(asdict(one)) + "\n" for one in signatures))


def of(kappa: float, p: float) -> tuple[Any, Any]:
    one = outliers()
    persistence = one.persistence.model_copy(update={"value": estimate(p, 0.01)})
    final = one.model_copy(update={"kurtosis": estimate(kappa, 0.1), "persistence": persistence})
    subject = model(
        architecture="ViT-B-16", representation="projected", width=512,
        weights=Weights(kind="pretrained", source="x", digest="own"),
    )  # fmt: skip
    return final, subject


def test_the_same_architecture_untrained_is_found_by_name_and_kind(store: Path) -> None:
    final, subject = of(20, 0.9)
    found = population(final, subject)
    wanted = next(one for one in shipped() if one.architecture == "ViT-B-16")
    assert found.untrained is not None
    assert found.untrained.n == wanted.n == 64
    assert found.untrained.kurtosis.value == wanted.kurtosis[0]  # type: ignore[union-attr, index]
    assert found.untrained.persistence.low is None  # type: ignore[union-attr]
    assert found.filed == ()
    other = subject.model_copy(update={"representation": "token"})
    assert population(final, other).untrained is None


def test_only_other_trained_models_of_the_kind_are_its_population(store: Path) -> None:
    write(
        store,
        signature("low", 10, 0.2),
        signature("wide", 30, 0.95, width=1024),  # higher kappa, lower kappa / (C - 1)
        signature("high", 40, 0.99),
        signature("own name", 1, 0.1, digest="own"),
        signature("pooled", 1, 0.1, representation="pooled"),
        signature("random", 1, 0.1, weights="untrained"),
    )
    final, subject = of(20, 0.9)
    found = population(final, subject)
    assert [one.model for one in found.filed] == ["low", "wide", "high"]
    assert (found.lower_kurtosis, found.lower_persistence) == (2, 1)


def test_a_damaged_store_costs_no_run(store: Path) -> None:
    store.write_text("{not json\n")
    assert population(*of(20, 0.9)).filed == ()


def test_both_stand_in_the_report(store: Path) -> None:
    write(store, signature("evil|`name`", 10, 0.2))
    checks = (
        PreflightCheck(name="dtype", status="pass", detail="float32"),
        PreflightCheck(name="label map", status="warn", detail="<b>", fix="look", data="val"),
    )
    report = sample_report(population=population(*of(20, 0.9)), preflight=checks)
    text = markdown(report)
    (headline,) = [line for line in text.splitlines() if line.startswith("| final repr")]
    assert "same architecture, **untrained**, `miniature:val`" in headline
    (kappa,) = [line for line in text.splitlines() if line.startswith("| kurtosis |")]
    assert kappa.count("|") == headline.count("|")
    assert "3.097" in kappa
    assert "Among 1 filed model of kind" in text
    assert "1 lower in kurtosis / (C - 1), 1 lower in persistence" in text
    assert "| label map | `val` | **warning** | \\<b\\>; look |" in text
    assert Report.parse(report.to_json().encode(), "memory") == report
    without = markdown(sample_report())
    assert "## Preflight" not in without
    assert "untrained" not in without.partition("## What was probed")[0].lower()
