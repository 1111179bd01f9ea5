"""Encoders of open_clip: the visual tower of a CLIP, with its text tower for the head."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tuiprobe.errors import UsageError, WeightsError
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.info import PreprocessingInfo, WeightsInfo, state_digest
from tuiprobe.models.quiet import quiet
from tuiprobe.models.taps import Probe
from tuiprobe.models.weights import State, load_into, read_checkpoint, resolve

PRE_PROJECTION = "pre_projection"
"""Extra tap of CLIP transformers: the pooled token before the projection, where zero-shot and
finetuned models meet at one tensor."""


@dataclass(frozen=True)
class Request:
    """What to load.

    Attributes:
        name: What the user typed.
        architecture: open_clip's model name.
        tag: Pretrained tag; None without.
        activation: ``gelu`` or ``quickgelu`` where the user insists on one, else None.
        checkpoint: File with weights; None takes the tag's.
        untrained: Allow random weights, from a fixed seed.
    """

    name: str
    architecture: str
    tag: str | None = None
    activation: str | None = None
    checkpoint: Path | None = None
    untrained: bool = False


def load(request: Request, *, device: str, dtype: torch.dtype) -> Encoder:
    """Builds and loads one encoder.

    Raises:
        UsageError: If the architecture is unknown.
        WeightsError: If the weights are not to be had, do not fit, or want another activation.
    """
    config = _config(request)
    tag_config = _tag_config(request)
    _check_activation(request, config, tag_config)
    model = _build(request)
    weights = _load_weights(request, model, tag_config)
    visual = model.visual
    preprocess, preprocessing = _preprocessing(request, visual, tag_config)
    return Encoder(
        name=request.name,
        architecture=request.architecture,
        representation="projected",
        width=int(config["embed_dim"]),
        weights=weights,
        preprocessing=preprocessing,
        module=model,
        tower=visual,
        preprocess=preprocess,
        forward=_forward(visual),
        probes=_probes(visual),
        device=device,
        dtype=dtype,
        loader="open_clip",
        tag=request.tag,
    )


def _config(request: Request) -> dict[str, Any]:
    import open_clip

    config = open_clip.get_model_config(request.architecture)
    if config is None:
        near = get_close_matches(request.architecture, open_clip.list_models(), n=3, cutoff=0.4)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise UsageError(f"open_clip has no architecture {request.architecture!r}{hint}")
    return dict(config)


def _tag_config(request: Request) -> dict[str, Any]:
    from open_clip import pretrained

    if request.tag is None:
        if request.checkpoint is None and not request.untrained:
            tags = pretrained.list_pretrained_tags_by_model(request.architecture)
            named = f"a tag ({', '.join(tags)})" if tags else "no tag exists for it"
            raise WeightsError(
                f"{request.name} names no weights: add {named}, or pass --checkpoint FILE"
                if tags
                else f"{request.name} has no published weights: pass --checkpoint FILE"
            )
        return {}
    config = pretrained.get_pretrained_cfg(request.architecture, request.tag)
    if not config:
        tags = pretrained.list_pretrained_tags_by_model(request.architecture)
        have = f"its tags are {', '.join(tags)}" if tags else "it has no published weights"
        raise WeightsError(f"{request.architecture} has no tag {request.tag!r}; {have}")
    return dict(config)


def _check_activation(request: Request, config: dict[str, Any], tag_config: dict[str, Any]) -> None:
    """Refuses a tag whose weights were trained with another activation than the model has.

    open_clip only warns, and builds a model that runs and is wrong.
    """
    if not tag_config or request.activation is not None:
        return
    trained = bool(tag_config.get("quick_gelu", False))
    built = bool(config.get("quick_gelu", False))
    if trained == built or "timm_model_name" in config.get("vision_cfg", {}):
        return
    base = request.architecture.removesuffix("-quickgelu")
    right = f"{base}-quickgelu" if trained else base
    names = {True: "QuickGELU", False: "GELU"}
    insist = "quickgelu" if built else "gelu"
    raise WeightsError(
        f"the weights {request.tag!r} were trained with {names[trained]}, but "
        f"{request.architecture} is built with {names[built]} and would give wrong numbers: use "
        f"open_clip:{right}/{request.tag} (or insist with "
        f"open_clip:{request.architecture}/{request.tag}@{insist})"
    )


def _build(request: Request) -> Any:
    import open_clip

    overrides: dict[str, Any] = {}
    if request.activation is not None:
        overrides["quick_gelu"] = request.activation == "quickgelu"
    try:
        # A fixed seed: an untrained encoder is the same one every time.
        with quiet(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return open_clip.create_model(
                request.architecture,
                load_weights=False,
                pretrained_image=False,
                pretrained_text=False,
                **overrides,
            )
    except Exception as error:  # The text towers of some need the network or another package.
        raise WeightsError(f"{request.architecture} cannot be built: {error}") from error


def _load_weights(request: Request, model: Any, tag_config: dict[str, Any]) -> WeightsInfo:
    from open_clip import pretrained

    if request.checkpoint is not None:
        path, kind, source = request.checkpoint, "checkpoint", str(request.checkpoint)
    elif request.tag is not None:
        spec = f"open_clip:{request.architecture}/{request.tag}"
        with quiet():
            path = resolve(lambda: pretrained.download_pretrained(tag_config), what=spec)
        kind, source = "pretrained", str(tag_config.get("hf_hub") or tag_config.get("url") or path)
    else:
        digest = state_digest(model.state_dict())
        return WeightsInfo(kind="untrained", source="random initialisation, seed 0", digest=digest)
    state = _converted(read_checkpoint(path), model, resize=kind == "pretrained")
    load_into(model, state, source=str(path), target=f"open_clip:{request.architecture}")
    digest = state_digest(model.state_dict())
    if kind == "checkpoint":
        return WeightsInfo(kind="checkpoint", source=source, digest=digest)
    return WeightsInfo(kind="pretrained", source=source, digest=digest)


def _converted(state: State, model: Any, *, resize: bool) -> State:
    """Returns the state in open_clip's present names, as its own loader would convert it."""
    from open_clip.convert import convert_state_dict
    from open_clip.model import convert_to_custom_text_state_dict, resize_pos_embed

    state = convert_state_dict(model, state)
    for name in ("input_resolution", "context_length", "vocab_size"):
        state.pop(name, None)
    if "positional_embedding" in state and not hasattr(model, "positional_embedding"):
        state = convert_to_custom_text_state_dict(state)
    for name in ("logit_scale", "logit_bias"):
        own = getattr(model, name, None)
        if name in state and own is not None and state[name].numel() == own.numel():
            state[name] = state[name].reshape(own.shape)
    if resize:  # Some tags are published for another input size; a file must fit as it is.
        with quiet():
            resize_pos_embed(state, model)
    return state


def _preprocessing(
    request: Request, visual: Any, tag_config: dict[str, Any]
) -> tuple[Any, PreprocessingInfo]:
    from open_clip.transform import PreprocessCfg, image_transform_v2, merge_preprocess_dict

    config = PreprocessCfg(**merge_preprocess_dict(visual.preprocess_cfg, tag_config))
    config.size = visual.image_size
    origin = (
        f"open_clip tag {request.architecture}/{request.tag}"
        if tag_config
        else "preprocessing assumed: OpenAI's mean and std (the weights file names none)"
    )
    height, width = (config.size, config.size) if isinstance(config.size, int) else config.size
    info = PreprocessingInfo(
        size=(height, width),
        mean=tuple(config.mean),
        std=tuple(config.std),
        interpolation=config.interpolation,
        source=f"{origin}; resize {config.resize_mode}",
    )
    return image_transform_v2(config, is_train=False), info


def _forward(visual: nn.Module) -> Any:
    def forward(images: Tensor) -> Tensor:
        output = visual(images)
        # CoCa's tower returns its tokens too.
        h: Tensor = output[0] if isinstance(output, tuple) else output
        return h

    return forward


def _probes(visual: Any) -> dict[str, Probe]:
    """Returns the tap before the projection, for towers whose projection is a step of its own."""
    if getattr(visual, "proj", None) is not None and hasattr(visual, "ln_post"):
        if getattr(visual, "attn_pool_contrastive", None) is not None:
            return {}

        def pool(output: Any) -> Tensor:
            pooled: Tensor = output if output.ndim == 2 else visual._global_pool(output)[0]
            return pooled

        return {PRE_PROJECTION: Probe(visual.ln_post, pool)}
    if hasattr(visual, "trunk") and hasattr(getattr(visual, "head", None), "proj"):

        def trunk(output: Any) -> Tensor:
            features: Tensor = output
            return features

        return {PRE_PROJECTION: Probe(visual.trunk, trunk)}
    return {}
