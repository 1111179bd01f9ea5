"""Preflight of the text side: tokenizer and text tower, on the prompts of a zero-shot head."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tuiprobe.models.checks.encoder_checks import check
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.prompt_heads import TextTower
from tuiprobe.results.subject import Check

_TOLERANCE = 1e-5
"""Largest difference that shorter tokens may make to a normalised embedding in float32."""

_BIG_VISION = "https://github.com/google-research/big_vision/blob/main/big_vision/configs/proj/"
_OPEN_CLIP = "https://github.com/mlfoundations/open_clip/blob/main/src/open_clip/model_configs/"


@dataclass(frozen=True)
class PublishedForm:
    """What the published configuration of a family of text towers demands of their tokens.

    Attributes:
        family: Pattern of the architecture's and tokenizer's names, in any case.
        pad: Token of the padding, if the tower sees it.
        end: Token at the end of a prompt.
        punctuation: Whether punctuation is kept. All families have lower case.
        sources: Where this is stated.
    """

    family: str
    pad: int | None
    end: int | None
    punctuation: bool
    sources: tuple[str, ...]


PUBLISHED_FORMS = (
    PublishedForm(
        "^(?!.*nllb).*siglip2",
        pad=0,
        end=1,
        punctuation=False,
        sources=(
            f"{_BIG_VISION}image_text/SigLIP2_demo.ipynb",
            f"{_OPEN_CLIP}ViT-B-16-SigLIP2.json",
        ),
    ),
    PublishedForm(
        "^(?!.*nllb).*siglip",
        pad=1,
        end=1,
        punctuation=False,
        sources=(
            f"{_BIG_VISION}image_text/SigLIP_demo.ipynb",
            f"{_OPEN_CLIP}ViT-B-16-SigLIP.json",
        ),
    ),
    PublishedForm(
        "clipa.*bert-base-uncased",
        pad=0,
        end=None,
        punctuation=True,
        sources=(
            f"{_OPEN_CLIP}ViT-L-14-CLIPA.json",
            "https://huggingface.co/google-bert/bert-base-uncased/blob/main/tokenizer_config.json",
        ),
    ),
    PublishedForm(
        "clip's byte-pair tokenizer",
        pad=None,
        end=49407,
        punctuation=True,
        sources=(
            "https://github.com/openai/CLIP/blob/main/clip/clip.py",
            "https://github.com/openai/CLIP/blob/main/clip/simple_tokenizer.py",
        ),
    ),
)
"""The first family whose pattern occurs counts."""


def check_text(encoder: Encoder, classes: Sequence[str], templates: Sequence[str]) -> list[Check]:
    """Checks tokenizer and text tower of an encoder on the prompts of a head.

    What nothing is known of is not checked: the form of prompts that no publisher states, and
    shorter tokens for a tower that gets all.
    """
    text = encoder.text
    if text is None:
        return []
    checks = [check("tokenizer", encoder, lambda: _tokenizer(text))]
    if checks[0].status == "fail":
        return checks
    names = f"{encoder.architecture} {text.tokenizer}"
    stated = next((p for p in PUBLISHED_FORMS if re.search(p.family, names, re.IGNORECASE)), None)
    if stated is not None:
        checks.append(check("text form", encoder, lambda: _form(text, stated)))
    checks += [
        check("prompt length", encoder, lambda: _length(text, classes, templates)),
        check("prompt names", encoder, lambda: _names(text, classes, templates)),
    ]
    if not text.padded:
        longest = max(templates, key=len).replace("{}", max(classes, key=len))
        prompts = [templates[0].replace("{}", classes[0]), longest]
        checks.append(
            check("short prompts", encoder, lambda: _shortened(text, prompts, encoder.dtype))
        )
    return checks


def _tokenizer(text: TextTower) -> Check:
    tokens = text.tokenize(["a photo of a cat.", "a photo of a dog."])
    if tuple(tokens.shape) != (2, text.context_length):
        detail = f"prompts become {tuple(tokens.shape)}, not (2, {text.context_length})"
        fix = f"the tokenizer is of another model, or does not pad to {text.context_length} tokens"
        return Check("tokenizer", "fail", detail, fix)
    if bool((tokens[0] == tokens[1]).all()):
        return Check(
            "tokenizer", "fail", "two prompts become the same tokens", "its files are damaged"
        )
    return Check("tokenizer", "pass", f"{text.tokenizer}, context length {text.context_length}")


def _form(text: TextTower, stated: PublishedForm) -> Check:
    """Compares padding, end, case and punctuation with what the model's publishers state."""
    plain, upper, pointed = text.tokenize(
        ["a photo of a cat", "A PHOTO OF A CAT", "a photo, of a cat!"]
    )
    pad, wrong = int(plain[-1]), []
    if stated.pad is not None and pad != stated.pad:
        wrong.append(f"prompts are padded with token {pad}, not {stated.pad}")
    if stated.end is not None and not bool((plain == stated.end).any()):
        wrong.append(f"token {stated.end} does not end them")
    if not torch.equal(plain, upper):
        wrong.append("capital letters are kept")
    if torch.equal(plain, pointed) == stated.punctuation:
        wrong.append(f"punctuation is {'removed' if stated.punctuation else 'kept'}")
    if wrong:
        detail = f"{'; '.join(wrong)}: see {' and '.join(stated.sources)}"
        fix = "use the tokenizer that open_clip has for this model, or pass --head FILE"
        return Check("text form", "fail", detail, fix)
    form = "lower case" if stated.punctuation else "lower case without punctuation"
    padding = "" if stated.pad is None else f", padding {stated.pad}"
    return Check("text form", "pass", f"{form}{padding}, as its publishers state")


def _length(text: TextTower, classes: Sequence[str], templates: Sequence[str]) -> Check:
    """Counts the prompts that fill the context length, first among those of one long template."""
    endless = " ".join(["a"] * 2 * text.context_length)
    short, full = text.tokenize(["a", endless])
    pad = short[-1]
    most = int(_used(full[None], pad))

    def used(prompts: Sequence[str]) -> list[int]:
        counts: list[int] = _used(text.tokenize(prompts), pad).tolist()
        return counts

    name = max(classes, key=len)
    counts = used([template.replace("{}", name) for template in templates])
    longest = templates[counts.index(max(counts))]
    counts = used([longest.replace("{}", name) for name in classes])
    long = [name for name, count in zip(classes, counts, strict=True) if count >= most]
    if not long:
        return Check("prompt length", "pass", f"up to {max(counts)} of {most} tokens")
    prompts = [template.replace("{}", name) for name in long for template in templates]
    cut = [p for p, count in zip(prompts, used(prompts), strict=True) if count >= most]
    total = len(classes) * len(templates)
    detail = f"{len(cut):,} of {total:,} prompts fill all {most} tokens; more is cut: {cut[0]}"
    return Check("prompt length", "warn", detail, "shorten these class names or templates")


def _used(tokens: Tensor, pad: Tensor) -> Tensor:
    """Returns the number of tokens of each prompt before its padding."""
    return (tokens.ne(pad) * torch.arange(1, tokens.shape[1] + 1)).amax(dim=1)


def _names(text: TextTower, classes: Sequence[str], templates: Sequence[str]) -> Check:
    """Names two classes whose prompts are the same tokens, by the shortest template."""
    template = min(templates, key=len)
    tokens = text.tokenize([template.replace("{}", name) for name in classes]).tolist()
    first: dict[tuple[int, ...], str] = {}
    for name, row in zip(classes, map(tuple, tokens), strict=True):
        other = first.setdefault(row, name)
        if other != name:  # ImageNet has two classes of one name, twice
            detail = f"{other} and {name} become the same tokens, and so the same row"
            return Check("prompt names", "warn", detail, "give them other names by --classes FILE")
    return Check("prompt names", "pass", f"{len(first):,} different names")


def _shortened(text: TextTower, prompts: Sequence[str], dtype: torch.dtype) -> Check:
    """Compares embeddings of tokens up to the end of prompts with those of all tokens."""
    tokens = text.tokenize(prompts)
    lengths = text.lengths(tokens).tolist()
    with torch.inference_mode():
        uncut = text.encode(tokens)
        cut = [text.encode(row[None, :n]) for row, n in zip(tokens, lengths, strict=True)]
        difference = float((torch.cat(cut) - uncut).abs().max())
    detail = f"{' and '.join(map(str, lengths))} of {tokens.shape[1]} tokens"
    if difference <= max(_TOLERANCE, torch.finfo(dtype).eps):
        return Check("short prompts", "pass", f"{detail} give the same embeddings as all")
    return Check(
        "short prompts",
        "fail",
        f"{detail} give embeddings that differ by {difference:.1e} from those of all",
        "pass --head FILE, built without tuiprobe, and report this model",
    )
