"""The training loop on a few small batches: it learns, and it goes on where it stopped."""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tools.train import evaluation, loop
from tools.train.recipes import RECIPES

CLIP = dataclasses.replace(
    RECIPES["mini_clip"], name="tiny", images=64, steps=4, batch=16, warmup=2
)
LABELS = dataclasses.replace(CLIP, data="train", scale=0.0)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY", 2)


def _saved_and_stopped(save: Callable[..., None], *state: Any) -> None:
    save(*state)
    raise KeyboardInterrupt


@pytest.mark.slow
def test_an_interrupted_training_ends_with_the_same_weights(tmp_path: Path) -> None:
    recipe = CLIP
    whole = loop.train(recipe, 0, tmp_path / "a").state_dict()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "_save", partial(_saved_and_stopped, loop._save))
        with pytest.raises(KeyboardInterrupt):
            loop.train(recipe, 0, tmp_path / "b")
    resumed = loop.train(recipe, 0, tmp_path / "b").state_dict()
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name
    other = loop.train(recipe, 1, tmp_path / "a").state_dict()
    assert not torch.equal(whole["visual.conv1.weight"], other["visual.conv1.weight"])


def test_finetuning_starts_from_the_zero_shot_head(tmp_path: Path) -> None:
    clip = loop.new_model(CLIP).eval()
    model = loop.new_model(LABELS, clip).eval()
    weight, bias = evaluation.head(clip)
    assert bias is None
    torch.testing.assert_close(model.head.weight.detach(), weight)
    images = torch.zeros(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(model.encode_image(images), clip.encode_image(images))


def test_every_epoch_shows_every_image_once() -> None:
    seen = np.concatenate(list(loop.batches(CLIP, 3, 0)))
    assert sorted(seen) == list(range(64))
    late = list(loop.batches(CLIP, 3, 2))
    assert (late[0] == list(loop.batches(CLIP, 3, 0))[2]).all()
