import hashlib

import pytest
import torch

from tools.train.evaluation import to_input
from tuiprobe.errors import UsageError, WeightsError
from tuiprobe.miniature import build, weights, world


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


@pytest.fixture(scope="module")
def images() -> tuple[torch.Tensor, torch.Tensor]:
    """A tenth of `val`: pixels and labels."""
    numbers = range(0, world.size("val"), 10)
    pixels = torch.stack([torch.from_numpy(world.render("val", i)) for i in numbers])
    return pixels, torch.tensor([world.label("val", i) for i in numbers])


@pytest.mark.slow
@pytest.mark.parametrize("name", weights.MODEL_NAMES)
def test_models_do_what_their_cards_say(name, images):
    """Accuracy lies within five standard errors of the card's."""
    model, tokenizer, about = build(name)
    pixels, labels = images
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
    stated = about["card"]["accuracy"]["val"]
    p = stated["hits"] / stated["n"]
    accuracy = float((logits.argmax(1) == labels).float().mean())
    assert abs(accuracy - p) < 5 * (p * (1 - p) / len(labels)) ** 0.5 + 1e-9


def test_untrained_weights_are_the_same_every_time_and_leave_the_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, _, _ = build("mini_clip", weights="untrained")
    assert torch.equal(torch.rand(1), expected)
    second, _, _ = build("mini_clip", weights="untrained")
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"sha256": "0"}, "damaged.*Reinstall"), ({"vocabulary_sha256": "0"}, "vocabulary")],
)
def test_a_file_that_its_card_does_not_describe_is_refused(change, message, monkeypatch):
    card = weights.card("mini_clip") | change
    monkeypatch.setattr(weights, "card", lambda name: card)
    with pytest.raises(WeightsError, match=message):
        build("mini_clip")
    with pytest.raises(UsageError, match="no model 'maxi_clip'"):
        build("maxi_clip")
