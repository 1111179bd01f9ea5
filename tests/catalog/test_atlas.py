"""The atlas as data: filters, order, JSON."""

import json

import pytest

from tuiprobe.catalog.atlas import as_json, entries, for_spec


def test_the_whole_atlas_is_strict_json() -> None:
    found = entries()
    assert len(found) == 121 + 1557 + 335
    data = json.loads(json.dumps(as_json(found), allow_nan=False))
    assert data["axis"] == "accuracy on all 50,000 validation images"
    assert data["baselines"]["standard"]["n"] == 80
    rows = {row["spec"]: row for row in data["rows"] if row["spec"]}
    openai = rows["open_clip:ViT-B-16-quickgelu/openai"]["effective_robustness"]
    assert openai["standard"]["value"] == pytest.approx(0.33, abs=0.01)
    assert openai["standard"]["above_baseline"] is True
    cc12m = rows["open_clip:RN50-quickgelu/cc12m"]["effective_robustness"]
    assert cc12m["standard_and_low"]["value"] == pytest.approx(0.15, abs=0.01)
    assert cc12m["standard"]["extrapolated"] is True
    assert cc12m["standard_and_low"]["extrapolated"] is False


def test_best_first_and_unknown_last() -> None:
    values = [entry.robustness["standard"] for entry in entries(["vit"], table="open_clip")]
    known = [er.value for er in values if er is not None]
    assert known == sorted(known, reverse=True)
    timm = [entry.robustness["standard"] for entry in entries(table="timm")]
    assert set(timm) == {None}  # no ObjectNet there


def test_words_filter_and_targets_change_the_figure() -> None:
    found = entries(["RN50-QuickGELU", "cc12m"], table="open_clip")
    assert [(e.row.model, e.row.tag) for e in found] == [("RN50-quickgelu", "cc12m")]
    one = entries(["RN50-quickgelu", "cc12m"], target=("imagenet_a",), baselines=["standard"])
    assert one[0].robustness["standard"] != found[0].robustness["standard"]
    assert entries(["nothing of that name"]) == []


def test_by_spec() -> None:
    entry = for_spec("open_clip:ViT-B-16-quickgelu/openai")
    assert entry is not None
    assert entry.robustness["standard"] is not None
    assert for_spec("open_clip:ViT-M-16/none") is None
