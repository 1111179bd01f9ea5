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
from tuiprobe.catalog.class_names import imagenet_wnids
from tuiprobe.datasets.sample import Content, Sample, Stamp
from tuiprobe.models.checks.data_checks import check_labels
from tuiprobe.models.checks.encoder_checks import check_encoder
from tuiprobe.models.checks.known_answer import ClassifierSetup, activation, known_answer, sample_of
from tuiprobe.models.checks.text_checks import check_text
from tuiprobe.models.checks.trial import check_trial, made_images
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.load import load_encoder
from tuiprobe.results.subject import Check

TEMPLATES = ("a photo of a {}.", "a sketch of a {}.")
WNIDS = list(imagenet_wnids())


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

    def read(self, sample: Sample) -> Content:
        rng = np.random.default_rng(sample.id)
        coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((80, 70), Image.Resampling.BICUBIC)
        return Content(image, Stamp(None, "noise"))


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
        images = torch.stack([encoder.preprocess(photos.read(s).image()) for s in photos.samples])
        state["visual.attnpool.c_proj.bias"] -= encoder.encode(images).mean(0)
    save_file(state, path)
    return path


@pytest.fixture
def clip(weights: Path) -> Encoder:
    return load_encoder("mini_clip", checkpoint=weights)


def unsound(encoder: Encoder) -> dict[str, Check]:
    """Returns the checks that do not pass, by name."""
    checks = [*check_encoder(encoder), *check_text(encoder, ("cat", "traffic light"), TEMPLATES)]
    checks += check_trial(encoder, made_images(encoder))
    return {c.name: c for c in checks if c.status not in ("pass", "skip")}


@pytest.mark.slow
def test_each_break_fails_its_own_check_and_no_other(clip: Encoder) -> None:
    assert unsound(clip) == {}
    sound = clip.preprocess
    clip.preprocess = image_transform(64, is_train=False, mean=(0.5,) * 3, std=(0.5,) * 3)
    assert "0.5/0.5/0.5; they need" in unsound(clip).pop("normalisation").detail
    clip.preprocess = image_transform(96, is_train=False, mean=(0.5,) * 3, std=(0.27,) * 3)
    assert unsound(clip).keys() == {"input size"}
    clip.preprocess = sound

    before = [type(m) for m in clip.module.modules()]
    with activation(clip.module, "quickgelu"):
        (check,) = unsound(clip).values()
        assert (check.name, check.status) == ("activation", "fail")
        assert check.detail == "built with quickgelu, trained with gelu"
        assert any(isinstance(m, QuickGELU) for m in clip.module.modules())
        assert not any(isinstance(m, nn.GELU) for m in clip.module.modules())
    assert [type(m) for m in clip.module.modules()] == before

    clip.module.train()
    assert unsound(clip)["eval mode"].status == "fail"
    clip.module.eval()
    next(clip.module.parameters()).requires_grad_(True)
    assert unsound(clip)["eval mode"].status == "fail"
    next(clip.module.parameters()).requires_grad_(False)

    assert clip.text is not None
    text = clip.text
    clip.text = replace(text, tokenize=lambda p: torch.zeros(len(p), 16, dtype=torch.long))
    assert unsound(clip)["tokenizer"].detail == "two prompts become the same tokens"
    clip.text = replace(text, context_length=77)
    assert unsound(clip)["tokenizer"].status == "fail"
    end = text.lengths
    clip.text = replace(text, lengths=lambda tokens: end(tokens) - 1)
    assert unsound(clip)["short prompts"].status == "fail"
    clip.text = text

    next(clip.module.parameters()).data[0] = float("nan")
    assert unsound(clip)["weights"].status == "fail"


def test_matrices_of_zeros_are_a_warning_and_one_of_them_is_not(clip: Encoder) -> None:
    matrices = [p for p in clip.tower.parameters() if p.ndim >= 2]
    vectors = [p for p in clip.tower.parameters() if p.ndim == 1]
    for zero in (*vectors[:4], matrices[-1]):  # as layers that start at zero
        zero.data.zero_()
    assert "zero weights" not in unsound(clip)
    for zero in matrices[: len(matrices) // 2]:  # as a download that stopped halfway
        zero.data.zero_()
    check = unsound(clip)["zero weights"]
    assert check.status == "warn"
    count = len(matrices) // 2 + 1
    assert check.detail.startswith(f"{count} of {len(matrices)} matrices of the vision tower")


def test_what_nothing_vouches_for_is_a_warning(clip: Encoder) -> None:
    clip.name, clip.loader, clip.architecture = "open_clip:RN50", "open_clip", "RN50"
    clip.preprocessing = clip.preprocessing.model_copy(update={"assumed": True})
    clip.move("cpu", torch.bfloat16)
    checks = unsound(clip)
    assert {n: checks[n].status for n in ("preprocessing", "activation", "dtype")} == {
        "preprocessing": "warn", "activation": "warn", "dtype": "warn",
    }  # fmt: skip
    clip.name, clip.tag = "open_clip:RN50-quickgelu/openai@gelu", "openai"
    insisted = "built with gelu as you insist, trained with quickgelu"
    assert unsound(clip)["activation"].detail == insisted


@pytest.fixture(scope="module")
def case(weights: Path) -> tuple[Encoder, Any, ClassifierSetup]:
    """Returns an encoder, images, and the setup under which its accuracy is 1 by construction."""
    clip, classes = load_encoder("mini_clip", checkpoint=weights), miniature.class_names()
    right = ClassifierSetup(clip.preprocess, "gelu", tuple(range(40)), classes, TEMPLATES)
    photos = Photos((0,) * 120, classes)
    head = clip.head(classes, TEMPLATES)
    with torch.inference_mode():
        images = torch.stack([clip.preprocess(photos.read(s).image()) for s in photos.samples])
        photos.labels = tuple(head.logits(clip.encode(images)).argmax(1).tolist())
    assert len(set(photos.labels)) > 5, "answers must differ to be worth checking"
    return clip, photos, right


def shuffled(values: Sequence[object]) -> tuple[object, ...]:
    return (*values[1:], values[0])


def broken(right: ClassifierSetup, *parts: str) -> ClassifierSetup:
    wrong = {
        "preprocess": image_transform(64, is_train=False, mean=(0.0,) * 3, std=(1.0,) * 3),
        "activation": "quickgelu",
        "labels": shuffled(right.labels),
        "classes": shuffled(right.classes),
        "templates": ("red {}", "the {} of wood on grass"),
    }
    return replace(right, **{part: wrong[part] for part in parts})


@pytest.mark.parametrize(
    ("parts", "causes"),
    [
        ((), ()),
        (("preprocess",), ("normalisation and resizing",)),
        (("activation",), ("activation function",)),
        (("labels",), ("label map",)),
        (("classes",), ("class order",)),
        (("templates",), ("prompt templates",)),
        (("labels", "preprocess"), ("normalisation and resizing", "label map")),
    ],
)
def test_breaks_are_named_alone_or_only_together(parts, causes, case):
    encoder, photos, right = case
    answer = known_answer(encoder, photos, sample_of(photos), 1.0, broken(right, *parts), right)
    assert answer.causes == causes
    assert answer.agrees == (not parts)
    assert answer.check().status == ("fail" if parts else "pass")
    if causes:
        assert answer.check().fix == f"restoring the {' and the '.join(causes)} restores it"
    else:
        assert answer.hits == answer.n == 120


def test_no_cause_is_named_that_does_not_restore_the_answer(case):
    """The weights are not the published ones: the part that differs does not explain it."""
    encoder, photos, right = case
    used = broken(right, "templates")
    answer = known_answer(encoder, photos, sample_of(photos), 0.5, right, used)
    assert not answer.agrees
    assert answer.causes == ()
    assert "none of the parts" in answer.check().fix


@pytest.mark.parametrize(
    ("classes", "images", "checks"),
    [
        (WNIDS, 50_000,
         [("label map", "pass", "WordNet ids"),
          ("image count", "pass", "as ImageNet validation has")]),
        (WNIDS[100:300], 30_000,
         [("label map", "pass", ""), ("class mask", "pass", ""),
          ("image count", "pass", "as ImageNet-R has")]),
        (sorted(str(i) for i in range(1000)), 9_999,
         [("label map", "pass", "string order (1, 10, 100, 2), mapped by value"),
          ("image count", "warn", "")]),
        (["0", "1", "2"], 30, [("label map", "warn", "names unknown")]),
        (["cat", "dog"], 30, [("label map", "pass", "by their names")]),
        ([], 30, [("label map", "skip", "")]),
    ],
)  # fmt: skip
def test_label_maps(classes: list[str], images: int, checks: list[tuple[str, str, str]]) -> None:
    for check, (name, status, part) in zip(check_labels(classes, images), checks, strict=True):
        assert (check.name, check.status) == (name, status)
        assert part in check.detail


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
