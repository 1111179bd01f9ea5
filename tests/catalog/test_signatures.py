"""Signatures: read from reports, filed, and shipped for untrained architectures."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tuiprobe.catalog.atlas import for_spec
from tuiprobe.catalog.presets import presets
from tuiprobe.catalog.signatures import add, filed, reference_of, shipped, signature_of
from tuiprobe.files import DamagedFileError


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
        "parts": [
            {
                "figures": [
                    named("kurtosis", {"reason": "inner"}, inner=True),
                    named("kurtosis", {"reason": "of a shift"}, data="r"),
                    named("kurtosis", figure),
                    named("persistence.value", {"reason": "too few images"}),
                ]
            }
        ],
    }


def named(id: str, figure: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "id": id, "figure": figure, "data": "val", "inner": False, "role": None, "about": [], **more
    }  # fmt: skip


def test_a_run_is_filed_and_replaced(tmp_path: Path) -> None:
    store = tmp_path / "deep" / "signatures.jsonl"
    assert filed(store).signatures == ()
    first = add(report(), store)
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
    second = add(report("d2"), store)
    assert filed(store).signatures == (first, second)
    again = add(report("d1", 7.1), store)
    assert filed(store).signatures == (second, again)


def test_what_the_run_measured_comes_before_what_is_published(tmp_path: Path) -> None:
    figure = {"value": 0.2, "low": 0.1, "high": 0.3, "n": 500, "method": "delta"}
    about = ["standard_and_low", "imagenet", "imagenet_r"]
    measured = [
        named("value", {"reason": "no accuracy"}, role="outcome", about=["miniature", "val", "r"]),
        named("value", figure, role="outcome", about=about),
    ]
    run = report()
    run["parts"].append({"figures": measured})
    found = signature_of(run)
    assert found.robustness == (0.2, 0.1, 0.3)
    assert (found.baseline, found.robustness_from) == ("standard_and_low", "run")
    del run["parts"][1]
    assert signature_of(run).robustness_from == "published"
    run["model"] = {**run["model"], "weights": {"kind": "checkpoint", "digest": "d"}}
    assert signature_of(run).robustness is None


def test_signatures_filed_before_they_carried_robustness_still_load(tmp_path: Path) -> None:
    store = tmp_path / "s.jsonl"
    add(report(), store)
    row = json.loads(store.read_text())
    for name in ("spec", "robustness", "baseline", "robustness_from"):
        del row[name]
    store.write_text(json.dumps(row) + "\n")
    assert filed(store).signatures[0].robustness is None


def test_a_report_without_the_final_representation_is_refused() -> None:
    with pytest.raises(ValueError, match="no figures of the final representation"):
        signature_of({**report(), "parts": []})


ABSURD = [
    "{}",
    "[]",
    "3",
    "[" * 100_000,
    '{"model": 3}',
    {"n": -1},
    {"n": 1e3},
    {"width": 10**40},
    {"width": None},
    {"kurtosis": [1e308, None, None]},
    {"kurtosis": [1.0, 2.0, 1.0]},
    {"kurtosis": [1.0, None, 1.0]},
    {"kurtosis": 3},
    {"persistence": ["1", "2", "3"]},
    {"model": ["a"]},
    {"weights": "made up"},
    {"data": "x" * 10**5},
    {"more": 1},
]


@pytest.mark.parametrize("line", ABSURD, ids=lambda line: str(line)[:24])
def test_an_absurd_line_costs_that_line_alone(
    line: str | dict[str, object], tmp_path: Path
) -> None:
    store = tmp_path / "s.jsonl"
    first = add(report(), store)
    good = json.loads(store.read_text())
    bad = line if isinstance(line, str) else json.dumps({**good, "digest": "x", **line})
    store.write_text(f"{bad}\n{store.read_text()}")
    found = filed(store)
    assert found.signatures == (first,)
    assert len(found.damaged) == 1
    assert found.damaged[0].startswith(f"line 1 of {store}")
    second = add(report("d2"), store)
    assert filed(store).signatures == (first, second)
    assert store.read_text().startswith(bad)  # never deleted unasked


def test_a_pipe_in_place_of_the_signatures_is_told(tmp_path: Path) -> None:
    store = tmp_path / "s.jsonl"
    os.mkfifo(store)
    assert "named pipe" in filed(store).damaged[0]
    with pytest.raises(DamagedFileError, match="named pipe"):
        add(report(), store)


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
