"""Zero-shot heads, from prompts.

A zero-shot row is the mean of the normalised text embeddings of all templates, normalised again
(Radford et al. 2021). 1,000 classes x 80 templates take minutes to hours on a CPU, so rows are
stored in shards of `CLASSES_PER_SHARD`. An interrupted build resumes after the last shard. A
finished head is cached by weights digest, templates and names, and by what its last bits depend on;
a head of `tuiprobe fetch` by the former alone, so that any machine can use it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from tuiprobe.catalog.class_names import read_lines
from tuiprobe.errors import UsageError, WeightsError
from tuiprobe.files import DamagedFileError, Entry, names_below
from tuiprobe.models.heads import Head

CLASSES_PER_SHARD = 25
PROMPTS_PER_BATCH = 64

PromptProgress = Callable[[int, int], None]
"""Called with the number of finished classes and of all classes.

The prompts of a class are spread over batches; a class counts for as many prompts as it has.
"""


def all_tokens(tokens: Tensor) -> Tensor:
    """Returns the number of tokens of each prompt, with its padding."""
    return torch.full((len(tokens),), tokens.shape[1])


@dataclass(frozen=True)
class TextTower:
    """The text side of a CLIP.

    Attributes:
        tokenize: Maps prompts to token ids `[n, context_length]`.
        encode: Maps token ids to normalised embeddings, float32 `[n, width]`.
        lengths: Maps token ids to the number of leading tokens that each embedding depends on;
            `encode` may be given no others. `all_tokens` for a tower that sees the padding.
        context_length: Tokens per prompt.
        tokenizer: Name of the tokenizer, for the report.
        templates: Default prompt templates.
        logit_scale: exp of the trained logit scale.
        logit_bias: The trained logit bias (SigLIP); 0 if the model has none.
    """

    tokenize: Callable[[Sequence[str]], Tensor]
    encode: Callable[[Tensor], Tensor]
    context_length: int
    tokenizer: str
    templates: tuple[str, ...]
    logit_scale: float | None = None
    logit_bias: float = 0.0
    lengths: Callable[[Tensor], Tensor] = all_tokens

    @property
    def padded(self) -> bool:
        """Whether embeddings depend on the padding."""
        return self.lengths is all_tokens


def trained_scale(model: nn.Module) -> tuple[float | None, float]:
    """Returns logit scale and logit bias of a CLIP, from its parameters of these names.

    The parameter `logit_scale` is the logarithm. If the scale is missing, without data (on the
    meta device) or not a finite positive number, it is None.
    """
    scale, bias = (getattr(model, name, None) for name in ("logit_scale", "logit_bias"))
    if scale is not None and scale.is_meta:
        return None, 0.0
    factor = 0.0 if scale is None else float(scale.detach().float().exp())
    shift = 0.0 if bias is None else float(bias.detach().float())
    return factor if 0 < factor < float("inf") else None, shift


@dataclass(frozen=True)
class PromptHead:
    """The zero-shot head of some class names and templates: cached by `tuiprobe fetch`, or built.

    Attributes:
        text: Text tower of the model.
        classes: Class names.
        templates: Prompt templates with `{}` for the class name.
        digest: What the weights, the architecture and the precision are.
        conditions: What the last bits of a row depend on besides; a head that was built under
            other conditions is not resumed.
        cache: Folder of heads; None for the user's cache folder.
    """

    text: TextTower
    classes: tuple[str, ...]
    templates: tuple[str, ...]
    digest: str
    conditions: str = ""
    cache: Path | None = None

    def build(self, progress: PromptProgress | None = None) -> Head:
        """Builds the head; resumes an unfinished build.

        Args:
            progress: Called before every batch of prompts, and at the end.

        Raises:
            UsageError: If there are no classes or templates, or a template lacks `{}`.
        """
        check_templates(self.templates)
        if not self.classes:
            raise UsageError("a zero-shot head needs class names; pass --classes FILE")
        shards = [(names, entry, _stored(entry, len(names))) for names, entry in self._shards()]
        done = sum(len(names) for names, _, weight in shards if weight is not None)

        def report(encoded: int) -> None:
            if progress is not None:
                progress(done + encoded // len(self.templates), len(self.classes))

        weights = []
        for names, entry, weight in shards:
            if weight is None:
                weight = prompt_rows(self.text, names, self.templates, report)
                entry.write_bytes(save({"weight": weight}))
                done += len(names)
            weights.append(weight)
        report(0)
        return self._head(torch.cat(weights), "")

    def classes_left(self) -> int:
        """Returns the number of classes whose prompts `build` still has to encode."""
        return sum(
            len(names) for names, entry in self._shards() if _stored(entry, len(names)) is None
        )

    def publish(self, head: Head) -> Path:
        """Publishes the built head for `fetched`, under its SHA-256; returns the file."""
        data = save({"weight": head.weight.float().cpu().contiguous()})
        entry = Entry(self._folder(self.digest), f"{hashlib.sha256(data).hexdigest()}.safetensors")
        entry.write_bytes(data)
        return entry.path

    def fetched(self, width: int) -> Head | None:
        """Returns a cached head, of this machine or a copied one.

        Its last bits are those of the machine that built it.

        Raises:
            WeightsError: If the file is damaged, or holds no head of `width` channels.
        """
        folder = self._folder(self.digest)
        for name in names_below(folder):
            path = folder / name
            if path.suffix != ".safetensors":  # left by a write that was killed
                continue
            data = Entry(folder, name).read_bytes()
            weight = _weight(data, len(self.classes))
            intact = hashlib.sha256(data).hexdigest() == path.stem
            if not intact or weight is None or weight.shape[1] != width:
                raise WeightsError(
                    f"{path} is damaged: it is not the head that its name says. Delete it, and "
                    "fetch or copy it again"
                )
            return self._head(weight, ", built by tuiprobe fetch")
        return None

    def _folder(self, digest: str) -> Path:
        content = json.dumps([digest, self.classes, self.templates, CLASSES_PER_SHARD])
        heads = self.cache or Path(platformdirs.user_cache_dir("tuiprobe")) / "heads"
        return heads / hashlib.sha256(content.encode()).hexdigest()[:24]

    def _shards(self) -> Iterator[tuple[tuple[str, ...], Entry]]:
        """Yields the classes and the file of each shard of the build."""
        folder = self._folder(f"{self.digest} {self.conditions}")
        for start in range(0, len(self.classes), CLASSES_PER_SHARD):
            names = self.classes[start : start + CLASSES_PER_SHARD]
            yield names, Entry(folder, f"{start:06d}.safetensors")

    def _head(self, weight: Tensor, origin: str) -> Head:
        return Head(
            weight=weight,
            bias=None,
            classes=self.classes,
            templates=self.templates,
            normalize=True,
            source=f"zero-shot, {len(self.templates)} templates, {self.text.tokenizer}{origin}",
            logit_scale=self.text.logit_scale,
            logit_bias=self.text.logit_bias,
        )


def read_templates(path: Path) -> tuple[str, ...]:
    """Reads prompt templates, one per line, each with `{}` for the class name."""
    templates = read_lines(path, "prompt templates")
    check_templates(templates)
    return templates


def check_templates(templates: Sequence[str]) -> None:
    """Refuses templates that do not contain `{}` exactly once.

    >>> check_templates(["a photo of a {}."])
    """
    if not templates:
        raise UsageError("a zero-shot head needs prompt templates; pass --templates FILE")
    for template in templates:
        if template.count("{}") != 1:
            raise UsageError(f"template {template!r} must hold {{}} for the class name, once")


def prompt_rows(
    text: TextTower,
    names: Sequence[str],
    templates: Sequence[str],
    report: Callable[[int], None] = lambda encoded: None,
) -> Tensor:
    """Returns the row of each class: the normalised mean of its prompts.

    Prompts of about the same length share a batch, which is cut after its longest prompt.

    Args:
        text: The text tower.
        names: Class names.
        templates: Prompt templates with `{}` for the class name.
        report: Called before every batch with the number of prompts that are encoded.

    Returns:
        float32 `[len(names), width]` on the CPU.
    """
    tokens = text.tokenize(
        [template.replace("{}", name) for name in names for template in templates]
    )
    lengths = text.lengths(tokens)
    order = lengths.argsort(stable=True)
    embeddings = []
    with torch.inference_mode():
        for start in range(0, len(order), PROMPTS_PER_BATCH):
            report(start)
            batch = order[start : start + PROMPTS_PER_BATCH]
            embeddings.append(text.encode(tokens[batch, : lengths[batch].max()]).float().cpu())
        each = torch.cat(embeddings)[order.argsort()].reshape(len(names), len(templates), -1)
        rows = nn.functional.normalize(each.mean(dim=1), dim=1)
    return rows.clone()


def _stored(entry: Entry, rows: int) -> Tensor | None:
    """Returns a finished shard, unless it has to be built again."""
    try:
        return _weight(entry.read_bytes(), rows)
    except DamagedFileError:
        return None


def _weight(data: bytes, rows: int) -> Tensor | None:
    """Returns the finite float32 weight `[rows, width]` in a file."""
    try:
        weight = load(data).get("weight")
    except (SafetensorError, KeyError):  # KeyError: a dtype unknown to torch
        return None
    if weight is None or weight.dtype != torch.float32 or weight.ndim != 2:
        return None
    return weight if len(weight) == rows and bool(weight.isfinite().all()) else None
