"""The doctor on the shipped miniature: its known answer, and breaks on purpose."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from PIL import Image

from tests.conftest import Program
from tuiprobe import miniature
from tuiprobe.errors import UsageError
from tuiprobe.models.checks import trial
from tuiprobe.models.checks.doctor import check_installation, examine
from tuiprobe.models.checks.known_answer import published_accuracy
from tuiprobe.models.load import load_encoder
from tuiprobe.results.subject import TYPES


def test_the_installation_is_sound_and_data_need_a_model() -> None:
    assert {check.status for check in check_installation()} == {"pass"}
    with pytest.raises(UsageError, match="--data needs --model"):
        examine(data="miniature:val")


@pytest.mark.slow
def test_mini_clip_gives_its_known_answer() -> None:
    examination = examine("mini_clip", data="miniature:val")
    checks = {check.name: check for check in examination.checks}
    assert checks["known answer"].status == "pass", checks["known answer"]
    assert {check.status for check in checks.values()} == {"pass"}
    assert examination.encoder["width"] == 128
    assert examination.encoder["training"] == "zero-shot"
    assert examination.encoder["text"]["templates"] == 8
    assert examination.encoder["head"] is None
    assert "layer1" in {tap["name"] for tap in examination.encoder["taps"]}


def test_folders_without_a_row_of_the_head_are_listed(tmp_path: Path) -> None:
    for folder in ("bsu", "car", "cat"):
        (tmp_path / folder).mkdir()
        Image.fromarray(miniature.render("val", 0)).save(tmp_path / folder / "0.png")
    checks = {c.name: c for c in examine("mini_supervised", data=str(tmp_path)).checks}
    assert checks["class names"].detail == "no accuracy: 'bsu' is not a class of the head"
    (tmp_path / "bsu").rename(tmp_path / "bus")
    checks = {c.name: c for c in examine("mini_supervised", data=str(tmp_path)).checks}
    assert "class names" not in checks


def test_names_that_contradict_those_beside_the_weights_are_refused(tmp_path: Path) -> None:
    for folder in ("bus", "car"):
        (tmp_path / folder).mkdir()
        Image.fromarray(miniature.render("val", 0)).save(tmp_path / folder / "0.png")
    state = timm.create_model("test_resnet", num_classes=2).state_dict()
    torch.save({"model": state, "classes": ["car", "bus"]}, tmp_path / "w.pt")
    options: dict[str, Any] = {"data": str(tmp_path), "checkpoint": tmp_path / "w.pt"}
    assert examine("timm:test_resnet", classes="car,bus", **options).checks
    with pytest.raises(UsageError, match=r"'bus', and classes of .* says 'car'"):
        examine("timm:test_resnet", classes="bus,car", **options)


def test_a_model_whose_own_code_fails_is_a_failed_check_and_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: Program
) -> None:
    (tmp_path / "broken_model.py").write_text(
        "from tests.measure.engine.colors import build as colors\n"
        "def build():\n"
        "    one = colors()\n"
        "    def fail(images): raise KeyError('inside')\n"
        "    one._forward = fail\n"
        "    return one\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    output = program("doctor", "--model", "py:broken_model:build", "--json", code=5).json
    trial = next(check for check in output["checks"] if check["name"] == "trial batch")
    assert (trial["status"], trial["detail"]) == ("fail", "KeyError: 'inside'")
    assert output["encoder"] is None


def test_a_faster_type_is_a_check_and_part_of_the_description(monkeypatch):
    monkeypatch.setattr(trial, "_FEW_PARAMETERS", 0)
    monkeypatch.setattr(trial, "_FASTER", 0)
    examination = examine("mini_supervised", try_bfloat16=True)
    details = [check.detail for check in examination.checks if check.name == TYPES]
    assert [examination.encoder["types"]] == details
    assert details[0].endswith("times as fast here: --dtype bfloat16")
    assert examine("mini_supervised").encoder.get("types") is None


def test_the_text_shows_what_the_json_holds(program: Program) -> None:
    output = program("doctor", "--model", "mini_supervised", "--device", "cpu").out
    for part in (
        "trial batch    8 images in", "training        supervised", "width           128",
        "preprocessing   ", "head            classes ", "cost            device cpu", "embedding ",
    ):  # fmt: skip
        assert part in output


def test_only_published_weights_have_a_published_answer() -> None:
    encoder = load_encoder("mini_clip")
    encoder.name = "rn50_openai"
    encoder.preprocessing = encoder.preprocessing.model_copy(update={"size": (224, 224)})
    assert published_accuracy(encoder) == pytest.approx(0.598, abs=0.01)
    encoder.weights = encoder.weights.model_copy(update={"kind": "checkpoint"})
    assert published_accuracy(encoder) is None
