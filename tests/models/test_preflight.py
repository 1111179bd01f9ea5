"""Preflight on small models broken on purpose: each cause is found, and only a true cause named."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from open_clip.transform import image_transform
from open_clip.transformer import QuickGELU
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from tuiprobe import miniature
from tuiprobe.datasets.base import Sample
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.load import load_encoder
from tuiprobe.models.preflight import Check, check_encoder
from tuiprobe.models.preflight_data import (
    ClassifierSetup,
    activation,
    check_labels,
    known_answer,
    sample_of,
)

TEMPLATES = ("a photo of a {}.", "a sketch of a {}.")


@dataclass
class Photos:
    """Images of noise and gradients, labelled by what the reference answers."""

    labels: tuple[int, ...]
    classes: tuple[str, ...]
    source: str = "photos"
    notes: tuple[str, ...] = ()

    @property
    def samples(self) -> Sequence[Sample]:
        return [Sample(i, f"{i}.png", label) for i, label in enumerate(self.labels)]

    def open(self, sample: Sample) -> Image.Image:
        rng = np.random.default_rng(sample.id)
        coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        return Image.fromarray(coarse).resize((80, 70), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a checkpoint of the miniature CLIP with spread-out random weights.

    Its image embeddings are centred, so that different images get different answers.
    """
    torch.manual_seed(0)
    module, _, _ = miniature.build("mini_clip", weights="untrained")
    state = {
        name: torch.randn_like(tensor) / max(tensor[0].numel(), 1) ** 0.5
        if tensor.ndim > 1
        else tensor
        for name, tensor in module.state_dict().items()
    }
    path = tmp_path_factory.mktemp("mini") / "w.safetensors"
    save_file(state, path)
    encoder = load_encoder("mini_clip", checkpoint=path)
    photos = Photos((0,) * 60, ())
    with torch.inference_mode():
        images = torch.stack([encoder.preprocess(photos.open(s)) for s in photos.samples])
        state["visual.attnpool.c_proj.bias"] -= encoder.encode(images).mean(0)
    save_file(state, path)
    return path


@pytest.fixture
def clip(weights: Path) -> Encoder:
    return load_encoder("mini_clip", checkpoint=weights)


def status(encoder: Encoder) -> dict[str, str]:
    return {check.name: check.status for check in check_encoder(encoder)}


def detail(encoder: Encoder, name: str) -> Check:
    return next(check for check in check_encoder(encoder) if check.name == name)


@pytest.mark.slow
def test_a_sound_encoder_passes(clip: Encoder) -> None:
    assert set(status(clip).values()) == {"pass"}


@pytest.mark.slow
def test_each_break_fails_its_own_check_and_no_other(clip: Encoder) -> None:
    sound = clip.preprocess
    clip.preprocess = image_transform(64, is_train=False, mean=(0.5,) * 3, std=(0.5,) * 3)
    assert {n for n, s in status(clip).items() if s != "pass"} == {"normalisation"}
    assert "0.5/0.5/0.5; they need" in detail(clip, "normalisation").detail
    clip.preprocess = image_transform(96, is_train=False, mean=(0.5,) * 3, std=(0.27,) * 3)
    assert {n for n, s in status(clip).items() if s != "pass"} == {"input size"}
    clip.preprocess = sound

    with activation(clip.module, "quickgelu"):
        assert {n for n, s in status(clip).items() if s != "pass"} == {"activation"}
        assert detail(clip, "activation").detail == "built with quickgelu, trained with gelu"

    clip.module.train()
    assert status(clip)["eval mode"] == "fail"
    clip.module.eval()
    next(clip.module.parameters()).requires_grad_(True)
    assert status(clip)["eval mode"] == "fail"
    next(clip.module.parameters()).requires_grad_(False)

    assert clip.text is not None
    text = clip.text
    clip.text = replace(text, tokenize=lambda p: torch.zeros(len(p), 16, dtype=torch.long))
    assert detail(clip, "tokenizer").detail == "two prompts become the same tokens"
    clip.text = replace(text, context_length=77)
    assert status(clip)["tokenizer"] == "fail"
    clip.text = text

    next(clip.module.parameters()).data[0] = float("nan")
    assert status(clip)["weights"] == "fail"


def test_matrices_of_zeros_are_a_warning_and_one_of_them_is_not(clip: Encoder) -> None:
    matrices = [p for p in clip.tower.parameters() if p.ndim >= 2]
    vectors = [p for p in clip.tower.parameters() if p.ndim == 1]
    for zero in (*vectors[:4], matrices[-1]):  # as layers that start at zero
        zero.data.zero_()
    assert status(clip)["weights"] == "pass"
    for zero in matrices[: len(matrices) // 2]:  # as a download that stopped halfway
        zero.data.zero_()
    found = detail(clip, "zero weights")
    assert found.status == "warn"
    count = len(matrices) // 2 + 1
    assert found.detail.startswith(f"{count} of {len(matrices)} matrices of the vision tower")


@pytest.mark.slow
def test_what_nothing_vouches_for_is_a_warning(rn50_file: Path) -> None:
    encoder = load_encoder("open_clip:RN50-quickgelu", checkpoint=rn50_file)
    found = status(encoder)
    assert found["preprocessing"] == found["activation"] == "warn"
    insisted = load_encoder("open_clip:RN50-quickgelu/openai@gelu", checkpoint=rn50_file)
    assert detail(insisted, "activation").detail == (
        "built with gelu as you insist, trained with quickgelu"
    )
    half = load_encoder("rn50_openai", checkpoint=rn50_file, dtype="bfloat16")
    assert status(half)["dtype"] == "warn"


@pytest.fixture
def case(clip: Encoder) -> tuple[Encoder, Any, ClassifierSetup]:
    """Returns an encoder, images, and the setup under which its accuracy is 1 by construction."""
    classes = miniature.class_names()
    right = ClassifierSetup(clip.preprocess, "gelu", tuple(range(40)), classes, TEMPLATES)
    photos = Photos((0,) * 120, classes)
    head = clip.head(classes, TEMPLATES)
    assert head is not None
    with torch.inference_mode():
        images = torch.stack([clip.preprocess(photos.open(s)) for s in photos.samples])
        photos.labels = tuple(head.logits(clip.encode(images)).argmax(1).tolist())
    assert len(set(photos.labels)) > 5, "answers must differ to be worth checking"
    return clip, photos, right


def shuffled(values: Sequence[object]) -> tuple[object, ...]:
    return (*values[1:], values[0])


BREAKS = {
    "normalisation and resizing": "preprocess",
    "activation function": "activation",
    "label map": "labels",
    "class order": "classes",
    "prompt templates": "templates",
}


def broken(right: ClassifierSetup, part: str) -> ClassifierSetup:
    wrong = {
        "preprocess": image_transform(64, is_train=False, mean=(0.0,) * 3, std=(1.0,) * 3),
        "activation": "quickgelu",
        "labels": shuffled(right.labels),
        "classes": shuffled(right.classes),
        "templates": ("red {}", "the {} of wood on grass"),
    }
    return replace(right, **{part: wrong[part]})


def test_the_right_setup_gives_the_known_answer(case: tuple[Encoder, Any, ClassifierSetup]) -> None:
    encoder, photos, right = case
    answer = known_answer(encoder, photos, sample_of(photos), 1.0, right, right)
    assert answer.hits == answer.n == 120
    assert answer.agrees
    assert answer.check().status == "pass"


@pytest.mark.parametrize("cause", sorted(BREAKS))
def test_a_single_break_is_named(cause: str, case: tuple[Encoder, Any, ClassifierSetup]) -> None:
    encoder, photos, right = case
    used = broken(right, BREAKS[cause])
    answer = known_answer(encoder, photos, sample_of(photos), 1.0, used, right)
    assert not answer.agrees
    assert answer.causes == (cause,)
    assert f"restoring the {cause} restores it" in answer.check().fix


def test_two_breaks_are_named_only_together(case: tuple[Encoder, Any, ClassifierSetup]) -> None:
    encoder, photos, right = case
    used = broken(broken(right, "labels"), "preprocess")
    answer = known_answer(encoder, photos, sample_of(photos), 1.0, used, right)
    assert answer.causes == ("normalisation and resizing", "label map")


def test_no_cause_is_named_that_does_not_restore_the_answer(
    case: tuple[Encoder, Any, ClassifierSetup],
) -> None:
    """The weights are not the published ones: the part that differs does not explain it."""
    encoder, photos, right = case
    used = broken(right, "templates")
    answer = known_answer(encoder, photos, sample_of(photos), 0.5, right, used)
    assert not answer.agrees
    assert answer.causes == ()
    assert "none of the parts" in answer.check().fix


def test_swapping_activations_leaves_no_trace(clip: Encoder) -> None:
    before = [type(m) for m in clip.module.modules()]
    with activation(clip.module, "quickgelu"):
        assert any(isinstance(m, QuickGELU) for m in clip.module.modules())
        assert not any(isinstance(m, nn.GELU) for m in clip.module.modules())
    assert [type(m) for m in clip.module.modules()] == before


def test_label_maps() -> None:
    from tuiprobe.catalog.labels import imagenet_wnids

    wnids = imagenet_wnids()
    found = check_labels(wnids, 50_000)
    assert [check.status for check in found] == ["pass", "pass"]
    assert "as ImageNet validation has" in found[1].detail
    found = check_labels(wnids[100:300], 30_000)
    assert [check.name for check in found] == ["label map", "class mask", "image count"]
    assert "as ImageNet-R has" in found[2].detail
    found = check_labels(sorted(str(i) for i in range(1000)), 9_999)
    assert "string order (1, 10, 100, 2), mapped by value" in found[0].detail
    assert found[1].status == "warn"
    assert check_labels(["0", "1", "2"], 30)[0].status == "warn"
    assert check_labels(["cat", "dog"], 30)[0].status == "pass"
    assert check_labels([], 30)[0].status == "skip"


@pytest.mark.parametrize("classes", [["train", "val"], ["Test", "Training", "valid"], ["test"]])
def test_the_parts_of_a_data_set_are_no_classes(classes: list[str]) -> None:
    (check,) = check_labels(classes, 30)
    assert (check.status, check.cause) == ("fail", "labels")
    assert f"called {', '.join(classes)}" in check.detail
    assert f"({classes[0]})" in check.fix
    assert check_labels([*classes, "cat"], 30)[0].status == "pass"


def test_the_sample_is_seeded_and_labelled() -> None:
    photos: Any = Photos(tuple(i % 3 for i in range(700)), ("a", "b", "c"))
    first = sample_of(photos)
    assert len(first) == len({s.id for s in first}) == 500
    assert first == sample_of(photos)
    assert first != sample_of(photos, seed=1)
