"""What `tuiprobe models --published` prints."""

from __future__ import annotations

import json

import pytest

from tuiprobe.cli.app import run_cli
from tuiprobe.options import REMOVED


def test_both_baselines_and_the_forecast_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["models", "--published", "vit-b-16", "openai"]) == 0
    head, row, *notes = capsys.readouterr().out.splitlines()
    assert head.split()[-5:] == ["ER", "standard", "ER", "zero_shot", "forecast"]
    assert row.startswith("open_clip:ViT-B-16-quickgelu/openai")
    assert "+33.4 (+30.2 to +36.4)" in row
    assert "\N{MINUS SIGN}2 (\N{MINUS SIGN}13 to +11)" in row
    assert row.endswith("60 (47 to 72)")
    assert (
        "  zero-shot: families left out, it was off by 4.1 points on average over 12 families, "
        "12.2 for nllb" in notes
    )
    assert any(line.startswith("zero_shot: n 110") for line in notes)


def test_json_has_every_baseline_and_the_options_for_others_are_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_cli(["models", "--published", "vit-b-16", "openai", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert set(data["baselines"]) == {
        "standard", "standard_and_low", "timm_imagenet1k", "zero_shot"
    }  # fmt: skip
    for option in ("--baseline", "--target"):
        assert run_cli(["models", "--published", option, "standard"]) == 2
        assert REMOVED[f"models {option}"] in capsys.readouterr().err
        assert run_cli(["runs", option, "standard"]) == 2  # it never had one
        assert "no longer" not in capsys.readouterr().err
