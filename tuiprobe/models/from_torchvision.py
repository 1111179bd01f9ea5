"""Encoders of torchvision: the features before the last linear layer."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import Tensor, nn

from tuiprobe.catalog.cached import url_folder
from tuiprobe.catalog.labels import imagenet_names
from tuiprobe.errors import UsageError, WeightsError
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.heads import Head
from tuiprobe.models.info import PreprocessingInfo, WeightsInfo, state_digest
from tuiprobe.models.offline import check_url, is_offline, sha256
from tuiprobe.models.quiet import quiet
from tuiprobe.models.registry import Loader, Wanted
from tuiprobe.models.weights import load_into, read_checkpoint, resolve
from tuiprobe.results.subject import Representation


@dataclass(frozen=True)
class TorchvisionRequest:
    """What to load.

    Attributes:
        name: What the user typed.
        architecture: torchvision's name of a classification model.
        tag: Name of its weights, such as `IMAGENET1K_V2`; None if there is none.
        checkpoint: File with weights; None for the tag's.
    """

    name: str
    architecture: str
    tag: str | None = None
    checkpoint: Path | None = None


def load(request: TorchvisionRequest, *, device: str, dtype: torch.dtype) -> Encoder:
    """Builds and loads one encoder.

    Raises:
        UsageError: If the architecture is unknown or does not end in a linear layer.
        WeightsError: If the weights are unavailable or do not fit.
    """
    published = published_weights(request)
    model = _build(request)
    linear = _last_linear(request, model)
    weights = _load_weights(request, model, published)
    preprocess, preprocessing = _preprocessing(request, published)
    tokens = hasattr(model, "class_token")
    representation: Representation = "token" if tokens else "pooled"
    bias = None if linear.bias is None else linear.bias.detach().float()
    count = linear.out_features
    names = imagenet_names() if count == 1000 else tuple(str(i) for i in range(count))
    source = f"classifier, {count} classes"
    classifier = Head(linear.weight.detach().float(), bias, names, source=source)
    return Encoder(
        name=request.name,
        architecture=request.architecture,
        representation=representation,
        width=linear.in_features,
        weights=weights,
        preprocessing=preprocessing,
        module=model,
        preprocess=preprocess,
        forward=_TorchvisionForward(model, linear),
        device=device,
        dtype=dtype,
        loader="torchvision",
        tag=request.tag,
        classifier=classifier,
    )


def published_weights(request: TorchvisionRequest) -> Any:
    """Returns the weights' entry in torchvision's registry; None if only a file is given."""
    from torchvision import models

    names = models.list_models(module=models)
    if request.architecture not in names:
        near = get_close_matches(request.architecture, names, n=3, cutoff=0.6)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise UsageError(f"torchvision has no classifier {request.architecture!r}{hint}")
    entries = {e.name: e for e in models.get_model_weights(request.architecture)}
    if request.tag is not None:
        if request.tag not in entries:
            raise WeightsError(
                f"torchvision's {request.architecture} has no weights {request.tag!r}; "
                f"it has {', '.join(entries)}"
            )
        return entries[request.tag]
    if request.checkpoint is None:
        raise WeightsError(
            f"{request.name} names no weights: add a tag ({', '.join(entries)}), "
            "or pass --checkpoint FILE"
        )
    return None


def _build(request: TorchvisionRequest) -> Any:
    from torchvision import models

    # The published weights of GoogLeNet and Inception include auxiliary classifiers.
    options = {"init_weights": False} if request.architecture in _AUXILIARY else {}
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return models.get_model(request.architecture, weights=None, **options)


_AUXILIARY = ("googlenet", "inception_v3")


def _last_linear(request: TorchvisionRequest, model: nn.Module) -> nn.Linear:
    """Returns the classifier: the model's last layer, which must be linear."""
    for name in ("fc", "classifier", "heads", "head"):
        layer = getattr(model, name, None)
        if layer is not None:
            last = [m for m in layer.modules() if not list(m.children())][-1]
            if isinstance(last, nn.Linear):
                return last
    raise UsageError(f"{request.architecture} ends in no linear classifier; its h is not defined")


def _load_weights(request: TorchvisionRequest, model: Any, published: Any) -> WeightsInfo:
    if request.checkpoint is not None:
        state, source = read_checkpoint(request.checkpoint), str(request.checkpoint)
        load_into(model, state, source=source, target=request.name)
        digest = state_digest(model.state_dict())
        return WeightsInfo(kind="checkpoint", source=source, digest=digest)

    def fetch() -> str:
        state = published.get_state_dict(progress=False, check_hash=True, weights_only=True)
        model.load_state_dict(state)
        return ""

    check_url(published.url, request.name)
    resolve(fetch, what=request.name)
    digest = state_digest(model.state_dict())
    return WeightsInfo(kind="pretrained", source=published.url, digest=digest)


def _preprocessing(request: TorchvisionRequest, published: Any) -> tuple[Any, PreprocessingInfo]:
    from torchvision.transforms._presets import ImageClassification

    if published is None:
        transform = ImageClassification(crop_size=224)
        origin = "preprocessing assumed: torchvision's default for classification"
    else:
        transform = published.transforms()
        origin = f"torchvision {request.architecture}/{request.tag}"
    side = transform.crop_size[0]
    info = PreprocessingInfo(
        size=(side, side),
        mean=tuple(transform.mean),
        std=tuple(transform.std),
        interpolation=transform.interpolation.value,
        source=f"{origin}; resize {transform.resize_size[0]}",
        assumed=published is None,
    )
    return transform, info


class _TorchvisionForward:
    """Maps images to the input of the classifier, captured by a hook."""

    def __init__(self, model: nn.Module, linear: nn.Linear) -> None:
        self._model = model
        self._caught: list[Tensor] = []
        linear.register_forward_pre_hook(self._catch)

    def _catch(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._caught.append(inputs[0])

    def __call__(self, images: Tensor) -> Tensor:
        self._caught.clear()
        self._model(images)
        return self._caught.pop().flatten(1)


def _fetch(spec: str, rest: str) -> list[Path]:
    architecture, _, tag = rest.partition("/")
    entry = published_weights(TorchvisionRequest(spec, architecture, tag or None))
    check_url(entry.url, spec)
    file = url_folder("torchvision") / PurePosixPath(urlsplit(entry.url).path).name

    def download() -> str:
        entry.get_state_dict(progress=False, check_hash=True, weights_only=True)
        return str(file)

    if not (is_offline() and file.is_file()):
        resolve(download, what=spec)
    # torchvision's file names end in the first digits of the digest.
    wanted = file.stem.rpartition("-")[2]
    if not sha256(file).startswith(wanted):
        raise WeightsError(
            f"{file} is damaged: its SHA-256 does not start with {wanted}; delete it"
        )
    return [file]


def _load(wanted: Wanted) -> Encoder:
    architecture, _, tag = wanted.rest.partition("/")
    request = TorchvisionRequest(wanted.name, architecture, tag or None, wanted.checkpoint)
    return load(request, device=wanted.device, dtype=wanted.dtype)


LOADER = Loader(forms=("torchvision:NAME/WEIGHTS",), load=_load, fetch=_fetch)
