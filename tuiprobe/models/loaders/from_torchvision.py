"""Encoders of torchvision: the features before the last linear layer."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import nn

from tuiprobe.catalog.model_list import url_folder
from tuiprobe.errors import UsageError, WeightsError
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.heads import classifier_of_file
from tuiprobe.models.info import PreprocessingInfo, WeightsInfo, weights_info
from tuiprobe.models.loaders.checkpoints import (
    Checkpoint,
    StateDict,
    load_into,
    read_checkpoint,
    seeded,
    with_classifier,
)
from tuiprobe.models.loaders.from_module import BeforeLayers
from tuiprobe.models.loaders.published_weights import (
    check_url,
    is_offline,
    refuse_tag,
    resolve,
    sha256,
)
from tuiprobe.models.registry import Loader, ModelRequest
from tuiprobe.plaintext import did_you_mean, joined

_NORMALISES = ("googlenet", "inception_v3")
"""Architectures that may normalise their input once more, which no state dict says.

Their auxiliary classifiers answer in training alone, and are left out.
"""

_AUXILIARY = re.compile(r"(^|\.)(aux1|aux2|AuxLogits)\.")

_EARLIER = (
    (re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)"), r"\1\2"),
    (re.compile(r"(\.mlp)\.linear_1\."), r"\1.0."),
    (re.compile(r"(\.mlp)\.linear_2\."), r"\1.3."),
)
"""Names of layers in earlier versions, also in published files, and what they are now."""


def load(request: ModelRequest) -> Encoder:
    """Builds and loads one encoder, named by `ARCHITECTURE/WEIGHTS`.

    Without `WEIGHTS`, a checkpoint gets the preprocessing of the architecture's default weights.

    Raises:
        UsageError: If the architecture is unknown or does not end in a linear layer.
        WeightsError: If the weights are unavailable or do not fit.
    """
    architecture, _, tag = request.rest.partition("/")
    entries = _registered(request.name, architecture, tag, optional=request.checkpoint is not None)
    file: Checkpoint | None = None
    if request.checkpoint is not None:
        read = read_checkpoint(request.checkpoint)
        file = read.with_tensors(_current(read))
    entry = _entry_of(architecture, entries, file or {})
    options, normalises = _options(architecture, entry, file)

    build = partial(_built, architecture, options)
    if file is None:
        model, _, linear = build()
        state, classifies = Checkpoint({}), True
        weights = _load_published(request.name, model, entry)
    else:
        model, linear, state, classifies = _of_file(build, file, request)
        weights = weights_info(model, "checkpoint", str(request.checkpoint), state.entries)
    preprocess, preprocessing = _preprocessing(architecture, entries, entry, assumed=not tag)
    if normalises and not tag:
        source = f"{preprocessing.source}; {normalises}"
        preprocessing = preprocessing.model_copy(update={"source": source})
    forward = BeforeLayers(model.eval(), [linear])
    noise = torch.randn(1, 3, *preprocessing.size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        h = forward(noise) if state.behind else noise
    head = classifier_of_file(linear, state, weights.source, h) if classifies else None
    off = architecture in _NORMALISES and not options["transform_input"]
    return Encoder(
        name=request.name,
        architecture=f"{architecture} without transform_input" if off else architecture,
        representation="token" if hasattr(model, "class_token") else "pooled",
        width=linear.in_features,
        weights=weights,
        preprocessing=preprocessing,
        module=model,
        preprocess=preprocess,
        forward=forward,
        device=request.device,
        dtype=request.dtype,
        loader="torchvision",
        tag=tag or None,
        classifier=head,
    )


def _built(
    architecture: str, options: dict[str, Any], **classes: int
) -> tuple[nn.Module, str, nn.Linear]:
    """Builds a model; also returns the name and layer of its classifier."""
    from torchvision import models

    with seeded(drawn=False):  # a file or the published weights replace all
        model = models.get_model(architecture, weights=None, **options, **classes)
    return (model, *_last_linear(architecture, model))


def _of_file(
    build: Callable[..., tuple[nn.Module, str, nn.Linear]], file: Checkpoint, request: ModelRequest
) -> tuple[nn.Module, nn.Linear, Checkpoint, bool]:
    """Builds a model with as many classes as a file has, and loads it.

    Returns:
        The model, its last layer, the tensors of the file, and whether they have this layer.
    """
    model, layer, linear = build()
    state, rows = with_classifier(file, layer, biased=linear.bias is not None)
    if rows and rows != linear.out_features:
        model, layer, linear = build(num_classes=rows)
    if not rows:  # a backbone: no head is made of what is not in the file
        for parameter in linear.parameters():
            nn.init.zeros_(parameter)
    source, absent = str(request.checkpoint), "" if rows else layer
    part = load_into(model, state, source=source, target=request.name, absent=absent)
    state.entries = state.entries or part
    return model, linear, state, bool(rows)


def _registered(name: str, architecture: str, tag: str, *, optional: bool = False) -> list[Any]:
    """Returns the entries of the weights in torchvision's registry: that of the tag, or all.

    The default one is first.

    Raises:
        UsageError: If torchvision has no classifier of this architecture.
        WeightsError: If it does not have these weights, or none are named and `optional` is False.
    """
    from torchvision import models

    names = models.list_models(module=models)
    if architecture not in names:
        near = did_you_mean(architecture, names)
        raise UsageError(f"torchvision has no classifier {architecture!r}{near}")
    registry = models.get_model_weights(architecture)
    refuse_tag(name, f"torchvision's {architecture}", tag, [e.name for e in registry], optional)
    if tag:
        return [registry[tag]]
    return sorted(registry, key=lambda entry: entry is not registry.DEFAULT)


def _current(state: StateDict) -> StateDict:
    """Returns weights by the names of this version, without auxiliary classifiers."""
    current = {}
    for name, tensor in state.items():
        if _AUXILIARY.search(name):
            continue
        for earlier, now in _EARLIER:
            name = earlier.sub(now, name)
        current[name] = tensor
    return current


def _entry_of(architecture: str, entries: list[Any], state: StateDict) -> Any:
    """Returns the entry that weights are of: of a transformer, the first one of their size."""
    positions = (t for name, t in state.items() if name.endswith("encoder.pos_embedding"))
    tokens = next((t.shape[1] for t in positions if t.ndim == 3), None)
    if architecture.startswith("vit_") and tokens is not None:
        side = math.isqrt(tokens - 1) * int(architecture.rpartition("_")[2])
        entries = [e for e in entries if e.meta["min_size"][0] == side] or entries
    return entries[0]


def _options(architecture: str, entry: Any, file: Checkpoint | None) -> tuple[dict[str, Any], str]:
    """Returns how torchvision builds an architecture for weights, and what of it is assumed."""
    if architecture.startswith("vit_"):
        return {"image_size": entry.meta["min_size"][0]}, ""
    if architecture not in _NORMALISES:
        return {}, ""
    options = {"init_weights": False, "aux_logits": False, "transform_input": True}
    if file is None:
        return options, ""
    said = file.metadata.get("transform_input")
    if isinstance(said, bool):  # TorchScript
        return options | {"transform_input": said}, ""
    return options, (
        "transform_input assumed, as for the published weights; if these were trained from "
        "scratch (weights=None), build the model in a file of yours (py:FILE.py:NAME)"
    )


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
        for name in state.keys() - (current := _current(state)).keys():
            del state[name]
        state.update(current)  # it also holds the versions of its layers
        model.load_state_dict(state)

    check_url(entry.url, name)
    resolve(download, name=name, from_hub=False)
    return weights_info(model, "pretrained", entry.url)


def _preprocessing(
    architecture: str, entries: list[Any], entry: Any, *, assumed: bool
) -> tuple[Any, PreprocessingInfo]:
    """Returns the preprocessing of an entry; if it is assumed, it is said where others differ."""
    transform = entry.transforms()
    side, resize = transform.crop_size[0], transform.resize_size[0]
    source = f"torchvision {architecture}/{entry.name}; resize {resize}"
    if assumed:
        source = f"preprocessing assumed: {source}, crop {side}"
        others = {e.name: e.transforms() for e in entries if e is not entry}
        different = [n for n, t in others.items() if repr(t) != repr(transform)]
        source += f"; that of {joined(different, 3)} differs" if different else ""
    info = PreprocessingInfo(
        size=(side, side),
        mean=tuple(transform.mean),
        std=tuple(transform.std),
        interpolation=transform.interpolation.value,
        resize=str(resize),
        source=source,
        assumed=assumed,
    )
    return transform, info


def _fetch(spec: str, rest: str) -> list[Path]:
    architecture, _, tag = rest.partition("/")
    (entry,) = _registered(spec, architecture, tag)
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
