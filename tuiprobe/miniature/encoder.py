"""The small models that ship with the package: a demonstration of the pipeline, never evidence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tuiprobe.miniature.build import build
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.heads import Head, TextTower, trained_scale
from tuiprobe.models.info import PreprocessingInfo, WeightsInfo, state_digest
from tuiprobe.models.registry import Loader, Wanted
from tuiprobe.models.text_side import TextSide
from tuiprobe.models.weights import load_into, read_checkpoint


def load(
    name: str,
    checkpoint: Path | None,
    *,
    device: str,
    dtype: torch.dtype,
    untrained: bool = False,
) -> Encoder:
    """Returns one of `weights.MODEL_NAMES` as an encoder.

    Args:
        name: Name of the model.
        checkpoint: File with weights; None for the shipped ones.
        device: Device of the encoder.
        dtype: Floating point type.
        untrained: Whether to use random weights from a fixed seed instead.

    Raises:
        WeightsError: If the weights are missing, damaged or do not fit.
    """
    from open_clip.transform import PreprocessCfg, image_transform_v2

    if untrained:
        module, tokenizer, card = build(name, weights="untrained")
        kind, source = "untrained", "random initialisation, fixed seed"
    elif checkpoint is None:
        module, tokenizer, card = build(name)
        kind, source = "pretrained", "shipped with tuiprobe"
    else:
        module, tokenizer, card = build(name, weights="untrained")
        load_into(module, read_checkpoint(checkpoint), source=str(checkpoint), target=name)
        kind, source = "checkpoint", str(checkpoint)
    size, mean, std = int(card["size"]), tuple(card["mean"]), tuple(card["std"])
    config = PreprocessCfg(size=size, mean=mean, std=std, interpolation=card["interpolation"])
    model: Any = module
    digest = state_digest(module.state_dict())
    shipped = card["card"].get("accuracy", {}) if kind == "pretrained" else {}
    return Encoder(
        name=name,
        architecture=card["architecture"],
        representation=card["representation"],
        width=int(card["width"]),
        weights=WeightsInfo(kind=kind, source=source, digest=digest),  # type: ignore[arg-type]
        preprocessing=PreprocessingInfo(
            size=(size, size),
            mean=mean,
            std=std,
            interpolation=card["interpolation"],
            source=f"preset {name}; resize shortest",
        ),
        module=module,
        tower=model.visual,
        preprocess=image_transform_v2(config, is_train=False),
        forward=model.visual,
        device=device,
        dtype=dtype,
        loader="miniature",
        training=card["training"],
        accuracies={f"miniature:{k}": one["hits"] / one["n"] for k, one in shipped.items()},
        text=None if tokenizer is None else _text_tower(model, tokenizer, card),
        classifier=None if tokenizer is not None else _classifier(model, card),
    )


def _text_tower(model: Any, tokenizer: Any, card: dict[str, Any]) -> TextTower:
    def tokenize(prompts: Sequence[str]) -> Tensor:
        tokens: Tensor = tokenizer(list(prompts))
        return tokens

    side = TextSide(model)
    scale, bias = trained_scale(model)
    return TextTower(
        tokenize=tokenize,
        encode=side.encode,
        lengths=side.lengths,
        context_length=int(tokenizer.context_length),
        tokenizer="the miniature's word tokenizer",
        templates=tuple(card["templates"]),
        logit_scale=scale,
        logit_bias=bias,
    )


def _classifier(model: Any, card: dict[str, Any]) -> Head:
    weight, bias = model.head.weight.detach().float(), model.head.bias.detach().float()
    names = tuple(card["classes"])
    return Head(weight, bias, names, source=f"classifier, {len(names)} classes")


def _load(wanted: Wanted) -> Encoder:
    encoder = load(wanted.rest, wanted.checkpoint, device=wanted.device, dtype=wanted.dtype)
    encoder.name = wanted.name
    return encoder


def _nothing_to_fetch(spec: str, rest: str) -> list[Path]:
    return []


LOADER = Loader(forms=("miniature:NAME",), load=_load, fetch=_nothing_to_fetch)
