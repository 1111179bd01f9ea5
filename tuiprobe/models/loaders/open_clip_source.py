"""Finds open_clip models: in its registry, a Hugging Face repository, or a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuiprobe.catalog.published_models import right_spec
from tuiprobe.errors import UsageError, WeightsError
from tuiprobe.files import UNFIT, DamagedFileError, parse_json, read_regular
from tuiprobe.models.loaders.published_weights import check_reachable, refuse_tag, resolve, verified
from tuiprobe.models.registry import ModelRequest
from tuiprobe.plaintext import did_you_mean

CONFIG_FILE = "open_clip_config.json"

_FILES = (
    "open_clip_model.safetensors",
    *(f"open_clip_pytorch_model.{suffix}" for suffix in ("safetensors", "bin", "pth")),
    *("model.safetensors", "pytorch_model.bin", "pytorch_model.pth", "model.pth"),
)
"""File names of weights in a folder, in open_clip's order; other names come after these."""

_SUFFIXES = (".safetensors", ".bin", ".pth")


@dataclass(frozen=True)
class OpenClipSource:
    """Configuration, preprocessing and weights of a requested model.

    Attributes:
        model_name: Model name for open_clip's factory.
        architecture: Display name of the architecture, including a non-default activation.
        config: open_clip's model configuration.
        preprocess: Preprocessing of the weights; empty if unknown.
        preprocess_source: Source of the preprocessing.
        weights: Returns the file with the weights.
        weights_source: Display name of the weights.
        published: Whether the weights are published; else they are those of a user's folder.
        tag: Pretrained tag.
        activation: `gelu` or `quickgelu` if the user asks for one, else empty.
    """

    model_name: str
    architecture: str
    config: dict[str, Any]
    preprocess: dict[str, Any]
    preprocess_source: str
    weights: Callable[[], Path] | None
    weights_source: str
    published: bool
    tag: str | None = None
    activation: str = ""


def locate(request: ModelRequest) -> OpenClipSource:
    """Finds a model named by `ARCH[/TAG][@ACTIVATION]`, `hf-hub:OWNER/NAME` or `local-dir:FOLDER`.

    Raises:
        UsageError: If the architecture or the activation is unknown.
        WeightsError: If no weights are named, or they need another activation.
    """
    kind, _, where = request.rest.partition(":")
    if kind == "local-dir":
        return _from_folder(request.rest, Path(where))
    if kind == "hf-hub":
        return _from_hub(request.rest, where)
    return _from_registry(request)


def _from_registry(request: ModelRequest) -> OpenClipSource:
    import open_clip
    from open_clip import pretrained

    named, _, activation = request.rest.partition("@")
    if activation not in ("", "gelu", "quickgelu"):
        raise UsageError(
            f"unknown activation {activation!r} in {request.name!r}; gelu or quickgelu"
        )
    architecture, _, tag = named.partition("/")
    config = open_clip.get_model_config(architecture)
    if config is None:
        near = did_you_mean(architecture, open_clip.list_models(), cutoff=0.4)
        raise UsageError(f"open_clip has no architecture {architecture!r}{near}")
    built = "quickgelu" if config.get("quick_gelu", False) else "gelu"
    other = bool(activation) and activation != built
    weights = dict(pretrained.get_pretrained_cfg(architecture, tag) or {}) if tag else {}
    if not weights:  # open_clip finds tags in other spellings than those that it lists
        tags = pretrained.list_pretrained_tags_by_model(architecture)
        optional = request.checkpoint is not None or request.untrained
        refuse_tag(request.name, architecture, tag, tags, optional)
    if weights and not activation:
        _check_activation(architecture, tag, dict(config), weights)
    spec = f"open_clip:{architecture}/{tag}"

    def download() -> Path:
        check_reachable(spec)
        return verified(Path(resolve(lambda: pretrained.download_pretrained(weights), name=spec)))

    source = f"open_clip tag {architecture}/{tag}"
    if not weights:
        defaults = "OpenAI's mean and std (the weights file names none)"
        if request.preset is not None:
            defaults = (
                f"preset {request.preset.name}, {request.preset.normalization}'s mean and std"
            )
        source = f"preprocessing assumed: {defaults}"
    return OpenClipSource(
        model_name=architecture,
        architecture=f"{architecture}@{activation}" if other else architecture,
        config=dict(config),
        preprocess=weights,
        preprocess_source=source,
        weights=download if weights else None,
        weights_source=str(weights.get("hf_hub") or weights.get("url") or tag),
        published=True,
        tag=tag or None,
        activation=activation,
    )


def _check_activation(
    architecture: str, tag: str, config: dict[str, Any], weights: dict[str, Any]
) -> None:
    """Refuses a tag whose weights were trained with another activation than the model has.

    open_clip only warns, and builds a model that gives wrong numbers.
    """
    trained = bool(weights.get("quick_gelu", False))
    built = bool(config.get("quick_gelu", False))
    if trained == built or "timm_model_name" in config.get("vision_cfg", {}):
        return
    spec = f"open_clip:{architecture}/{tag}"
    right = right_spec(spec) if trained else spec.replace("-quickgelu/", "/")
    names = {True: "QuickGELU", False: "GELU"}
    insist = "quickgelu" if built else "gelu"
    fix = f"use {right}" if right != spec else f"use {spec}@{'quickgelu' if trained else 'gelu'}"
    raise WeightsError(
        f"the weights {tag!r} were trained with {names[trained]}, but {architecture} is built with "
        f"{names[built]} and would give wrong numbers: {fix} (or insist with {spec}@{insist})"
    )


def _from_folder(model_name: str, folder: Path) -> OpenClipSource:
    config_file = folder / CONFIG_FILE
    if not config_file.is_file():
        raise WeightsError(f"{folder} holds no {CONFIG_FILE}; it is no open_clip model folder")

    def preference(file: Path) -> tuple[int, bool, str]:
        rank = _FILES.index(file.name) if file.name in _FILES else len(_FILES)
        return rank, file.suffix != ".safetensors", file.name

    def find() -> Path:
        files = [file for file in folder.iterdir() if file.suffix in _SUFFIXES]
        if not files:
            raise WeightsError(f"{folder} holds no weights ({', '.join(_SUFFIXES)})")
        return min(files, key=preference)

    return _configured(model_name, config_file, find, str(folder), published=False)


def _from_hub(model_name: str, repository: str) -> OpenClipSource:
    from open_clip.pretrained import download_pretrained_from_hf

    spec = f"open_clip:hf-hub:{repository}"
    config_file = resolve(
        lambda: download_pretrained_from_hf(repository, filename=CONFIG_FILE), name=spec
    )

    def download() -> Path:
        return verified(Path(resolve(lambda: download_pretrained_from_hf(repository), name=spec)))

    return _configured(model_name, Path(config_file), download, repository, published=True)


def _configured(
    model_name: str, config_file: Path, weights: Callable[[], Path], name: str, *, published: bool
) -> OpenClipSource:
    """Reads a configuration file as open_clip saves it with the weights."""
    try:
        content = parse_json(read_regular(config_file))
        config, preprocess = content["model_cfg"], content.get("preprocess_cfg") or {}
        embedding = int(config["embed_dim"])
    except (OSError, DamagedFileError, *UNFIT) as error:
        raise WeightsError(f"{config_file} is no open_clip configuration ({error!r})") from error
    assumed = f"preprocessing assumed: {CONFIG_FILE} names none"
    return OpenClipSource(
        model_name=model_name,
        architecture=name,
        config={**config, "embed_dim": embedding},
        preprocess=preprocess,
        preprocess_source=f"{CONFIG_FILE} of {name}" if preprocess else assumed,
        weights=weights,
        weights_source=name,
        published=published,
    )
