"""Heads: the zero-shot head against open_clip's own, resuming, files, the ridge probe."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from sklearn.linear_model import Ridge, RidgeCV
from torch import Tensor

from tuiprobe.errors import UsageError, WeightsError
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.head_files import read_classes, read_head, read_templates, ridge_head
from tuiprobe.models.heads import (
    CLASSES_PER_SHARD,
    Head,
    TextTower,
    fetched_head,
    keep_head,
    trained_scale,
    zero_shot_head,
)
from tuiprobe.models.load import load_encoder

CLASSES = ("cat", "fire truck", "tench")
TEMPLATES = ("a photo of a {}.", "a drawing of the {}.")


@pytest.fixture(scope="module")
def clip(rn50_file: Path) -> Encoder:
    return load_encoder("rn50_openai", checkpoint=rn50_file)


@pytest.mark.slow
def test_zero_shot_head_is_open_clips_and_an_independent_one(clip: Encoder, tmp_path: Path) -> None:
    import open_clip

    head = clip.head(CLASSES, TEMPLATES, cache=tmp_path)
    assert head is not None
    tokenizer = open_clip.get_tokenizer("RN50-quickgelu")
    theirs = open_clip.build_zero_shot_classifier(clip.module, tokenizer, CLASSES, TEMPLATES).T
    assert torch.allclose(head.weight, theirs, atol=1e-6)
    with torch.inference_mode():
        for row, name in zip(head.weight, CLASSES, strict=True):
            texts = [clip.module.encode_text(tokenizer([t.format(name)]))[0] for t in TEMPLATES]
            mean = sum(np.asarray(t, np.float64) / np.linalg.norm(t) for t in texts)
            assert np.allclose(row, mean / np.linalg.norm(mean), atol=1e-6)
    assert head.classes == CLASSES
    assert head.normalize


@pytest.mark.slow
def test_the_logit_scale_is_open_clips(clip: Encoder) -> None:
    assert clip.text is not None
    scale = float(clip.module.logit_scale.exp())
    assert clip.text.logit_scale == pytest.approx(scale, rel=1e-6)
    assert clip.text.logit_bias == 0


class Scaled(torch.nn.Module):
    def __init__(self, scale: float | None, bias: float | None) -> None:
        super().__init__()
        for name, value in (("logit_scale", scale), ("logit_bias", bias)):
            found = None if value is None else torch.nn.Parameter(torch.full((1,), value))
            self.register_parameter(name, found)


@pytest.mark.parametrize(
    ("scale", "bias", "expected"),
    [
        (np.log(112.5), -12.5, (112.5, -12.5)),  # SigLIP has a bias
        (np.log(100.0), None, (100.0, 0.0)),
        (None, None, (None, 0.0)),
        (float("nan"), None, (None, 0.0)),
        (200.0, None, (None, 0.0)),  # exp overflows float32
    ],
)
def test_the_trained_scale_is_the_exponential(
    scale: float | None, bias: float | None, expected: tuple[float | None, float]
) -> None:
    found = trained_scale(Scaled(scale, bias))
    assert found == (expected[0] and pytest.approx(expected[0], rel=1e-6), expected[1])


def test_a_head_of_prompts_has_the_scale_of_its_tower(tmp_path: Path) -> None:
    tower = replace(counting_tower()[0], logit_scale=50.0, logit_bias=-3.0)
    head = zero_shot_head(tower, CLASSES, TEMPLATES, digest="d", cache=tmp_path)
    assert (head.logit_scale, head.logit_bias) == (50.0, -3.0)


def test_a_file_with_a_logit_scale_holds_a_zero_shot_head(tmp_path: Path) -> None:
    weight = torch.eye(3, 6)
    save_file({"weight": weight}, tmp_path / "plain.safetensors")
    plain = read_head(tmp_path / "plain.safetensors", width=6)
    assert (plain.normalize, plain.logit_scale, plain.logit_bias) == (False, None, 0.0)
    scaled = {"logit_scale": torch.tensor(100.0), "logit_bias": torch.tensor([-2.0])}
    save_file({"weight": weight, **scaled}, tmp_path / "scaled.safetensors")
    found = read_head(tmp_path / "scaled.safetensors", width=6)
    assert (found.normalize, found.logit_scale, found.logit_bias) == (True, 100.0, -2.0)
    for value in (0.0, -1.0, float("nan")):
        save_file(
            {"weight": weight, "logit_scale": torch.tensor(value)}, tmp_path / "bad.safetensors"
        )
        with pytest.raises(WeightsError, match="logit_scale in"):
            read_head(tmp_path / "bad.safetensors", width=6)
    save_file({"weight": weight, "logit_scale": torch.ones(2)}, tmp_path / "two.safetensors")
    with pytest.raises(WeightsError, match="not one finite number"):
        read_head(tmp_path / "two.safetensors", width=6)


def test_own_templates_are_the_eighty_of_imagenet(clip: Encoder) -> None:
    assert clip.text is not None
    assert len(clip.text.templates) == 80
    assert clip.text.templates[0] == "a bad photo of a {}."
    assert clip.head() is None


def counting_tower() -> tuple[TextTower, list[str]]:
    """Returns a tower whose embedding of a prompt is its own, and the prompts it saw."""
    seen: list[str] = []

    def tokenize(prompts: Sequence[str]) -> Tensor:
        seen.extend(prompts)
        return torch.tensor([[sum(p.encode()) % 997, len(p)] for p in prompts])

    def encode(tokens: Tensor) -> Tensor:
        rows = [
            torch.randn(6, generator=torch.Generator().manual_seed(int(a * 100 + b)))
            for a, b in tokens
        ]
        return torch.nn.functional.normalize(torch.stack(rows), dim=1)

    return TextTower(tokenize, encode, 8, "counting", ("a {}",)), seen


class StopError(Exception):
    pass


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 2 * CLASSES_PER_SHARD + 7))
def test_an_interrupted_build_goes_on_where_it_stopped(
    tmp_path_factory: pytest.TempPathFactory, stop: int
) -> None:
    cache = tmp_path_factory.mktemp("heads")
    names = [f"class {i}" for i in range(2 * CLASSES_PER_SHARD + 7)]
    tower, _ = counting_tower()
    whole = zero_shot_head(tower, names, TEMPLATES, digest="d", cache=cache / "whole")

    def interrupt(done: int, total: int) -> None:
        assert total == len(names)
        if done == stop:
            raise StopError

    tower, seen = counting_tower()
    folder = cache / "interrupted"
    with pytest.raises(StopError):
        zero_shot_head(tower, names, TEMPLATES, digest="d", cache=folder, progress=interrupt)
    before = len(seen)
    again = zero_shot_head(tower, names, TEMPLATES, digest="d", cache=folder)
    assert torch.equal(again.weight, whole.weight)
    kept = (stop - 1) // CLASSES_PER_SHARD * CLASSES_PER_SHARD
    assert len(seen) - before == (len(names) - kept) * len(TEMPLATES)
    zero_shot_head(tower, names, TEMPLATES, digest="d", cache=folder)
    assert len(seen) - before == (len(names) - kept) * len(TEMPLATES)


def test_another_digest_name_or_template_is_another_head(tmp_path: Path) -> None:
    tower, seen = counting_tower()
    variants = [
        ("d", CLASSES, TEMPLATES),
        ("e", CLASSES, TEMPLATES),
        ("d", CLASSES[:2], TEMPLATES),
        ("d", CLASSES, TEMPLATES[:1]),
    ]
    for digest, names, templates in variants:
        before = len(seen)
        zero_shot_head(tower, names, templates, digest=digest, cache=tmp_path)
        assert len(seen) - before == len(names) * len(templates)


def test_a_head_built_with_another_number_of_threads_is_not_taken_from_the_cache(
    tmp_path: Path,
) -> None:
    encoder, before = load_encoder("mini_clip"), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        encoder.head(CLASSES, TEMPLATES, cache=tmp_path)
        assert encoder.prompts_left(CLASSES, TEMPLATES, cache=tmp_path) == 0
        torch.set_num_threads(2)
        left = encoder.prompts_left(CLASSES, TEMPLATES, cache=tmp_path)
        assert left == len(CLASSES) * len(TEMPLATES)
    finally:
        torch.set_num_threads(before)


def test_a_fetched_head_serves_other_conditions_and_no_other_names_or_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    encoder, before = load_encoder("mini_clip"), torch.get_num_threads()
    head = encoder.head(CLASSES, TEMPLATES)
    assert head is not None
    path = encoder.keep_head(head)
    assert encoder.keep_head(head) == path
    assert path.stem == hashlib.sha256(path.read_bytes()).hexdigest()
    copied = tmp_path / "other/tuiprobe/heads" / path.parent.name
    copied.mkdir(parents=True)
    (copied / path.name).write_bytes(path.read_bytes())
    (copied / ".left by a kill.tmp").write_bytes(b"x")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    try:
        torch.set_num_threads(before + 1)  # as on another machine
        assert encoder.prompts_left(CLASSES, TEMPLATES) == 0
        again = encoder.head(CLASSES, TEMPLATES)
    finally:
        torch.set_num_threads(before)
    assert again is not None
    assert torch.equal(again.weight, head.weight)
    assert replace(again, weight=head.weight) == replace(
        head, source=f"{head.source}, built by tuiprobe fetch"
    )
    every = len(CLASSES) * len(TEMPLATES)
    assert encoder.prompts_left(CLASSES[::-1], TEMPLATES) == every
    assert encoder.prompts_left(CLASSES, TEMPLATES[::-1]) == every
    assert load_encoder("mini_clip", dtype="float16").prompts_left(CLASSES, TEMPLATES) == every


def test_every_cut_and_every_flipped_byte_of_a_fetched_head_is_noticed(tmp_path: Path) -> None:
    tower, _ = counting_tower()
    head = zero_shot_head(tower, CLASSES, TEMPLATES, digest="d", cache=tmp_path / "built")
    path = keep_head(head, digest="d", cache=tmp_path)
    whole = path.read_bytes()

    def fetched(width: int = 6) -> Head | None:
        return fetched_head(tower, CLASSES, TEMPLATES, digest="d", width=width, cache=tmp_path)

    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        with pytest.raises(WeightsError, match="is damaged"):
            fetched()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(WeightsError, match="fetch or copy it again"):
            fetched()
    path.write_bytes(whole)
    found = fetched()
    assert found is not None
    assert torch.equal(found.weight, head.weight)
    with pytest.raises(WeightsError, match="is not the head that its name says"):
        fetched(width=8)
    other = replace(head, weight=torch.full_like(head.weight, torch.nan))
    path.unlink()
    keep_head(other, digest="d", cache=tmp_path)
    with pytest.raises(WeightsError, match="is not the head that its name says"):
        fetched()


def test_a_damaged_shard_is_built_again(tmp_path: Path) -> None:
    tower, seen = counting_tower()
    whole = zero_shot_head(tower, CLASSES, TEMPLATES, digest="d", cache=tmp_path)
    for path in tmp_path.rglob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:20])
    again = zero_shot_head(tower, CLASSES, TEMPLATES, digest="d", cache=tmp_path)
    assert torch.equal(again.weight, whole.weight)
    assert len(seen) == 2 * len(CLASSES) * len(TEMPLATES)


@pytest.mark.parametrize("templates", [(), ("a photo",), ("{} and {}",)])
def test_templates_without_a_place_for_the_name_are_refused(templates: tuple[str, ...]) -> None:
    tower, _ = counting_tower()
    with pytest.raises(UsageError, match="template"):
        zero_shot_head(tower, CLASSES, templates, digest="d")


def test_names_with_braces_are_taken_literally(tmp_path: Path) -> None:
    tower, seen = counting_tower()
    zero_shot_head(tower, ["{evil.__class__}"], ["a {}"], digest="d", cache=tmp_path)
    assert seen == ["a {evil.__class__}"]


def test_text_files(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("cat\n\n fire truck \n")
    assert read_classes(tmp_path / "c.txt") == ("cat", "fire truck")
    (tmp_path / "t.txt").write_text("a {}\nno place\n")
    with pytest.raises(UsageError, match="'no place'"):
        read_templates(tmp_path / "t.txt")
    (tmp_path / "e.txt").write_text("\n")
    with pytest.raises(UsageError, match="holds no class names"):
        read_classes(tmp_path / "e.txt")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot read"):
        read_classes(tmp_path / "b.txt")


def test_heads_from_files(tmp_path: Path) -> None:
    weight, bias = torch.randn(3, 5), torch.randn(3)
    save_file({"fc.weight": weight, "fc.bias": bias}, tmp_path / "h.safetensors")
    head = read_head(tmp_path / "h.safetensors", width=5, classes=CLASSES)
    h = torch.randn(4, 5)
    assert torch.allclose(head.logits(h), h @ weight.T + bias, atol=1e-6)
    with pytest.raises(WeightsError, match=r"\(3, 5\); it must have one row a class of 6"):
        read_head(tmp_path / "h.safetensors", width=6)
    with pytest.raises(UsageError, match="2 class names for the 3 rows"):
        read_head(tmp_path / "h.safetensors", width=5, classes=("a", "b"))
    save_file({"other": weight}, tmp_path / "o.safetensors")
    with pytest.raises(WeightsError, match="holds no head"):
        read_head(tmp_path / "o.safetensors", width=5)


@given(st.floats(0.1, 10), st.integers(0, 100))
def test_normalised_logits_do_not_see_the_length(scale: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    head = Head(torch.randn(3, 5, generator=generator), None, CLASSES, normalize=True)
    h = torch.randn(2, 5, generator=generator)
    assert torch.allclose(head.logits(h), head.logits(h * scale), atol=1e-5)


def test_the_ridge_probe_is_scikit_learns_at_its_penalty_and_separates() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 3
    h = rng.normal(size=(120, 8)) + 3 * np.eye(8)[labels] + 5
    head = ridge_head(torch.tensor(h).float(), torch.tensor(labels), CLASSES)
    penalty = float(head.source.rpartition(" ")[2])
    theirs = Ridge(alpha=penalty).fit(h, np.eye(3)[labels])
    assert head.bias is not None
    assert np.allclose(head.weight, theirs.coef_, rtol=0.02, atol=1e-4)
    assert np.allclose(head.bias, theirs.intercept_, rtol=0.02, atol=1e-3)
    hits = head.logits(torch.tensor(h).float()).argmax(1).numpy() == labels
    assert hits.mean() > 0.95


@pytest.mark.parametrize(("n", "width"), [(120, 8), (60, 59), (60, 61)])
def test_its_penalty_is_the_one_of_generalised_cross_validation(n: int, width: int) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 3
    h = rng.normal(size=(n, width)) + np.eye(width)[labels]
    largest = np.linalg.svd(h - h.mean(0), compute_uv=False)[0] ** 2
    theirs = RidgeCV(alphas=[largest * 10.0**power for power in range(-8, 2)])
    theirs.fit(h, np.eye(3)[labels])
    head = ridge_head(torch.tensor(h), torch.tensor(labels), CLASSES)
    assert float(head.source.rpartition(" ")[2]) == pytest.approx(theirs.alpha_, rel=0.01)


def test_the_ridge_probe_needs_images_of_every_class() -> None:
    with pytest.raises(UsageError, match="1 of them without any"):
        ridge_head(torch.randn(10, 4), torch.arange(10) % 2, CLASSES)
