"""Finds open_clip models: in its registry, a Hugging Face repository, or a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from tuiprobe.catalog.names import right_spec
from tuiprobe.errors import UsageError, WeightsError
from tuiprobe.files import DamagedFileError, parse_json, read_regular
from tuiprobe.models.offline import check_reachable, verified
from tuiprobe.models.quiet import quiet
from tuiprobe.models.weights import resolve

CONFIG_FILE = "open_clip_config.json"

Kind = Literal["pretrained", "checkpoint"]


@dataclass(frozen=True)
class OpenClipRequest:
    """What to load.

    Attributes:
        name: What the user typed.
        architecture: open_clip's model name, `hf-hub:OWNER/NAME` or `local-dir:FOLDER`.
        tag: Pretrained tag; None if there is none.
        activation: `gelu` or `quickgelu` if the user asks for one, else None.
        checkpoint: File with weights; None for the tag's.
        untrained: Whether to allow random weights, from a fixed seed.
        preprocess_source: What defines the preprocessing if no tag does.
    """

    name: str
    architecture: str
    tag: str | None = None
    activation: str | None = None
    checkpoint: Path | None = None
    untrained: bool = False
    preprocess_source: str | None = None


def parse(spec: str, rest: str, checkpoint: Path | None) -> OpenClipRequest:
    """Parses `ARCH[/TAG][@ACTIVATION]`, `hf-hub:OWNER/NAME` or `local-dir:FOLDER`.

    >>> parse("", "ViT-B-16/openai@gelu", None).activation
    'gelu'
    >>> parse("", "hf-hub:laion/model", None).architecture
    'hf-hub:laion/model'
    """
    if rest.startswith(("hf-hub:", "local-dir:")):
        return OpenClipRequest(spec, rest, checkpoint=checkpoint)
    named, _, activation = rest.partition("@")
    if activation not in ("", "gelu", "quickgelu"):
        raise UsageError(f"unknown activation {activation!r} in {spec!r}; gelu or quickgelu")
    architecture, _, tag = named.partition("/")
    return OpenClipRequest(spec, architecture, tag or None, activation or None, checkpoint)


@dataclass(frozen=True)
class OpenClipSource:
    """Configuration, preprocessing and weights of a requested model.

    Attributes:
        model_name: Model name for open_clip's factory.
        architecture: Display name of the architecture.
        config: open_clip's model configuration.
        preprocess: Preprocessing of the weights; empty if unknown.
        preprocess_source: Source of the preprocessing.
        weights: Returns the file with the weights; None if there are none.
        weights_source: Display name of the weights.
        kind: `pretrained`, or `checkpoint` for a user's folder.
    """

    model_name: str
    architecture: str
    config: dict[str, Any]
    preprocess: dict[str, Any]
    preprocess_source: str
    weights: Callable[[], Path] | None
    weights_source: str
    kind: Kind


def locate(request: OpenClipRequest) -> OpenClipSource:
    """Finds configuration, preprocessing and weights of the requested model.

    Raises:
        UsageError: If the architecture is unknown.
        WeightsError: If no weights are named, or they need another activation.
    """
    if request.architecture.startswith("local-dir:"):
        return _from_folder(request, Path(request.architecture.removeprefix("local-dir:")))
    if request.architecture.startswith("hf-hub:"):
        return _from_hub(request, request.architecture.removeprefix("hf-hub:"))
    return _from_registry(request)


def _from_registry(request: OpenClipRequest) -> OpenClipSource:
    import open_clip
    from open_clip import pretrained

    config = open_clip.get_model_config(request.architecture)
    if config is None:
        near = get_close_matches(request.architecture, open_clip.list_models(), n=3, cutoff=0.4)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise UsageError(f"open_clip has no architecture {request.architecture!r}{hint}")
    tag = _tag_config(request)
    _check_activation(request, dict(config), tag)
    spec = f"open_clip:{request.architecture}/{request.tag}"

    def download() -> Path:
        check_reachable(spec)
        with quiet():
            file = resolve(lambda: pretrained.download_pretrained(tag), what=spec)
        return verified(file)

    assumed = "preprocessing assumed: OpenAI's mean and std (the weights file names none)"
    vouched = f"open_clip tag {request.architecture}/{request.tag}" if tag else None
    return OpenClipSource(
        model_name=request.architecture,
        architecture=_named(request, dict(config)),
        config=dict(config),
        preprocess=tag,
        preprocess_source=vouched or request.preprocess_source or assumed,
        weights=download if tag else None,
        weights_source=str(tag.get("hf_hub") or tag.get("url") or request.tag),
        kind="pretrained",
    )


def _named(request: OpenClipRequest, config: dict[str, Any]) -> str:
    """Returns the architecture's name, including a non-default activation."""
    own = "quickgelu" if config.get("quick_gelu", False) else "gelu"
    if request.activation in (None, own):
        return request.architecture
    return f"{request.architecture}@{request.activation}"


def _tag_config(request: OpenClipRequest) -> dict[str, Any]:
    from open_clip import pretrained

    tags = pretrained.list_pretrained_tags_by_model(request.architecture)
    if request.tag is None:
        if request.checkpoint is None and not request.untrained:
            raise WeightsError(
                f"{request.name} names no weights: add a tag ({', '.join(tags)}), "
                "or pass --checkpoint FILE"
                if tags
                else f"{request.name} has no published weights: pass --checkpoint FILE"
            )
        return {}
    config = pretrained.get_pretrained_cfg(request.architecture, request.tag)
    if not config:
        have = f"its tags are {', '.join(tags)}" if tags else "it has no published weights"
        raise WeightsError(f"{request.architecture} has no tag {request.tag!r}; {have}")
    return dict(config)


def _check_activation(
    request: OpenClipRequest, config: dict[str, Any], tag: dict[str, Any]
) -> None:
    """Refuses a tag whose weights were trained with another activation than the model has.

    open_clip only warns, and builds a model that gives wrong numbers.
    """
    if not tag or request.activation is not None:
        return
    trained = bool(tag.get("quick_gelu", False))
    built = bool(config.get("quick_gelu", False))
    if trained == built or "timm_model_name" in config.get("vision_cfg", {}):
        return
    spec = f"open_clip:{request.architecture}/{request.tag}"
    right = right_spec(spec) if trained else spec.replace("-quickgelu/", "/")
    names = {True: "QuickGELU", False: "GELU"}
    insist = "quickgelu" if built else "gelu"
    fix = f"use {right}" if right != spec else f"use {spec}@{'quickgelu' if trained else 'gelu'}"
    raise WeightsError(
        f"the weights {request.tag!r} were trained with {names[trained]}, but "
        f"{request.architecture} is built with {names[built]} and would give wrong numbers: {fix} "
        f"(or insist with {spec}@{insist})"
    )


def _from_folder(request: OpenClipRequest, folder: Path) -> OpenClipSource:
    config_file = folder / CONFIG_FILE
    if not config_file.is_file():
        raise WeightsError(f"{folder} holds no {CONFIG_FILE}; it is no open_clip model folder")

    def find() -> Path:
        from open_clip.factory import _find_checkpoint_in_dir

        with quiet():
            found = _find_checkpoint_in_dir(folder)
        if found is None:
            raise WeightsError(f"{folder} holds no weights (.safetensors, .bin or .pth)")
        return Path(found)

    return _configured(request, config_file, find, str(folder), "checkpoint")


def _from_hub(request: OpenClipRequest, repository: str) -> OpenClipSource:
    from open_clip.pretrained import download_pretrained_from_hf

    spec = f"open_clip:hf-hub:{repository}"
    config_file = resolve(
        lambda: download_pretrained_from_hf(repository, filename=CONFIG_FILE), what=spec
    )

    def download() -> Path:
        return verified(resolve(lambda: download_pretrained_from_hf(repository), what=spec))

    return _configured(request, config_file, download, repository, "pretrained")


def _configured(
    request: OpenClipRequest, config_file: Path, weights: Callable[[], Path], name: str, kind: Kind
) -> OpenClipSource:
    """Reads a configuration file as open_clip saves it with the weights."""
    try:
        content = parse_json(read_regular(config_file))
        config, preprocess = content["model_cfg"], content.get("preprocess_cfg") or {}
        embedding = int(config["embed_dim"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, DamagedFileError) as error:
        raise WeightsError(f"{config_file} is no open_clip configuration ({error!r})") from error
    assumed = f"preprocessing assumed: {CONFIG_FILE} names none"
    return OpenClipSource(
        model_name=request.architecture,
        architecture=name,
        config={**config, "embed_dim": embedding},
        preprocess=preprocess,
        preprocess_source=f"{CONFIG_FILE} of {name}" if preprocess else assumed,
        weights=weights,
        weights_source=name,
        kind=kind,
    )
