"""Heads: the zero-shot head against open_clip's own, resuming, files."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from tests.models.conftest import Saved
from tuiprobe.errors import UsageError, WeightsError
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.heads import Head, classifier_head, head_from_file
from tuiprobe.models.load import load_encoder
from tuiprobe.models.prompt_heads import (
    CLASSES_PER_SHARD,
    PromptHead,
    TextTower,
    read_templates,
    trained_scale,
)

CLASSES = ("cat", "fire truck", "tench")
TEMPLATES = ("a photo of a {}.", "a drawing of the {}.")


@pytest.fixture(scope="module")
def clip(tiny: Saved) -> Encoder:
    return load_encoder(f"open_clip:local-dir:{tiny.path}")


def test_zero_shot_head_is_open_clips_and_an_independent_one(clip: Encoder, tmp_path: Path) -> None:
    import open_clip

    head = clip.head(CLASSES, TEMPLATES, cache=tmp_path)
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
    assert clip.text.logit_scale == pytest.approx(float(clip.module.logit_scale.exp()), rel=1e-6)
    assert clip.text.logit_bias == 0
    assert len(clip.text.templates) == 80
    assert clip.text.templates[0] == "a bad photo of a {}."
    assert clip.head() is None


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
def test_the_trained_scale_is_the_exponential(scale, bias, expected):
    values = {"logit_scale": scale, "logit_bias": bias}
    model: Any = SimpleNamespace(
        **{n: v if v is None else torch.tensor([v]) for n, v in values.items()}
    )
    factor, shift = expected
    assert trained_scale(model) == (factor and pytest.approx(factor, rel=1e-6), shift)


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

    return TextTower(tokenize, encode, 8, "counting", ("a {}",), 50.0, -3.0), seen


def prompted(
    tower: TextTower, cache: Path, names: Sequence[str] = CLASSES,
    templates: Sequence[str] = TEMPLATES, digest: str = "d",
) -> PromptHead:  # fmt: skip
    return PromptHead(tower, tuple(names), tuple(templates), digest, cache=cache)


class StopError(Exception):
    pass


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 11))
def test_an_interrupted_build_goes_on_where_it_stopped(tmp_path_factory, stop):
    cache = tmp_path_factory.mktemp("heads")
    names = [f"class {i}" for i in range(2 * CLASSES_PER_SHARD + 7)]
    templates = [f"{i} {{}}" for i in range(10)]
    whole = prompted(counting_tower()[0], cache / "whole", names, templates).build()
    assert (whole.logit_scale, whole.logit_bias) == (50.0, -3.0)
    reported: list[int] = []

    def interrupt(done: int, total: int) -> None:
        assert total == len(names)
        reported.append(done)
        if len(reported) == stop:
            raise StopError

    tower, seen = counting_tower()
    head = prompted(tower, cache / "interrupted", names, templates)
    with pytest.raises(StopError):
        head.build(interrupt)
    # Before every batch of 64 prompts, and at the end.
    assert reported == [0, 6, 12, 19, 25, 31, 37, 44, 50, 56, 57][:stop]
    last = reported[-1]
    kept = last // CLASSES_PER_SHARD * CLASSES_PER_SHARD if last < 57 else 57
    assert len(names) - kept == head.classes_left()
    before = len(seen)
    for _ in range(2):
        assert torch.equal(head.build().weight, whole.weight)
        assert len(seen) - before == (len(names) - kept) * len(templates)


def test_another_digest_name_or_template_is_another_head(tmp_path: Path) -> None:
    tower, seen = counting_tower()
    for digest, names, templates in (
        ("d", CLASSES, TEMPLATES), ("e", CLASSES, TEMPLATES), ("d", CLASSES[:2], TEMPLATES),
        ("d", CLASSES, TEMPLATES[:1]), ("d", ["{evil.__class__}"], ["a {}"]),
    ):  # fmt: skip
        before = len(seen)
        prompted(tower, tmp_path, names, templates, digest).build()
        assert len(seen) - before == len(names) * len(templates)
    assert seen[-1] == "a {evil.__class__}"


@pytest.fixture
def other_threads() -> Iterator[Callable[[], None]]:
    """Returns a function that changes the number of threads, as on another machine."""
    before = torch.get_num_threads()
    yield lambda: torch.set_num_threads(before + 1)
    torch.set_num_threads(before)


def test_a_fetched_head_serves_other_conditions_and_no_other_names_or_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other_threads: Callable[[], None]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    encoder, every = load_encoder("mini_clip"), len(CLASSES) * len(TEMPLATES)
    head = encoder.head(CLASSES, TEMPLATES)
    assert head is not None
    assert encoder.prompts_left(CLASSES, TEMPLATES) == 0
    other_threads()
    assert encoder.prompts_left(CLASSES, TEMPLATES) == every  # its last bits may differ
    path = encoder.publish_head(head)
    assert encoder.publish_head(head) == path
    assert path.stem == hashlib.sha256(path.read_bytes()).hexdigest()
    copied = tmp_path / "other/tuiprobe/heads" / path.parent.name
    copied.mkdir(parents=True)
    (copied / path.name).write_bytes(path.read_bytes())
    (copied / ".left by a kill.tmp").write_bytes(b"x")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    assert encoder.prompts_left(CLASSES, TEMPLATES) == 0
    fetched = encoder.head(CLASSES, TEMPLATES)
    assert fetched is not None
    assert torch.equal(fetched.weight, head.weight)
    source = f"{head.source}, built by tuiprobe fetch"
    assert vars(replace(fetched, weight=head.weight)) == vars(replace(head, source=source))
    assert encoder.prompts_left(CLASSES[::-1], TEMPLATES) == every
    assert encoder.prompts_left(CLASSES, TEMPLATES[::-1]) == every
    assert load_encoder("mini_clip", dtype="float16").prompts_left(CLASSES, TEMPLATES) == every


def test_every_cut_and_every_flipped_byte_of_a_fetched_head_is_noticed(tmp_path: Path) -> None:
    prompts = prompted(counting_tower()[0], tmp_path)
    head = prompts.build()
    path = prompts.publish(head)
    whole = path.read_bytes()
    flipped = (whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(len(whole)))
    for damaged in (*(whole[:cut] for cut in range(len(whole))), *flipped):
        path.write_bytes(damaged)
        with pytest.raises(WeightsError, match=r"is damaged.* fetch or copy it again"):
            prompts.fetched(6)
    path.write_bytes(whole)
    fetched = prompts.fetched(6)
    assert torch.equal(fetched.weight, head.weight)
    with pytest.raises(WeightsError, match="is not the head that its name says"):
        prompts.fetched(8)
    path.unlink()
    prompts.publish(replace(head, weight=torch.full_like(head.weight, torch.nan)))
    with pytest.raises(WeightsError, match="is not the head that its name says"):
        prompts.fetched(6)


def test_a_damaged_shard_is_built_again(tmp_path: Path) -> None:
    tower, seen = counting_tower()
    prompts = prompted(tower, tmp_path)
    whole = prompts.build()
    (path,) = tmp_path.rglob("*.safetensors")

    def pipe() -> None:
        path.unlink()
        os.mkfifo(path)

    width = whole.weight.shape[1]
    for damage in (
        lambda: path.write_bytes(path.read_bytes()[:20]),
        lambda: save_file({"weight": torch.ones(3)}, path),
        lambda: save_file({"weight": torch.ones(3, width).int()}, path),
        lambda: save_file({"weight": torch.full((3, width), float("nan"))}, path),
        pipe,
    ):
        damage()
        assert prompts.classes_left() == 3
        before = len(seen)
        assert torch.equal(prompts.build().weight, whole.weight)
        assert len(seen) - before == len(CLASSES) * len(TEMPLATES)
        assert prompts.classes_left() == 0


@pytest.mark.parametrize("templates", [(), ("a photo",), ("{} and {}",)])
def test_templates_without_a_place_for_the_name_are_refused(templates, tmp_path):
    with pytest.raises(UsageError, match="template"):
        prompted(counting_tower()[0], tmp_path, templates=templates).build()
    (tmp_path / "t.txt").write_text("a {}\nno place\n")
    with pytest.raises(UsageError, match="'no place'"):
        read_templates(tmp_path / "t.txt")


def read(path: Path, state: dict[str, Tensor]) -> Head:
    save_file(state, path)
    return head_from_file(path, width=5)


def test_heads_from_files(tmp_path: Path) -> None:
    path, weight, bias = tmp_path / "h.safetensors", torch.randn(3, 5), torch.randn(3)
    h, full, nan = torch.randn(4, 5), torch.ones(3, 5), torch.tensor(float("nan"))
    head = read(path, {"fc.weight": weight, "fc.bias": bias})
    assert torch.allclose(head.logits(h), h @ weight.T + bias, atol=1e-6)
    assert (head.normalize, head.logit_scale, head.logit_bias) == (False, None, 0.0)
    factors = {"logit_scale": torch.tensor(100.0), "logit_bias": torch.tensor([-2.0])}
    scaled = read(path, {"weight": weight, **factors})
    assert (scaled.normalize, scaled.logit_scale, scaled.logit_bias) == (True, 100.0, -2.0)
    for message, state in (
        ("logit_scale in", {"weight": weight, "logit_scale": torch.tensor(0.0)}),
        ("logit_scale in", {"weight": weight, "logit_scale": torch.tensor(-1.0)}),
        ("logit_scale in", {"weight": weight, "logit_scale": nan}),
        ("not one finite number", {"weight": weight, "logit_scale": torch.ones(2)}),
        ("and logit_scale", {"fc.weight": weight, "fc.bias": bias, **factors}),
        (r"\(3, 6\); it must have one row a class of 5", {"weight": torch.ones(3, 6)}),
        ("holds no head", {"other": weight}),
        ("is int64", {"weight": full.long()}),
        ("is complex64", {"weight": full.to(torch.complex64)}),
        ("nothing but zeros", {"weight": 0 * full}),
        ("not finite", {"weight": nan * full}),
    ):
        with pytest.raises(WeightsError, match=message):
            read(path, state)


@pytest.mark.parametrize(
    "name",
    ["linear.weight", "0.weight", "model.head.fc.weight", "heads.head.weight", "net.fc.0.weight"],
)
def test_a_head_is_found_by_the_names_of_libraries(name: str, tmp_path: Path) -> None:
    path, weight, bias = tmp_path / "h.safetensors", torch.randn(3, 5), torch.randn(3)
    state = {name: weight, name.replace("weight", "bias"): bias}
    head = read(path, state)
    assert torch.equal(head.weight, weight)
    assert head.bias is not None
    assert torch.equal(head.bias, bias)
    for other in ("1.weight", "fc.1.weight"):  # of Sequential(Dropout or ReLU, Linear)
        with pytest.raises(WeightsError, match="behind a layer without weights"):
            read(path, {other: weight})
    with pytest.raises(WeightsError, match="several layers"):
        read(path, {"0.weight": torch.randn(5, 5), "2.weight": weight})


@pytest.mark.parametrize("dtype", [np.float64, ">f4"])
def test_heads_of_numpy_are_those_of_scikit_learn(dtype: Any, tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    draws = np.random.default_rng(0)
    x, y = draws.normal(size=(60, 5)), draws.integers(0, 3, 60)
    h = torch.from_numpy(x[:8]).float()
    for labels in (y, y > 0):  # several classes, and one row for two
        fitted = LogisticRegression().fit(x, labels)
        weight, bias = (a.astype(dtype) for a in (fitted.coef_, fitted.intercept_))
        names = ["a", "b", "c"][: max(2, len(weight))]
        np.savez_compressed(
            tmp_path / "h.npz", coef_=weight, intercept_=bias, classes_=names, others=["x"]
        )
        head = head_from_file(tmp_path / "h.npz", width=5)
        assert head.classes == tuple(names)
        probabilities = head.logits(h).softmax(1)
        assert np.allclose(probabilities, fitted.predict_proba(x[:8]), atol=1e-5)
        np.save(tmp_path / "h.npy", weight.T.copy())  # without a bias, and transposed
        turned = head_from_file(tmp_path / "h.npy", width=5)
        assert torch.equal(turned.weight, head.weight)
        assert turned.bias is None
        assert f"(5, {len(weight)}) transposed" in turned.source
    np.save(tmp_path / "square.npy", draws.normal(size=(5, 5)))
    square = head_from_file(tmp_path / "square.npy", width=5)
    assert np.allclose(square.weight, np.load(tmp_path / "square.npy"), atol=1e-6)
    np.save(tmp_path / "objects.npy", np.array([object()]), allow_pickle=True)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "h.npz").read_bytes()[:-40])
    for name in ("objects.npy", "cut.npz", "none.npz"):
        with pytest.raises(WeightsError, match=name):
            head_from_file(tmp_path / name, width=5)


def test_one_row_is_the_log_odds_of_the_second_of_two_classes() -> None:
    torch.manual_seed(0)
    layer, h = torch.nn.Linear(6, 1), torch.randn(5, 6)
    head = classifier_head(layer)
    expected = torch.sigmoid(layer(h)[:, 0])
    assert torch.allclose(head.logits(h).softmax(1)[:, 1], expected, atol=1e-6)
    assert head.classes == ("0", "1")
