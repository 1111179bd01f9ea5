"""Encoders of timm: the features in front of the classifier."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tuiprobe.errors import UsageError, WeightsError
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.info import PreprocessingInfo, Representation, WeightsInfo, state_digest
from tuiprobe.models.quiet import quiet
from tuiprobe.models.weights import State, load_into, read_checkpoint, resolve


@dataclass(frozen=True)
class Request:
    """What to load.

    Attributes:
        name: What the user typed.
        architecture: timm's model name, with or without its tag.
        checkpoint: File with weights; None takes the tag's.
        untrained: Allow random weights, from a fixed seed.
    """

    name: str
    architecture: str
    checkpoint: Path | None = None
    untrained: bool = False


def load(request: Request, *, device: str, dtype: torch.dtype) -> Encoder:
    """Builds and loads one encoder.

    Raises:
        UsageError: If the architecture is unknown.
        WeightsError: If the weights are not to be had or do not fit.
    """
    _check_name(request)
    if request.checkpoint is not None:
        state = read_checkpoint(request.checkpoint)
        model = _build(request, num_classes=_classes_in(request, state))
        state = _converted(state, model)
        target = f"timm:{request.architecture}"
        load_into(model, state, source=str(request.checkpoint), target=target)
        kind, source = "checkpoint", str(request.checkpoint)
    else:
        model, kind, source = _published(request)
    digest = state_digest(model.state_dict())
    weights = WeightsInfo(kind=kind, source=source, digest=digest)  # type: ignore[arg-type]
    preprocess, preprocessing = _preprocessing(request, model)
    representation, width = _representation(model, preprocessing.size)
    tag = model.pretrained_cfg.get("tag") or None
    return Encoder(
        name=request.name,
        architecture=request.architecture,
        representation=representation,
        width=width,
        weights=weights,
        preprocessing=preprocessing,
        module=model,
        preprocess=preprocess,
        forward=_forward(model),
        device=device,
        dtype=dtype,
        loader="timm",
        tag=tag,
    )


def _check_name(request: Request) -> None:
    import timm

    base, _, tag = request.architecture.partition(".")
    if not timm.is_model(base):
        near = get_close_matches(base, timm.list_models(), n=3, cutoff=0.6)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise UsageError(f"timm has no architecture {base!r}{hint}")
    tags = [n.partition(".")[2] for n in timm.list_pretrained(f"{base}.*")]
    if tag and tag not in tags:
        have = f"its tags are {', '.join(tags)}" if tags else "it has no published weights"
        raise WeightsError(f"timm's {base} has no tag {tag!r}; {have}")
    if not tags and request.checkpoint is None and not request.untrained:
        raise WeightsError(f"timm's {base} has no published weights; pass --checkpoint FILE")


def _build(request: Request, num_classes: int | None = None, pretrained: bool = False) -> Any:
    import timm

    # A fixed seed: an untrained encoder is the same one every time.
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return timm.create_model(
            request.architecture, pretrained=pretrained, num_classes=num_classes
        )


def _published(request: Request) -> tuple[Any, str, str]:
    if request.untrained:
        return _build(request), "untrained", "random initialisation, seed 0"
    built: list[Any] = []

    def fetch() -> str:
        built.append(_build(request, pretrained=True))
        return ""

    resolve(fetch, what=f"timm:{request.architecture}")
    config = built[0].pretrained_cfg
    return built[0], "pretrained", str(config.get("hf_hub_id") or config.get("url") or "timm")


def _classes_in(request: Request, state: State) -> int | None:
    """Returns the number of classes of the classifier in the file; None where it has none."""
    import timm

    config = timm.get_pretrained_cfg(request.architecture)
    classifier = config.classifier if config is not None else None
    weight = state.get(f"{classifier}.weight") if isinstance(classifier, str) else None
    return None if weight is None else int(weight.shape[0])


def _converted(state: State, model: Any) -> State:
    """Returns the state in timm's names, through the model's own filter where names differ."""
    if set(state) == set(model.state_dict()):
        return state
    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return state
    try:
        with quiet():
            converted: State = convert(dict(state), model)
    except Exception:  # The file is of another architecture: its own names explain best.
        return state
    return converted


def _preprocessing(request: Request, model: Any) -> tuple[Any, PreprocessingInfo]:
    from timm.data import create_transform, resolve_model_data_config

    # timm's published accuracies are measured at the test size, where the model can take it.
    test_size = not model.pretrained_cfg.get("fixed_input_size", False)
    config = resolve_model_data_config(model, use_test_size=test_size)
    named = "." in request.architecture
    origin = (
        f"timm {request.architecture}"
        if named or request.checkpoint is None
        else f"preprocessing assumed: timm's default for {request.architecture}"
    )
    info = PreprocessingInfo(
        size=(config["input_size"][1], config["input_size"][2]),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=config["interpolation"],
        source=f"{origin}; crop {config['crop_pct']} {config['crop_mode']}",
    )
    return create_transform(**config, is_training=False), info


def _forward(model: Any) -> Any:
    def forward(images: Tensor) -> Tensor:
        features: Tensor = model.forward_head(model.forward_features(images), pre_logits=True)
        return features

    return forward


def _representation(model: Any, size: tuple[int, int]) -> tuple[Representation, int]:
    """Returns kind and width of h, by what the model makes of an image.

    Tokens in front of the head make a ``token`` representation, a feature map a ``pooled`` one.
    """
    model.eval()
    with torch.inference_mode():
        features = model.forward_features(torch.zeros(1, 3, *size))
        h = model.forward_head(features, pre_logits=True)
    return ("token" if features.ndim == 3 else "pooled"), int(h.shape[-1])
