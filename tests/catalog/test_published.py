"""Published rows as data: filters, order, JSON."""

import json

import pytest

from tuiprobe.catalog.published import as_json, entries


def test_best_first_and_unknown_last() -> None:
    values = [entry.robustness["standard"] for entry in entries(["vit", "open_clip"])]
    known = [er.value for er in values if er is not None]
    assert known == sorted(known, reverse=True)
    timm = [entry.robustness["standard"] for entry in entries(["timm"])]
    assert set(timm) == {None}  # no ObjectNet there


def test_all_rows_are_strict_json_and_those_without_peers_have_no_forecast() -> None:
    rows = entries()
    assert len(rows) == 121 + 1557 + 335
    data = json.loads(json.dumps(as_json(rows), allow_nan=False))
    assert data["axis"] == "accuracy on all 50,000 validation images"
    assert (data["baselines"]["standard"]["n"], data["baselines"]["zero_shot"]["n"]) == (80, 110)
    assert data["forecasts"]["supervised"]["models"] == 80
    (openai,) = [r for r in data["rows"] if r["spec"] == "open_clip:ViT-B-16-quickgelu/openai"]
    both = openai["effective_robustness"]
    assert both["standard"]["value"] == pytest.approx(0.334, abs=1e-3)
    assert both["standard"]["above_baseline"] is True
    assert both["zero_shot"]["value"] == pytest.approx(-0.016, abs=1e-3)
    assert both["zero_shot"]["without_family"] == "openai"
    assert openai["forecast"]["value"] == pytest.approx(0.603, abs=1e-3)
    assert openai["forecast"]["prediction_95"] == pytest.approx([0.474, 0.719], abs=1e-3)
    by_name = {(entry.row.table, entry.row.model): entry for entry in rows}
    assert by_name["testbed", "resnet50_swsl"].forecast is None  # trained on more data
    assert by_name["testbed", "resnet50"].forecast is not None
    assert by_name["open_clip", "ViT-H-14-378-quickgelu"].forecast is None  # nobody is as accurate
