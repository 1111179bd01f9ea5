"""What the oracle lets pass, and what not, on a small report of made-up figures."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tools.compared import RunDifference, compare, leaves_of

KURTOSIS = "figures/outliers/kurtosis|val|embedding"


def report() -> dict[str, Any]:
    """Returns a report with a figure, a fact, a set, a table, a chart and prose."""
    estimate = {"value": 8.25, "low": 8.0, "high": 8.5, "n": 30, "method": "jackknife"}
    figure = {"id": "kurtosis", "name": "kurtosis", "data": "val", "place": "embedding"}
    table = {"kind": "table", "id": "shares", "columns": [{"id": "share", "title": ["share"]}]}
    series = {"name": "a", "x": [0.0, 1.0], "y": [2.0, 3.0], "low": [], "high": []}
    chart = {"kind": "chart", "id": "heights", "title": "heights", "series": [series]}
    prose = {"kind": "prose", "text": ["a text"]}
    content = [prose, table | {"rows": [[0.25], ["a text"]]}, chart]
    part = {
        "probe": "outliers", "title": "Outlier features", "block": "inside", "not_run": None,
        "remedy": "", "result": {"taps": [{"tap": "embedding", "channels": [12, 54]}]},
        "section": {"headline": ["a text"], "content": content},
        "figures": [figure | {"figure": estimate, "headline": 1}],
        "facts": [{"id": "outcome", "name": "outcome", "value": "withheld"}],
        "sets": [figure | {"id": "channels", "members": ["12"], "universe": 128}],
    }  # fmt: skip
    data = [{"name": "val", "source": "imagefolder:val", "measured": 30}]
    return {"partial": False, "model": {"name": "toy"}, "data": data, "parts": [part]}


def run(folder: Path, content: dict[str, Any], features: np.ndarray | None = None) -> Path:
    """Writes a run directory with the report and two files of arrays."""
    (folder / "features/val").mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps(content), "utf-8")
    rows = np.arange(6, dtype=np.float32).reshape(2, 3) if features is None else features
    save_file({"features": rows}, folder / "features/val/images.safetensors")
    save_file({"val/kurtosis": np.array([8.25])}, folder / "per_image.safetensors")
    return folder


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return run(tmp_path / "base", report())


def compared(
    base: Path, content: dict[str, Any], features: np.ndarray | None = None
) -> RunDifference:
    now = run(base.parent / "now", content, features)
    return compare(leaves_of(base), leaves_of(now))


def test_texts_places_of_data_and_what_is_new_may_differ(base: Path, tmp_path: Path) -> None:
    content = report()
    part = content["parts"][0]
    part["title"] = part["section"]["headline"] = "another text"
    part["section"]["content"][1]["rows"][1] = ["another text"]
    part["figures"][0]["figure"] = part["figures"][0]["figure"] | {"method": "by images"}
    content["data"][0]["source"] = "imagefolder:elsewhere"
    part["facts"].append({"id": "light", "name": "light", "value": "green"})
    outcome = compared(base, content)
    assert (outcome.new, outcome.failed) == (["facts/outliers/light"], False)
    assert outcome.equal == len(leaves_of(base))
    part["figures"] *= 2
    with pytest.raises(ValueError, match="two values are called"):
        leaves_of(run(tmp_path / "twice", content))


def test_one_changed_bit_of_a_measured_array_fails(base: Path) -> None:
    features = np.arange(6, dtype=np.float32).reshape(2, 3)
    features[1, 1] = np.nextafter(features[1, 1], np.float32(9))
    outcome = compared(base, report(), features=features)
    assert outcome.differing == [
        "arrays/features/val/images.safetensors/features: 1 of 6 values differ"
    ]


@pytest.mark.parametrize(("factor", "fails"), [(1 + 5e-13, False), (1 + 5e-12, True)])
def test_a_figure_may_move_by_rounding_alone(factor: float, fails: bool, base: Path) -> None:
    content = report()
    content["parts"][0]["figures"][0]["figure"] |= {"value": 8.25 * factor}
    outcome = compared(base, content)
    assert outcome.failed is fails
    assert [path.partition(":")[0] for path in outcome.differing] == [
        f"{KURTOSIS}/figure/value"
    ] * fails


@pytest.mark.parametrize(
    ("path", "change"),
    [
        (f"{KURTOSIS}/figure/n", lambda part: part["figures"][0]["figure"].update(n=31)),
        ("facts/outliers/outcome", lambda part: part["facts"][0].update(value="none")),
        ("sets/outliers/channels|val|embedding/members/0",
         lambda part: part["sets"][0].update(members=["54"])),
        ("parts/outliers/result/taps/0/channels/1",
         lambda part: part["result"]["taps"][0].update(channels=[12, 55])),
        ("tables/outliers/shares/share/0",
         lambda part: part["section"]["content"][1].update(rows=[[0.3], ["a text"]])),
        ("charts/outliers/heights/series/0/y/1",
         lambda part: part["section"]["content"][2]["series"][0].update(y=[2.0, 4.0])),
    ],
)  # fmt: skip
def test_every_kind_of_value_is_compared(path: str, change: Any, base: Path) -> None:
    content = report()
    change(content["parts"][0])
    assert [path.partition(": ")[0] for path in compared(base, content).differing] == [path]


def test_answers_about_a_run_are_compared_too(base: Path, tmp_path: Path) -> None:
    now = run(tmp_path / "now", report())
    for folder, accuracy in ((base, 0.5), (now, 0.25)):
        answer = json.dumps({"sets": [{"name": "val", "after": {"top1": accuracy}}]})
        folder.with_name(f"{folder.name}-1.json").write_text(answer, "utf-8")
    outcome = compare(leaves_of(base), leaves_of(now))
    assert outcome.differing == ["answers/1/sets/0/after/top1: 0.5 was, 0.25 is"]


def test_what_is_missing_fails(base: Path) -> None:
    content = report()
    del content["parts"][0]["figures"][0], content["parts"][0]["section"]["content"][2]
    outcome = compared(base, content)
    assert {path.split("/")[0] for path in outcome.missing} == {"figures", "charts"}
    assert outcome.failed
    content["parts"] = []
    now = leaves_of(run(base.parent / "none", content))
    assert "probes/outliers" in compare(leaves_of(base), now).missing
