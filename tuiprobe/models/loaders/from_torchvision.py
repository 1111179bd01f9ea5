"""Encoders of torchvision: the features before the last linear layer."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from torch import nn

from tuiprobe.catalog.model_list import url_folder
from tuiprobe.errors import UsageError, WeightsError
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.heads import classifier_head
from tuiprobe.models.info import PreprocessingInfo, WeightsInfo, weights_info
from tuiprobe.models.loaders.checkpoints import load_into, read_checkpoint, seeded, with_classifier
from tuiprobe.models.loaders.from_module import BeforeLayer
from tuiprobe.models.loaders.published_weights import (
    check_url,
    is_offline,
    refuse_tag,
    resolve,
    sha256,
)
from tuiprobe.models.registry import Loader, ModelRequest, near_names

_AUXILIARY = ("googlenet", "inception_v3")


def load(request: ModelRequest) -> Encoder:
    """Builds and loads one encoder, named by `ARCHITECTURE/WEIGHTS`.

    Raises:
        UsageError: If the architecture is unknown or does not end in a linear layer.
        WeightsError: If the weights are unavailable or do not fit.
    """
    from torchvision import models

    architecture, _, tag = request.rest.partition("/")
    entry = _registered(request.name, architecture, tag, optional=request.checkpoint is not None)
    # The published weights of GoogLeNet and Inception include auxiliary classifiers.
    options: dict[str, Any] = {"init_weights": False} if architecture in _AUXILIARY else {}

    def build(**classes: int) -> tuple[nn.Module, str, nn.Linear]:
        with seeded(drawn=False):  # a file or the published weights replace all
            model = models.get_model(architecture, weights=None, **options, **classes)
        return (model, *_last_linear(architecture, model))

    model, layer, linear = build()
    rows: int | None
    if request.checkpoint is None:
        rows, weights = linear.out_features, _load_published(request.name, model, entry)
    else:
        state, rows = with_classifier(read_checkpoint(request.checkpoint), layer)
        source = str(request.checkpoint)
        if rows and rows != linear.out_features:
            model, layer, linear = build(num_classes=rows)
        absent = "" if rows else layer
        if absent:  # a backbone: no head is made of what is not in the file
            for parameter in linear.parameters():
                nn.init.zeros_(parameter)
        part = load_into(model, state, source=source, target=request.name, absent=absent)
        weights = weights_info(model, "checkpoint", source, state.entries or part)
    preprocess, preprocessing = _preprocessing(request.rest, entry)
    return Encoder(
        name=request.name,
        architecture=architecture,
        representation="token" if hasattr(model, "class_token") else "pooled",
        width=linear.in_features,
        weights=weights,
        preprocessing=preprocessing,
        module=model,
        preprocess=preprocess,
        forward=BeforeLayer(model, linear),
        device=request.device,
        dtype=request.dtype,
        loader="torchvision",
        tag=tag or None,
        classifier=classifier_head(linear) if rows else None,
    )


def _registered(name: str, architecture: str, tag: str, *, optional: bool = False) -> Any:
    """Returns the weights' entry in torchvision's registry; None without a tag, if optional."""
    from torchvision import models

    names = models.list_models(module=models)
    if architecture not in names:
        near = near_names(architecture, names)
        raise UsageError(f"torchvision has no classifier {architecture!r}{near}")
    entries = {e.name: e for e in models.get_model_weights(architecture)}
    refuse_tag(name, f"torchvision's {architecture}", tag, list(entries), optional)
    return entries.get(tag)


def _last_linear(architecture: str, model: nn.Module) -> tuple[str, nn.Linear]:
    """Returns name and layer of the classifier: the model's last layer, which must be linear."""
    names = {module: name for name, module in model.named_modules()}
    for name in ("fc", "classifier", "heads", "head"):
        layer = getattr(model, name, None)
        if layer is not None:
            last = [m for m in layer.modules() if not list(m.children())][-1]
            if isinstance(last, nn.Linear):
                return names[last], last
    raise UsageError(f"{architecture} ends in no linear classifier; its h is not defined")


def _load_published(name: str, model: Any, entry: Any) -> WeightsInfo:
    def download() -> None:
        state = entry.get_state_dict(progress=False, check_hash=True, weights_only=True)
        model.load_state_dict(state)

    check_url(entry.url, name)
    resolve(download, name=name, from_hub=False)
    return weights_info(model, "pretrained", entry.url)


def _preprocessing(rest: str, entry: Any) -> tuple[Any, PreprocessingInfo]:
    from torchvision.transforms._presets import ImageClassification

    if entry is None:
        transform = ImageClassification(crop_size=224)
        origin = "preprocessing assumed: torchvision's default for classification"
    else:
        transform = entry.transforms()
        origin = f"torchvision {rest}"
    side = transform.crop_size[0]
    info = PreprocessingInfo(
        size=(side, side),
        mean=tuple(transform.mean),
        std=tuple(transform.std),
        interpolation=transform.interpolation.value,
        source=f"{origin}; resize {transform.resize_size[0]}",
        assumed=entry is None,
    )
    return transform, info


def _fetch(spec: str, rest: str) -> list[Path]:
    architecture, _, tag = rest.partition("/")
    entry = _registered(spec, architecture, tag)
    check_url(entry.url, spec)
    file = url_folder("torchvision") / PurePosixPath(urlsplit(entry.url).path).name

    def download() -> None:
        entry.get_state_dict(progress=False, check_hash=True, weights_only=True)

    if not (is_offline() and file.is_file()):
        resolve(download, name=spec, from_hub=False)
    # torchvision's file names end in the first digits of the digest.
    digest = file.stem.rpartition("-")[2]
    if not sha256(file).startswith(digest):
        raise WeightsError(
            f"{file} is damaged: its SHA-256 does not start with {digest}; delete it"
        )
    return [file]


LOADER = Loader(forms=("torchvision:NAME/WEIGHTS",), load=load, fetch=_fetch)
