"""The small models that ship with the package: a demonstration of the pipeline, never evidence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tuiprobe.miniature.weights import build
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.from_open_clip import text_tower
from tuiprobe.models.heads import classifier_head
from tuiprobe.models.info import PreprocessingInfo, weights_info
from tuiprobe.models.registry import Loader, ModelRequest
from tuiprobe.models.weights import load_into, read_checkpoint


def load(request: ModelRequest) -> Encoder:
    """Returns one of `weights.MODEL_NAMES` as an encoder.

    Raises:
        WeightsError: If the weights are missing, damaged or do not fit.
    """
    from open_clip.transform import PreprocessCfg, image_transform_v2

    name, checkpoint = request.rest, request.checkpoint
    untrained = request.untrained or checkpoint is not None
    module, tokenizer, card = build(name, weights="untrained" if untrained else "shipped")
    if checkpoint is not None:
        load_into(module, read_checkpoint(checkpoint), source=str(checkpoint), target=name)
        kind, source = "checkpoint", str(checkpoint)
    elif untrained:
        kind, source = "untrained", "random initialisation, fixed seed"
    else:
        kind, source = "pretrained", "shipped with tuiprobe"
    size, mean, std = int(card["size"]), tuple(card["mean"]), tuple(card["std"])
    config = PreprocessCfg(size=size, mean=mean, std=std, interpolation=card["interpolation"])
    model: Any = module
    shipped = card["card"].get("accuracy", {}) if kind == "pretrained" else {}
    return Encoder(
        name=request.name,
        architecture=card["architecture"],
        representation=card["representation"],
        width=int(card["width"]),
        weights=weights_info(module, kind, source),
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
        device=request.device,
        dtype=request.dtype,
        loader="miniature",
        training=card["training"],
        accuracies={f"miniature:{k}": row["hits"] / row["n"] for k, row in shipped.items()},
        text=None
        if tokenizer is None
        else text_tower(
            model,
            tokenizer,
            context_length=tokenizer.context_length,
            tokenizer="the miniature's word tokenizer",
            templates=tuple(card["templates"]),
        ),
        classifier=None
        if tokenizer is not None
        else replace(classifier_head(model.head), classes=tuple(card["classes"])),
    )


LOADER = Loader(forms=("miniature:NAME",), load=load, fetch=lambda spec, rest: [])
