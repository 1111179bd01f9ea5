"""Encoders of open_clip: a CLIP's visual tower, with its text tower for the head."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import open_clip
import torch
from torch import Tensor, nn

from tuiprobe.catalog.class_names import imagenet_templates
from tuiprobe.catalog.model_list import hub_cache
from tuiprobe.errors import WeightsError
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.info import PreprocessingInfo, WeightsInfo, weights_info
from tuiprobe.models.loaders.checkpoints import StateDict, load_into, read_checkpoint, seeded
from tuiprobe.models.loaders.open_clip_source import CONFIG_FILE, OpenClipSource, locate
from tuiprobe.models.loaders.published_weights import fetch_published, quiet, resolve
from tuiprobe.models.prompt_heads import TextTower, all_tokens, trained_scale
from tuiprobe.models.registry import Loader, ModelRequest
from tuiprobe.models.taps import PRE_PROJECTION, DerivedTap

_TOKENIZER_SUFFIXES = (".json", ".txt", ".model")
"""Of the files that tokenizers are made of; others of a repository are weights, pages or code."""


def load(request: ModelRequest) -> Encoder:
    """Builds and loads one encoder.

    Raises:
        UsageError: If the architecture is unknown.
        WeightsError: If the weights are unavailable, do not fit, or need another activation.
    """
    source = locate(request)
    # Checked before the model is built, which takes seconds.
    file = request.checkpoint or (source.weights() if source.weights is not None else None)
    model = _build(source, drawn=file is None)
    visual = model.visual
    weights, towers = _load_weights(request, source, model, file)
    preprocess, preprocessing = _preprocessing(source, visual)
    return Encoder(
        name=request.name,
        architecture=source.architecture,
        representation="projected",
        width=int(source.config["embed_dim"]),
        weights=weights,
        preprocessing=preprocessing,
        module=model if towers == 2 else visual,
        tower=visual,
        preprocess=preprocess,
        forward=_OpenClipForward(visual),
        extra_taps=_extra_taps(visual),
        device=request.device,
        dtype=request.dtype,
        loader="open_clip",
        tag=source.tag,
        text=_text_tower(source, model) if towers == 2 else None,
    )


def _build(source: OpenClipSource, *, drawn: bool) -> Any:
    import open_clip

    overrides: dict[str, Any] = {}
    if source.activation:
        overrides["quick_gelu"] = source.activation == "quickgelu"
    try:
        with seeded(drawn=drawn):
            return open_clip.create_model(
                source.model_name,
                load_weights=False,
                pretrained_image=False,
                pretrained_text=False,
                **overrides,
            )
    except Exception as error:  # Some text towers need network or packages.
        raise WeightsError(f"{source.architecture} cannot be built: {error}") from error


def _load_weights(
    request: ModelRequest, source: OpenClipSource, model: Any, file: Path | None
) -> tuple[WeightsInfo, int]:
    """Loads the weights of both towers, or those of the visual one where there are no others.

    Returns their kind, and the number of towers.
    """
    if file is None:
        return weights_info(model, "untrained", "random initialisation, seed 0"), 2
    published = source.published and request.checkpoint is None
    checkpoint = read_checkpoint(file)
    target, kind = f"open_clip:{source.architecture}", "pretrained" if published else "checkpoint"
    state: StateDict = checkpoint
    if request.checkpoint is not None and _is_visual(state, model.visual):
        part = load_into(model.visual, state, source=str(file), target=f"the tower of {target}")
        return weights_info(model.visual, kind, str(file), checkpoint.entries or part), 1
    with suppress(Exception):  # Of another architecture: report the names in the file.
        # Some tags were trained at another input size; a user's file must fit unchanged.
        state = _converted(dict(state), model, resize=published)
    part = load_into(model, state, source=str(file), target=target)
    origin = source.weights_source if request.checkpoint is None else str(file)
    return weights_info(model, kind, origin, checkpoint.entries or part), 2


def _is_visual(state: StateDict, visual: nn.Module) -> bool:
    """Returns whether a file holds nothing but a visual tower, under its names or any prefix."""
    built = {name for name, tensor in visual.state_dict().items() if tensor.ndim}
    stored = {name for name, tensor in state.items() if tensor.ndim}
    end = min(built)
    starts = [name.removesuffix(end) for name in stored if name.endswith(end)]
    return any({name.removeprefix(start) for name in stored} == built for start in starts)


def _converted(state: StateDict, model: Any, *, resize: bool) -> StateDict:
    """Converts the state to open_clip's current names, as its loader does."""
    from open_clip.convert import convert_state_dict
    from open_clip.model import convert_to_custom_text_state_dict, resize_pos_embed

    state = convert_state_dict(model, state)
    for name in ("input_resolution", "context_length", "vocab_size"):
        state.pop(name, None)
    if "positional_embedding" in state and not hasattr(model, "positional_embedding"):
        state = convert_to_custom_text_state_dict(state)
    for name in ("logit_scale", "logit_bias"):
        parameter = getattr(model, name, None)
        if name in state and parameter is not None and state[name].numel() == parameter.numel():
            state[name] = state[name].reshape(parameter.shape)
    if resize:
        with quiet():
            resize_pos_embed(state, model)
    return state


def _preprocessing(source: OpenClipSource, visual: Any) -> tuple[Any, PreprocessingInfo]:
    from open_clip.transform import PreprocessCfg, image_transform_v2, merge_preprocess_dict

    config = PreprocessCfg(**merge_preprocess_dict(PreprocessCfg(), source.preprocess))
    config.size = visual.image_size
    height, width = (config.size, config.size) if isinstance(config.size, int) else config.size
    info = PreprocessingInfo(
        size=(height, width),
        mean=tuple(config.mean),
        std=tuple(config.std),
        interpolation=config.interpolation,
        resize=config.resize_mode,
        source=f"{source.preprocess_source}; resize {config.resize_mode}",
        assumed=not source.preprocess,
    )
    return image_transform_v2(config, is_train=False), info


@dataclass(frozen=True)
class _OpenClipForward:
    """Maps images to the image embedding before normalisation, also in a copy of an encoder."""

    visual: nn.Module

    def __call__(self, images: Tensor) -> Tensor:
        output = self.visual(images)
        # CoCa's tower also returns tokens.
        h: Tensor = output[0] if isinstance(output, tuple) else output
        return h


def _extra_taps(visual: Any) -> dict[str, DerivedTap]:
    """Returns the tap before the projection, for towers with a separate projection."""
    if getattr(visual, "proj", None) is not None and hasattr(visual, "ln_post"):
        if getattr(visual, "attn_pool_contrastive", None) is not None:
            return {}

        def pool(output: Any) -> Tensor:
            pooled: Tensor = output if output.ndim == 2 else visual._global_pool(output)[0]
            return pooled

        return {PRE_PROJECTION: DerivedTap(visual.ln_post, pool)}
    if hasattr(visual, "trunk") and hasattr(getattr(visual, "head", None), "proj"):
        return {PRE_PROJECTION: DerivedTap(visual.trunk, lambda output: cast(Tensor, output))}
    return {}


def _text_tower(source: OpenClipSource, model: Any) -> TextTower:
    made: list[Any] = []

    def tokenize(prompts: Sequence[str]) -> Tensor:
        import open_clip

        if not made:  # Built on first use: some tokenizers are downloaded.
            try:
                with quiet():
                    made.append(
                        open_clip.get_tokenizer(source.model_name, cache_dir=str(hub_cache()))
                    )
            except Exception as error:
                raise WeightsError(
                    f"the tokenizer of {source.architecture} is not available ({error}). Fetch it "
                    f"where there is a network, or pass --head FILE"
                ) from error
        tokens: Tensor = made[0](list(prompts))
        return tokens

    text, side = source.config.get("text_cfg", {}), TextSide(model)
    scale, bias = trained_scale(model)
    return TextTower(
        tokenize=tokenize,
        encode=side.encode,
        lengths=side.lengths,
        context_length=int(text.get("context_length", 77)),
        tokenizer=str(text.get("hf_tokenizer_name") or "open_clip's byte-pair tokenizer"),
        templates=imagenet_templates(),
        logit_scale=scale,
        logit_bias=bias,
    )


def _fetch(spec: str, rest: str) -> list[Path]:
    """Caches the files of a spec: published weights or a repository, and the tokenizer."""
    import open_clip
    from open_clip import pretrained

    if rest.startswith("hf-hub:"):
        source = locate(ModelRequest(spec, rest, None, None, "cpu", torch.float32))
        tokenizer = _tokenizer(rest, source.config, spec)
        assert source.weights is not None, "a repository always has a way to its weights"
        weights = source.weights()
        config = weights.with_name(CONFIG_FILE)
        return [config, weights, *tokenizer]
    architecture, _, tag = rest.partition("@")[0].partition("/")

    def download() -> None:
        pretrained.download_pretrained(pretrained.get_pretrained_cfg(architecture, tag))

    file = fetch_published(spec, download)
    return [file, *_tokenizer(architecture, open_clip.get_model_config(architecture), spec)]


def _tokenizer(model_name: str, config: Mapping[str, Any], spec: str) -> list[Path]:
    """Builds the tokenizer once, which caches its files; returns them, if it has any."""
    import open_clip

    resolve(
        lambda: open_clip.get_tokenizer(model_name, cache_dir=str(hub_cache())),
        name=f"the tokenizer of {spec}",
    )
    repository = config.get("text_cfg", {}).get("hf_tokenizer_name")
    return tokenizer_files(repository) if repository else []


def tokenizer_files(repository: str) -> list[Path]:
    """Returns the cached files of a repository that a tokenizer may be made of."""
    from huggingface_hub import snapshot_download

    folder = snapshot_download(repository, cache_dir=hub_cache(), local_files_only=True)
    return sorted(file for file in Path(folder).iterdir() if file.suffix in _TOKENIZER_SUFFIXES)


LOADER = Loader(
    forms=("open_clip:ARCH/TAG", "open_clip:hf-hub:OWNER/NAME", "open_clip:local-dir:FOLDER"),
    load=load,
    fetch=_fetch,
)


class TextSide(nn.Module):
    """The text tower of an open_clip model.

    A causal tower that pools at the end token computes the same embedding from the tokens up to
    that one. It is then called with shorter tokens, which take a fraction of the time, and with its
    positional embedding and attention mask cut to them. Towers that see the padding (SigLIP, those
    of transformers) always get all tokens.

    Attributes:
        lengths: Maps tokens `[n, length]` to the number of tokens up to the end token;
            `all_tokens` for a tower that sees the padding.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        custom = isinstance(model, open_clip.CustomTextCLIP)
        tower = model.text if custom else model
        self._prefix = "model.text." if custom else "model."
        is_known = custom or isinstance(model, open_clip.CLIP)
        self.lengths = _lengths(tower) if is_known else all_tokens

    def forward(self, tokens: Tensor) -> Tensor:
        """Computes normalised embeddings `[n, width]` from tokens on the model's device."""
        embeddings: Tensor = self.model.encode_text(tokens, normalize=True)
        return embeddings

    def encode(self, tokens: Tensor) -> Tensor:
        """Computes normalised embeddings, float32 `[n, width]`, from tokens `[n, length]`."""
        tokens = tokens.to(next(self.parameters()).device)
        if self.lengths is all_tokens:
            return self.forward(tokens).float()
        length, prefix = tokens.shape[1], self._prefix
        cut = {
            f"{prefix}positional_embedding": self.get_parameter(f"{prefix}positional_embedding")[
                :length
            ],
            f"{prefix}attn_mask": self.get_buffer(f"{prefix}attn_mask")[:length, :length],
        }
        embeddings: Tensor = torch.func.functional_call(self, cut, (tokens,))
        return embeddings.float()


def _lengths(tower: Any) -> Callable[[Tensor], Tensor]:
    """Returns the function that counts the tokens that a tower sees."""
    if getattr(tower, "attn_mask", None) is None or getattr(tower, "cls_emb", None) is not None:
        return all_tokens
    of_clip = "text_" if isinstance(tower, open_clip.CLIP) else ""
    pool: str = getattr(tower, f"{of_clip}pool_type", "")
    end: Any = getattr(tower, f"{of_clip}eos_id", None)
    if pool == "argmax":
        return lambda tokens: tokens.argmax(dim=1) + 1
    if pool == "eos":
        return lambda tokens: tokens.eq(end).int().argmax(dim=1) + 1
    return all_tokens
