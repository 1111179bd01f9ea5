"""Preflight of the text side: tokenizer and text tower, on the prompts of a zero-shot head."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tuiprobe.models.encoder import Encoder
from tuiprobe.models.heads import TextTower
from tuiprobe.models.preflight import Check, check

_TOLERANCE = 1e-5
"""Largest difference that shorter tokens may make to a normalised embedding in float32."""


def check_text(encoder: Encoder, classes: Sequence[str], templates: Sequence[str]) -> list[Check]:
    """Checks tokenizer and text tower of an encoder on the prompts of a head."""
    text = encoder.text
    if text is None:
        return []
    tokenizer = check("tokenizer", encoder, lambda: _tokenizer(text))
    if tokenizer.status == "fail":
        return [tokenizer]
    longest = max(templates, key=len).replace("{}", max(classes, key=len))
    prompts = [templates[0].replace("{}", classes[0]), longest]
    return [
        tokenizer,
        check("prompt length", encoder, lambda: _shortened(text, prompts, encoder.dtype)),
    ]


def _tokenizer(text: TextTower) -> Check:
    tokens = text.tokenize(["a photo of a cat.", "a photo of a dog."])
    if tuple(tokens.shape) != (2, text.context_length):
        detail = f"prompts become {tuple(tokens.shape)}, not (2, {text.context_length})"
        return Check("tokenizer", "fail", detail, "the tokenizer is of another model")
    if bool((tokens[0] == tokens[1]).all()):
        return Check("tokenizer", "fail", "two prompts become the same tokens", "its files are bad")
    return Check("tokenizer", "pass", f"{text.tokenizer}, context length {text.context_length}")


def _shortened(text: TextTower, prompts: Sequence[str], dtype: torch.dtype) -> Check:
    """Compares embeddings of tokens up to the end of prompts with those of all tokens."""
    if text.lengths is None:
        return Check("prompt length", "skip", "the text tower sees the padding")
    tokens = text.tokenize(prompts)
    lengths = text.lengths(tokens).tolist()
    with torch.inference_mode():
        whole = text.encode(tokens)
        cut = [text.encode(row[None, :n]) for row, n in zip(tokens, lengths, strict=True)]
        difference = float((torch.cat(cut) - whole).abs().max())
    detail = f"{' and '.join(map(str, lengths))} of {tokens.shape[1]} tokens"
    if difference <= max(_TOLERANCE, torch.finfo(dtype).eps):
        return Check("prompt length", "pass", f"{detail} give the same embeddings as all")
    return Check(
        "prompt length",
        "fail",
        f"{detail} give embeddings that differ by {difference:.1e} from those of all",
        "pass --head FILE, built without tuiprobe, and report this model",
    )
