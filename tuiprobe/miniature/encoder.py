"""The small models that ship with the package: a demonstration of the pipeline, never evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL.Image import Resampling
from torch import Tensor

from tuiprobe.miniature.captions import WordTokenizer
from tuiprobe.miniature.networks import CLIP
from tuiprobe.miniature.weights import build
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.heads import classifier_head
from tuiprobe.models.info import PreprocessingInfo, weights_info
from tuiprobe.models.loaders.checkpoints import load_into, read_checkpoint
from tuiprobe.models.prompt_heads import TextTower, trained_scale
from tuiprobe.models.registry import Loader, ModelRequest

if TYPE_CHECKING:
    from PIL.Image import Image


def load(request: ModelRequest) -> Encoder:
    """Returns one of `weights.MODEL_NAMES` as an encoder.

    Raises:
        WeightsError: If the weights are missing, damaged or do not fit.
    """
    name, checkpoint = request.rest, request.checkpoint
    untrained = request.untrained or checkpoint is not None
    module, tokenizer, card = build(name, weights="untrained" if untrained else "shipped")
    entries: tuple[str, ...] = ()
    if checkpoint is not None:
        state = read_checkpoint(checkpoint)
        part = load_into(module, state, source=str(checkpoint), target=name)
        kind, source, entries = "checkpoint", str(checkpoint), state.entries or part
    elif untrained:
        kind, source = "untrained", "random initialisation, fixed seed"
    else:
        kind, source = "pretrained", "shipped with tuiprobe"
    size, mean, std = int(card["size"]), tuple(card["mean"]), tuple(card["std"])
    model: Any = module
    shipped = card["card"].get("accuracy", {}) if kind == "pretrained" else {}
    return Encoder(
        name=request.name,
        architecture=card["architecture"],
        representation=card["representation"],
        width=int(card["width"]),
        weights=weights_info(module, kind, source, entries),
        preprocessing=PreprocessingInfo(
            size=(size, size),
            mean=mean,
            std=std,
            interpolation=card["interpolation"],
            source=f"preset {name}; resize shortest",
        ),
        module=module,
        tower=model.visual,
        preprocess=Preprocess(size, mean, std),
        forward=model.visual,
        device=request.device,
        dtype=request.dtype,
        loader="miniature",
        training=card["training"],
        accuracies={f"miniature:{k}": row["hits"] / row["n"] for k, row in shipped.items()},
        text=None if tokenizer is None else _text_tower(model, tokenizer, card["templates"]),
        classifier=None
        if tokenizer is not None
        else replace(classifier_head(model.head), classes=tuple(card["classes"])),
    )


@dataclass(frozen=True)
class Preprocess:
    """What torchvision's transforms of a CLIP do, bit for bit: resize, crop, scale, normalise.

    Importing torchvision takes longer than everything else of a small run but torch.

    Attributes:
        size: Side of the square.
        mean: Mean of each channel.
        std: Deviation of each channel.
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, image: Image) -> Tensor:
        """Converts an RGB image to `[3, size, size]`."""
        short, long = sorted(image.size)
        if short != self.size:
            sides = {short: self.size, long: self.size * long // short}
            image = image.resize((sides[image.width], sides[image.height]), Resampling.BICUBIC)
        left, top = (round((side - self.size) / 2) for side in image.size)
        image = image.crop((left, top, left + self.size, top + self.size)).convert("RGB")
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)
        mean, std = (torch.tensor(values)[:, None, None] for values in (self.mean, self.std))
        return pixels.sub_(mean).div_(std)


def _text_tower(model: CLIP, tokenizer: WordTokenizer, templates: Sequence[str]) -> TextTower:
    scale, bias = trained_scale(model)
    return TextTower(
        tokenize=tokenizer,
        encode=lambda tokens: model.encode_text(
            tokens.to(model.logit_scale.device), normalize=True
        ).float(),
        lengths=lambda tokens: tokens.argmax(dim=1) + 1,
        context_length=tokenizer.context_length,
        tokenizer="the miniature's word tokenizer",
        templates=tuple(templates),
        logit_scale=scale,
        logit_bias=bias,
    )


LOADER = Loader(forms=("miniature:NAME",), load=load, fetch=lambda spec, rest: [])
