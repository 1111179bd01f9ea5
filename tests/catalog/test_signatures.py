"""Signatures: read from reports, filed, and shipped for untrained architectures."""

import json
from pathlib import Path
from typing import Any

import pytest

from tuiprobe.catalog.atlas import for_spec
from tuiprobe.catalog.presets import presets
from tuiprobe.catalog.signatures import add, filed, from_results, reference_of, shipped


def report(digest: str = "d1", kurtosis: float = 7.0) -> dict[str, Any]:
    figure = {"value": kurtosis, "low": 6.5, "high": 7.5, "n": 300, "method": "bootstrap"}
    return {
        "model": {
            "name": "rn50_openai",
            "architecture": "RN50-quickgelu",
            "representation": "projected",
            "width": 1024,
            "weights": {"kind": "pretrained", "source": "x", "digest": digest},
            "preprocessing": {"size": [224, 224]},
        },
        "data": [{"name": "val", "source": "imagefolder:/data", "measured": 300}],
        "outliers": [
            {"final": False, "data": "val", "kurtosis": {"reason": "inner"}},
            {
                "final": True,
                "data": "val",
                "kurtosis": figure,
                "persistence": {"value": {"reason": "too few images"}},
            },
        ],
    }


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_a_run_is_filed_and_replaced(tmp_path: Path) -> None:
    store = tmp_path / "deep" / "signatures.jsonl"
    assert filed(store) == []
    first = add(write(tmp_path / "a.json", report()), store)
    assert first.kurtosis == (7.0, 6.5, 7.5)
    assert first.persistence is None
    assert (first.n, first.weights, first.data) == (300, "pretrained", "imagefolder:/data")
    assert first.spec == "open_clip:RN50-quickgelu/openai"
    assert first.robustness is not None
    published = for_spec(first.spec)
    assert published is not None
    assert published.robustness["standard"] is not None
    assert first.robustness[0] == published.robustness["standard"].value
    assert (first.baseline, first.robustness_from) == ("standard", "published")
    second = add(write(tmp_path / "b.json", report("d2")), store)
    assert filed(store) == [first, second]
    again = add(write(tmp_path / "c.json", report("d1", 7.1)), store)
    assert filed(store) == [second, again]


def test_what_the_run_measured_comes_before_what_is_published(tmp_path: Path) -> None:
    measured = (
        {"value": {"reason": "no accuracy"}, "baseline": "miniature"},
        {
            "value": {"value": 0.2, "low": 0.1, "high": 0.3, "n": 500, "method": "delta"},
            "baseline": "standard_and_low",
        },
    )
    run = {**report(), "robustness": {"effective": list(measured)}}
    found = from_results(write(tmp_path / "r.json", run))
    assert found.robustness == (0.2, 0.1, 0.3)
    assert (found.baseline, found.robustness_from) == ("standard_and_low", "run")
    run["robustness"] = {"effective": {"reason": "no shift was measured"}}
    assert from_results(write(tmp_path / "r.json", run)).robustness_from == "published"
    run["model"] = {**run["model"], "weights": {"kind": "checkpoint", "digest": "d"}}
    assert from_results(write(tmp_path / "r.json", run)).robustness is None


def test_signatures_filed_before_they_carried_robustness_still_load(tmp_path: Path) -> None:
    store = tmp_path / "s.jsonl"
    add(write(tmp_path / "a.json", report()), store)
    row = json.loads(store.read_text())
    for name in ("spec", "robustness", "baseline", "robustness_from"):
        del row[name]
    store.write_text(json.dumps(row) + "\n")
    assert filed(store)[0].robustness is None


@pytest.mark.parametrize("content", [{}, [], {"model": 3}, "text", {**report(), "outliers": []}])
def test_what_is_no_report_is_refused(content: object, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no report of tuiprobe"):
        from_results(write(tmp_path / "r.json", content))


def test_a_damaged_file_of_signatures_names_the_line(tmp_path: Path) -> None:
    store = tmp_path / "s.jsonl"
    add(write(tmp_path / "a.json", report()), store)
    store.write_text(store.read_text() + '{"model": 3}\n')
    with pytest.raises(ValueError, match="line 2 of"):
        filed(store)


def test_untrained_references_of_every_presets_architecture_ship() -> None:
    references = {s.architecture: s for s in shipped()}
    for preset in presets().values():
        found = references[preset.architecture]
        assert found.width == preset.width
        assert reference_of(preset.architecture, found.representation, shipped()) == found
    assert reference_of("RN50-quickgelu", "pooled", shipped()) is None
    for signature in references.values():
        assert signature.weights == "untrained"
        assert signature.kurtosis is not None
        assert 1 < signature.kurtosis[0] < signature.width
