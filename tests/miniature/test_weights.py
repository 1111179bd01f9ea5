import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tools.train.command import save
from tools.train.evaluation import to_input
from tuiprobe.errors import UsageError, WeightsError
from tuiprobe.miniature import build, weights, world
from tuiprobe.miniature.networks import Classifier


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "weights"
    shutil.copytree(weights.FOLDER, folder)
    monkeypatch.setattr(weights, "FOLDER", folder)
    monkeypatch.setattr(weights.card, "__defaults__", (folder,))
    monkeypatch.setattr(weights.load_state, "__defaults__", (folder,))
    return folder


@pytest.mark.parametrize("name", weights.MODEL_NAMES)
def test_cards_describe_their_files(name: str) -> None:
    card = weights.card(name)
    data = (weights.FOLDER / f"{name}.safetensors").read_bytes()
    assert hashlib.sha256(data).hexdigest() == card["sha256"]
    assert card["name"] == card["recipe"]["name"] == name
    for entry in card["accuracy"].values():
        assert entry["low"] < entry["hits"] / entry["n"] < entry["high"]
    assert set(card["accuracy"]) == {"val", *world.SHIFTS}
    assert card["outliers"]["kurtosis_low"] < card["outliers"]["kurtosis"]


def test_all_files_together_stay_small() -> None:
    assert sum(path.stat().st_size for path in weights.FOLDER.iterdir()) < 16_000_000


@pytest.mark.slow
@pytest.mark.parametrize("name", weights.MODEL_NAMES)
def test_models_do_what_their_cards_say(name: str) -> None:
    """Accuracy on a fifth of `val` lies within five standard errors of the card's."""
    model, tokenizer, about = build(name)
    numbers = range(0, world.size("val"), 5)
    pixels = torch.stack([torch.from_numpy(world.render("val", i)) for i in numbers])
    labels = torch.tensor([world.label("val", i) for i in numbers])
    with torch.inference_mode():
        h = model.encode_image(to_input(pixels))
        if tokenizer is None:
            logits = model.head(h)
        else:
            rows = []
            for c in about["classes"]:
                prompts = tokenizer([t.format(c) for t in about["templates"]])
                rows.append(model.encode_text(prompts, normalize=True).mean(0))
            head = torch.nn.functional.normalize(torch.stack(rows), dim=1)
            logits = h @ head.T
    assert h.shape == (len(labels), about["width"])
    wanted = about["card"]["accuracy"]["val"]
    p = wanted["hits"] / wanted["n"]
    found = float((logits.argmax(1) == labels).float().mean())
    assert abs(found - p) < 5 * (p * (1 - p) / len(labels)) ** 0.5 + 1e-9


def test_a_damaged_file_is_refused(copied: Path) -> None:
    path = copied / "mini_clip.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=r"damaged.*Reinstall"):
        build("mini_clip")


def test_a_missing_file_or_card_is_refused(copied: Path) -> None:
    (copied / "mini_clip.safetensors").unlink()
    with pytest.raises(WeightsError, match="Cannot read the weights"):
        build("mini_clip")
    (copied / "mini_clip.json").unlink()
    with pytest.raises(WeightsError, match="Cannot read the model card"):
        build("mini_clip")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"sha256": 3}'])
def test_a_broken_card_is_refused(copied: Path, text: str) -> None:
    (copied / "mini_clip.json").write_text(text)
    with pytest.raises(WeightsError, match="card"):
        build("mini_clip")


def test_weights_of_another_vocabulary_are_refused(copied: Path) -> None:
    path = copied / "mini_clip.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"vocabulary_sha256": "0"}))
    with pytest.raises(WeightsError, match="vocabulary"):
        build("mini_clip")


def test_a_checkpoint_of_another_architecture_is_refused() -> None:
    with pytest.raises(WeightsError, match="do not fit"):
        build("mini_supervised", checkpoint=weights.FOLDER / "mini_clip.safetensors")


@pytest.mark.parametrize("content", [None, b"", b"not a weight file"])
def test_a_checkpoint_that_cannot_be_read_is_refused(tmp_path: Path, content) -> None:
    path = tmp_path / "mine.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"mine\.safetensors"):
        build("mini_clip", checkpoint=path)


def test_a_checkpoint_file_is_used(tmp_path: Path) -> None:
    model = Classifier(40)
    save(model, "mine", {}, tmp_path)
    found, _, about = build("mini_supervised", checkpoint=tmp_path / "mine.safetensors")
    assert about["weights"] == "file"
    torch.testing.assert_close(found.head.bias, model.head.bias, atol=1e-3, rtol=1e-3)


def test_untrained_weights_are_the_same_every_time_and_leave_the_generator_alone() -> None:
    torch.manual_seed(5)
    wanted = torch.rand(1)
    torch.manual_seed(5)
    first, _, about = build("mini_clip", weights="untrained")
    assert torch.equal(torch.rand(1), wanted)
    second, _, _ = build("mini_clip", weights="untrained")
    assert about["weights"] == "untrained"
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_unknown_models_are_refused() -> None:
    with pytest.raises(UsageError, match="no model 'maxi_clip'"):
        build("maxi_clip")
    with pytest.raises(UsageError, match="no model 'maxi_clip'"):
        build("maxi_clip", weights="untrained")


def test_importing_and_rendering_load_no_torch() -> None:
    script = (
        "import sys; from tuiprobe import miniature as m; m.render('val', 0); m.suite();"
        "m.masks(0); m.caption('web', 0); print('torch' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "False"
