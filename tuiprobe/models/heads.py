"""Linear heads: zero-shot from prompts, from a file, or a model's own classifier.

A zero-shot row is the mean of the normalised text embeddings of all templates, normalised again
(Radford et al. 2021). 1,000 classes x 80 templates take hours on a CPU, so rows are computed one
class at a time and stored in shards of `CLASSES_PER_SHARD`. An interrupted build resumes after the
last shard. A finished head is cached by weights digest, templates and names, and by what its last
bits depend on; a head of `tuiprobe fetch` by the former alone, so that it serves any machine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import torch
from torch import Tensor, nn

from tuiprobe.errors import UsageError, WeightsError
from tuiprobe.files import DamagedFileError, Entry, names_below

CLASSES_PER_SHARD = 25

Progress = Callable[[int, int], None]
"""Called with the number of finished classes and of all classes."""


@dataclass(frozen=True)
class Head:
    """A linear head over the representation h.

    Attributes:
        weight: W, float32 `[classes, width]`.
        bias: float32 `[classes]`; None if there is none.
        classes: Class names, in the order of the rows.
        templates: Prompt templates of a zero-shot head; empty otherwise.
        normalize: Whether logits are `W h / |h|` (zero-shot) or `W h + bias`.
        source: Where the head comes from, for the report.
        logit_scale: What logits are multiplied by before the softmax: exp of a CLIP's trained
            parameter. None if unknown, and for classifiers.
        logit_bias: What is added after that (SigLIP).
    """

    weight: Tensor
    bias: Tensor | None
    classes: tuple[str, ...]
    templates: tuple[str, ...] = ()
    normalize: bool = False
    source: str = ""
    logit_scale: float | None = None
    logit_bias: float = 0.0

    def logits(self, h: Tensor) -> Tensor:
        """Computes logits `[B, classes]` from h `[B, width]`.

        >>> head = Head(torch.eye(2), None, ("a", "b"), normalize=True)
        >>> head.logits(torch.tensor([[3.0, 4.0]]))
        tensor([[0.6000, 0.8000]])
        """
        if self.normalize:
            h = h / h.norm(dim=-1, keepdim=True)
        return nn.functional.linear(h.to(self.weight.dtype), self.weight, self.bias)


@dataclass(frozen=True)
class TextTower:
    """The text side of a CLIP.

    Attributes:
        tokenize: Maps prompts to token ids `[n, context_length]`.
        encode: Maps token ids to normalised embeddings, float32 `[n, width]`.
        context_length: Tokens per prompt.
        tokenizer: Name of the tokenizer, for the report.
        templates: Default prompt templates.
        logit_scale: exp of the trained logit scale; None if the model has none.
        logit_bias: The trained logit bias (SigLIP); 0 if the model has none.
    """

    tokenize: Callable[[Sequence[str]], Tensor]
    encode: Callable[[Tensor], Tensor]
    context_length: int
    tokenizer: str
    templates: tuple[str, ...]
    logit_scale: float | None = None
    logit_bias: float = 0.0


def trained_scale(model: nn.Module) -> tuple[float | None, float]:
    """Returns logit scale and logit bias of a CLIP, from its parameters of these names.

    The parameter `logit_scale` is the logarithm. If the scale is missing, without data (on the
    meta device) or not a finite positive number, it is None.
    """
    scale, bias = (getattr(model, name, None) for name in ("logit_scale", "logit_bias"))
    if scale is not None and scale.is_meta:
        return None, 0.0
    found = None if scale is None else float(scale.detach().float().exp())
    usable = found is not None and 0 < found < float("inf")
    return found if usable else None, 0.0 if bias is None else float(bias.detach().float())


def zero_shot_head(
    text: TextTower,
    classes: Sequence[str],
    templates: Sequence[str],
    *,
    digest: str,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Head:
    """Builds a zero-shot head; resumes an unfinished build from the cache.

    Args:
        text: Text tower of the model.
        classes: Class names.
        templates: Prompt templates with `{}` for the class name.
        digest: Digest of the weights, part of the cache's key.
        cache: Folder of finished and unfinished heads; None for the user's cache folder.
        progress: Called after every class.

    Raises:
        UsageError: If there are no classes or templates, or a template lacks `{}`.
    """
    check_templates(templates)
    if not classes:
        raise UsageError("a zero-shot head needs class names; pass --classes FILE")
    folder = (cache or cache_folder()) / head_key(digest, classes, templates)
    rows = []
    for start in range(0, len(classes), CLASSES_PER_SHARD):
        names = classes[start : start + CLASSES_PER_SHARD]
        path = folder / f"{start:06d}.safetensors"
        rows.append(_shard(text, names, templates, path, start, len(classes), progress))
    return _zero_shot(text, torch.cat(rows), classes, templates, "")


def _zero_shot(
    text: TextTower, weight: Tensor, classes: Sequence[str], templates: Sequence[str], origin: str
) -> Head:
    return Head(
        weight=weight,
        bias=None,
        classes=tuple(classes),
        templates=tuple(templates),
        normalize=True,
        source=f"zero-shot, {len(templates)} templates, {text.tokenizer}{origin}",
        logit_scale=text.logit_scale,
        logit_bias=text.logit_bias,
    )


def keep_head(head: Head, *, digest: str, cache: Path | None = None) -> Path:
    """Publishes a zero-shot head for `fetched_head`, under its SHA-256; returns the file.

    Args:
        head: A zero-shot head.
        digest: What the weights, the architecture and the precision are.
        cache: Folder of heads; None for the user's cache folder.
    """
    from safetensors.torch import save

    data = save({"weight": head.weight.float().cpu().contiguous()})
    folder = (cache or cache_folder()) / head_key(digest, head.classes, head.templates)
    entry = Entry(folder, f"{hashlib.sha256(data).hexdigest()}.safetensors")
    entry.write_bytes(data)
    return entry.path


def fetched_head(
    text: TextTower,
    classes: Sequence[str],
    templates: Sequence[str],
    *,
    digest: str,
    width: int,
    cache: Path | None = None,
) -> Head | None:
    """Returns a head of `tuiprobe fetch`, of this machine or a copied one; None if there is none.

    Its last bits are those of the machine that built it.

    Args:
        text: Text tower of the model.
        classes: Class names.
        templates: Prompt templates.
        digest: What the weights, the architecture and the precision are.
        width: Channels of the representation.
        cache: Folder of heads; None for the user's cache folder.

    Raises:
        WeightsError: If the file is damaged, or holds no such head.
    """
    folder = (cache or cache_folder()) / head_key(digest, classes, templates)
    for name in names_below(folder):
        path = folder / name
        if path.suffix != ".safetensors":  # left by a write that was killed
            continue
        data = _entry(path).read_bytes()
        weight = _weight(data, len(classes))
        intact = hashlib.sha256(data).hexdigest() == path.stem
        if not intact or weight is None or weight.shape[1] != width:
            raise WeightsError(
                f"{path} is damaged: it is not the head that its name says. Delete it, and fetch "
                "or copy it again"
            )
        return _zero_shot(text, weight, classes, templates, ", built by tuiprobe fetch")
    return None


def classes_left(
    classes: Sequence[str], templates: Sequence[str], *, digest: str, cache: Path | None = None
) -> int:
    """Returns the number of classes whose prompts a zero-shot head still has to encode.

    Args:
        classes: Class names; this and the others are as for `zero_shot_head`.
        templates: Prompt templates.
        digest: Digest of the weights.
        cache: Folder of heads.
    """
    folder = (cache or cache_folder()) / head_key(digest, classes, templates)
    left = 0
    for start in range(0, len(classes), CLASSES_PER_SHARD):
        rows = len(classes[start : start + CLASSES_PER_SHARD])
        if _read_shard(folder / f"{start:06d}.safetensors", rows) is None:
            left += rows
    return left


def check_templates(templates: Sequence[str]) -> None:
    """Refuses templates that do not contain `{}` exactly once.

    >>> check_templates(["a photo of a {}."])
    """
    if not templates:
        raise UsageError("a zero-shot head needs prompt templates; pass --templates FILE")
    for template in templates:
        if template.count("{}") != 1:
            raise UsageError(f"template {template!r} must hold {{}} for the class name, once")


def cache_folder() -> Path:
    """Returns the cache folder of zero-shot heads."""
    return Path(platformdirs.user_cache_dir("tuiprobe")) / "heads"


def head_key(digest: str, classes: Sequence[str], templates: Sequence[str]) -> str:
    """Returns the name of a zero-shot head in a folder of heads."""
    content = json.dumps([digest, list(classes), list(templates), CLASSES_PER_SHARD])
    return hashlib.sha256(content.encode()).hexdigest()[:24]


def _shard(
    text: TextTower,
    names: Sequence[str],
    templates: Sequence[str],
    path: Path,
    start: int,
    total: int,
    progress: Progress | None,
) -> Tensor:
    cached = _read_shard(path, len(names))
    if cached is not None:
        if progress is not None:
            progress(start + len(names), total)
        return cached
    rows = []
    for index, name in enumerate(names):
        rows.append(_row(text, name, templates))
        if progress is not None:
            progress(start + index + 1, total)
    weight = torch.stack(rows)
    _publish(weight, path)
    return weight


def _row(text: TextTower, name: str, templates: Sequence[str]) -> Tensor:
    prompts = [template.replace("{}", name) for template in templates]
    with torch.inference_mode():
        mean = text.encode(text.tokenize(prompts)).float().mean(dim=0)
        row: Tensor = nn.functional.normalize(mean, dim=0).cpu().clone()
    return row


def _read_shard(path: Path, rows: int) -> Tensor | None:
    """Returns a finished shard; None if it has to be built again."""
    try:
        return _weight(_entry(path).read_bytes(), rows)
    except DamagedFileError:
        return None


def _weight(data: bytes, rows: int) -> Tensor | None:
    """Returns the finite float32 weight `[rows, width]` in a file; None if it holds none."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        weight = load(data).get("weight")
    except (SafetensorError, KeyError):  # KeyError: a dtype unknown to torch
        return None
    if weight is None or weight.dtype != torch.float32 or weight.ndim != 2:
        return None
    return weight if len(weight) == rows and bool(weight.isfinite().all()) else None


def _entry(path: Path) -> Entry:
    return Entry(path.parent, path.name)


def _publish(weight: Tensor, path: Path) -> None:
    from safetensors.torch import save

    _entry(path).write_bytes(save({"weight": weight}))
