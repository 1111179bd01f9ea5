"""Preflight of the text side: what a tokenizer does differently is named, and what it cuts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import open_clip
import pytest
import torch
from torch import Tensor, nn

from tests.models.conftest import toy
from tuiprobe.catalog.class_names import imagenet_names, imagenet_templates
from tuiprobe.models.checks.text_checks import check_text
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.prompt_heads import TextTower
from tuiprobe.results.subject import Check


@dataclass
class Words:
    """A tokenizer of whole words, as SigLIP's is where nothing is broken."""

    pad: int = 1
    length: int | None = 16
    canonical: bool = True

    def __call__(self, prompts: Sequence[str]) -> Tensor:
        clean = open_clip.tokenizer.canonicalize_text if self.canonical else str
        rows = [[crc32(word.encode()) % 10**6 + 3 for word in clean(p).split()] for p in prompts]
        length = self.length or max(map(len, rows)) + 1
        ended = [[*row[: length - 1], 1] for row in rows]
        return torch.tensor([row + [self.pad] * (length - len(row)) for row in ended])


def encoder(tokenizer: Words, architecture: str = "ViT-B-16-SigLIP") -> Encoder:
    model = toy(nn.Identity())
    model.architecture = architecture
    model.text = TextTower(tokenizer, lambda tokens: torch.ones(len(tokens), 5), 16, "words", ())
    return model


def checked(
    model: Encoder, classes: Sequence[str] = ("cat", "dog"), templates: Sequence[str] = ("a {}.",)
) -> dict[str, Check]:
    return {check.name: check for check in check_text(model, classes, templates)}


def test_sound_text_sides_pass_and_unknown_ones_are_not_judged() -> None:
    assert {c.status for c in checked(encoder(Words())).values()} == {"pass"}
    assert checked(encoder(Words(pad=0), "ViT-B-16-SigLIP2"))["text form"].status == "pass"
    assert "text form" not in checked(encoder(Words(pad=0), "nllb-clip-base-siglip"))
    clip = encoder(Words(), "ViT-B-32")
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    name = "open_clip's byte-pair tokenizer"
    clip.text = TextTower(tokenizer, lambda tokens: torch.ones(len(tokens), 5), 77, name, ())
    checks = checked(clip, imagenet_names(), imagenet_templates())
    assert {c.status for c in checks.values()} == {"pass"}
    assert checks["prompt length"].detail == "up to 22 of 77 tokens"


@pytest.mark.parametrize(
    ("tokenizer", "architecture", "name", "message"),
    [
        (Words(pad=0), "google/siglip-base-patch16-224", "text form",
         "padded with token 0, not 1: see https://"),
        (Words(length=None), "ViT-B-16-SigLIP", "tokenizer", r"prompts become \(2, 6\), not"),
        (Words(canonical=False, pad=0), "ViT-B-16-SigLIP2", "text form",
         "capital letters are kept; punctuation is kept: see"),
    ],
)  # fmt: skip
def test_what_differs_from_the_published_form_fails(tokenizer, architecture, name, message):
    checks = checked(encoder(tokenizer, architecture))
    (bad,) = [check for check in checks.values() if check.status == "fail"]
    assert bad.name == name
    assert re.search(message, bad.detail)
    assert bad.fix


def test_cut_prompts_are_counted_and_classes_of_one_row_are_named() -> None:
    long = "a rather long name of fourteen words that nobody would ever give to dogs"
    checks = checked(encoder(Words()), ("cat", long, f"{long}s"), ("the {}", "this is a {}"))
    assert checks["prompt length"].status == "warn"
    assert checks["prompt length"].detail == (
        f"4 of 6 prompts fill all 15 tokens; more is cut: the {long}"
    )
    assert checks["prompt names"].status == "pass"
    same = checked(encoder(Words()), ("cat", "T-shirt", "t shirt", "tshirt"))["prompt names"]
    assert (same.status, same.detail) == (
        "warn", "T-shirt and tshirt become the same tokens, and so the same row"
    )  # fmt: skip
