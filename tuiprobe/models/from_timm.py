"""Encoders of timm: the features before the classifier."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tuiprobe.catalog.labels import imagenet_names
from tuiprobe.catalog.names import Published, right_spec
from tuiprobe.errors import UsageError, WeightsError
from tuiprobe.limits import BUILT_CLASSES
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.heads import Head
from tuiprobe.models.info import PreprocessingInfo, WeightsInfo, state_digest
from tuiprobe.models.names import wants_quickgelu
from tuiprobe.models.offline import check_reachable, verified
from tuiprobe.models.published_files import fetch_published
from tuiprobe.models.quiet import quiet
from tuiprobe.models.registry import Loader, Wanted
from tuiprobe.models.weights import load_into, read_checkpoint, resolve
from tuiprobe.models.wrappers import State
from tuiprobe.results.subject import Representation

_FILES = ("model.safetensors", "pytorch_model.bin", "pytorch_model.pth", "model.pth")
"""File names of weights in a folder or repository, preferred first."""

_SAFE_NAMES = {
    "pytorch_model.bin": "model.safetensors",
    "open_clip_pytorch_model.bin": "open_clip_model.safetensors",
}
"""Name that timm prefers to that of a file, where it is not the same with another suffix."""


@dataclass(frozen=True)
class TimmRequest:
    """What to load.

    Attributes:
        name: What the user typed.
        architecture: timm's model name, with or without its tag, `hf-hub:OWNER/NAME` or
            `local-dir:FOLDER`.
        activation: `gelu` if the user asks for it, else None.
        size: Side of the input if the user asks for the test size, else None.
        checkpoint: File with weights; None for the tag's.
        untrained: Whether to allow random weights, from a fixed seed.
    """

    name: str
    architecture: str
    activation: str | None = None
    size: int | None = None
    checkpoint: Path | None = None
    untrained: bool = False

    @property
    def located(self) -> bool:
        """Whether the model comes from a repository or folder, not timm's registry."""
        return self.architecture.startswith(("hf-hub:", "local-dir:"))


def parse(spec: str, rest: str, checkpoint: Path | None) -> TimmRequest:
    """Parses `NAME[.TAG][@gelu|@SIZE]`, `hf-hub:OWNER/NAME` or `local-dir:FOLDER`.

    >>> parse("", "resnet50.a1_in1k@288", None).size
    288
    """
    if rest.startswith(("hf-hub:", "local-dir:")):
        return TimmRequest(spec, rest, checkpoint=checkpoint)
    name, _, option = rest.partition("@")
    if option not in ("", "gelu") and not option.isdigit():
        raise UsageError(
            f"cannot understand @{option} in {spec!r}; write @gelu or a size in pixels"
        )
    return TimmRequest(
        spec,
        name,
        activation="gelu" if option == "gelu" else None,
        size=int(option) if option.isdigit() else None,
        checkpoint=checkpoint,
    )


def load(request: TimmRequest, *, device: str, dtype: torch.dtype) -> Encoder:
    """Builds and loads one encoder.

    Raises:
        UsageError: If the architecture is unknown.
        WeightsError: If the weights are unavailable or do not fit.
    """
    if not request.located:
        _check_name(request)
    model, weights = _model(request)
    preprocess, preprocessing = _preprocessing(request, model)
    representation, width = _representation(model, preprocessing.size)
    return Encoder(
        name=request.name,
        architecture=str(model.pretrained_cfg.get("architecture") or request.architecture),
        representation=representation,
        width=width,
        weights=weights,
        preprocessing=preprocessing,
        module=model,
        preprocess=preprocess,
        forward=_TimmForward(model),
        device=device,
        dtype=dtype,
        loader="timm",
        tag=model.pretrained_cfg.get("tag") or None,
        classifier=_classifier(model, width),
    )


def _check_name(request: TimmRequest) -> None:
    import timm

    base, _, tag = request.architecture.partition(".")
    if not timm.is_model(base):
        near = get_close_matches(base, timm.list_models(), n=3, cutoff=0.6)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise UsageError(f"timm has no architecture {base!r}{hint}")
    tags = [n.partition(".")[2] for n in timm.list_pretrained(f"{base}.*")]
    if not tags and request.checkpoint is None and not request.untrained:
        trained = sorted({n.partition(".")[0] for n in timm.list_pretrained()})
        near = get_close_matches(base, trained, n=3, cutoff=0.6)
        hint = f", or take one that has them: {', '.join(near)}" if near else ""
        raise WeightsError(
            f"timm's {base} has no published weights, and random ones would say nothing of a "
            f"trained encoder; pass --checkpoint FILE{hint}"
        )
    if tag and tag not in tags:
        have = f"its tags are {', '.join(tags)}" if tags else "it has none; leave it out"
        raise WeightsError(f"timm's {base} has no tag {tag!r}; {have}")
    notes = timm.get_pretrained_cfg(request.architecture).notes if tags else None
    # timm only mentions this in a note, and builds a model that gives wrong numbers.
    if wants_quickgelu(notes) and "quickgelu" not in base and request.activation is None:
        spec = f"timm:{request.architecture}"
        raise WeightsError(
            f"the weights of {request.architecture} were trained with QuickGELU, but it is built "
            f"with GELU and would give wrong numbers: use {right_spec(spec)} (or insist with "
            f"{spec}@gelu)"
        )


def _model(request: TimmRequest) -> tuple[Any, WeightsInfo]:
    if request.checkpoint is not None:
        return _from_file(request, request.checkpoint, "checkpoint", str(request.checkpoint))
    if request.untrained:
        model = _build(request)
        source = "random initialisation, seed 0"
        digest = state_digest(model.state_dict())
        return model, WeightsInfo(kind="untrained", source=source, digest=digest)
    if request.architecture.startswith("local-dir:"):
        path = _in_folder(Path(request.architecture.removeprefix("local-dir:")))
        return _from_file(request, path, "checkpoint", str(path.parent))
    if request.architecture.startswith("hf-hub:"):
        repository = request.architecture.removeprefix("hf-hub:")
        path = _in_repository(repository)
        return _from_file(request, path, "pretrained", repository)
    return _published(request)


def _from_file(request: TimmRequest, path: Path, kind: str, source: str) -> tuple[Any, WeightsInfo]:
    state = read_checkpoint(path)
    model = _build(request, num_classes=_classes_in(request, state))
    load_into(
        model, _converted(state, model), source=str(path), target=f"timm:{request.architecture}"
    )
    digest = state_digest(model.state_dict())
    return model, WeightsInfo(kind=kind, source=source, digest=digest)  # type: ignore[arg-type]


def _published(request: TimmRequest) -> tuple[Any, WeightsInfo]:
    built: list[Any] = []

    def fetch() -> str:
        built.append(_build(request, pretrained=True))
        return ""

    spec = f"timm:{request.architecture}"
    check_reachable(spec)
    _fetch_weights(request.architecture)
    resolve(fetch, what=spec)
    model = built[0]
    source = str(model.pretrained_cfg.get("hf_hub_id") or model.pretrained_cfg.get("url"))
    digest = state_digest(model.state_dict())
    return model, WeightsInfo(kind="pretrained", source=source, digest=digest)


def _fetch_weights(architecture: str) -> None:
    """Caches the weights of timm's repository for a model, before its network is built.

    timm builds the network first, and asks an unreachable hub for each of several file names.

    Raises:
        WeightsError: If they are neither cached nor available for download.
    """
    import timm

    config = timm.get_pretrained_cfg(architecture)
    if config is None or not config.hf_hub_id:
        return
    repository, _, revision = config.hf_hub_id.partition("@")
    name = config.hf_hub_filename or "pytorch_model.bin"
    safe = _SAFE_NAMES.get(name, f"{name.removesuffix('.bin')}.safetensors")
    names = (safe, name) if name.endswith(".bin") else (name,)
    resolve(lambda: _downloaded(repository, names, revision), what=f"timm:{architecture}")


def _downloaded(repository: str, names: Sequence[str], revision: str = "") -> str:
    """Returns the first file that a repository holds; an unreachable hub is asked only once."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    unreachable: Exception | None = None
    for name in names:
        try:
            file = hf_hub_download(
                repository,
                name,
                revision=revision or None,
                local_files_only=unreachable is not None,
            )
            return str(file)
        except LocalEntryNotFoundError as error:
            unreachable = unreachable or error
        except EntryNotFoundError:
            continue
    raise unreachable or FileNotFoundError(f"{repository} holds none of {', '.join(names)}")


def _build(request: TimmRequest, num_classes: int | None = None, pretrained: bool = False) -> Any:
    import timm

    # A fixed seed, so an untrained encoder is always the same.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if not request.located:
            with quiet():
                return timm.create_model(
                    request.architecture, pretrained=pretrained, num_classes=num_classes
                )
        try:
            with quiet():
                return timm.create_model(request.architecture, num_classes=num_classes)
        except Exception as error:  # A third-party configuration can fail in any way.
            raise WeightsError(f"{request.name} cannot be built: {error}") from error


def _in_folder(folder: Path) -> Path:
    found = next((folder / name for name in _FILES if (folder / name).is_file()), None)
    if not (folder / "config.json").is_file() or found is None:
        raise WeightsError(
            f"{folder} is no timm model folder; it must hold config.json and one of "
            f"{', '.join(_FILES)}"
        )
    return found


def _in_repository(repository: str) -> Path:
    """Returns the weights file of a Hugging Face repository; downloads it if necessary."""
    return verified(
        resolve(lambda: _downloaded(repository, _FILES), what=f"timm:hf-hub:{repository}")
    )


def _classes_in(request: TimmRequest, state: State) -> int | None:
    """Returns the number of classes of the file's classifier; None if it has none."""
    import timm

    if request.located:
        return None
    config = timm.get_pretrained_cfg(request.architecture)
    classifier = config.classifier if config is not None else None
    weight = state.get(f"{classifier}.weight") if isinstance(classifier, str) else None
    if weight is None or weight.ndim == 0 or not 0 < len(weight) <= BUILT_CLASSES:
        return None
    return len(weight)


def _converted(state: State, model: Any) -> State:
    """Converts the state to timm's names, by the model's own filter if names differ."""
    if set(state) == set(model.state_dict()):
        return state
    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return state
    try:
        with quiet():
            converted: State = convert(dict(state), model)
    except Exception:  # Of another architecture: report the file's own names.
        return state
    return converted


def _preprocessing(request: TimmRequest, model: Any) -> tuple[Any, PreprocessingInfo]:
    from timm.data import create_transform, resolve_model_data_config

    config = resolve_model_data_config(model)
    if request.size is not None and request.size != config["input_size"][1]:
        config = resolve_model_data_config(model, use_test_size=True)
        if request.size != config["input_size"][1]:
            raise UsageError(f"{request.architecture} has no configuration for {request.size} px")
    named = "." in request.architecture or request.located
    assumed = not named and request.checkpoint is not None
    origin = f"timm {request.architecture}"
    if assumed:
        origin = f"preprocessing assumed: timm's default for {request.architecture}"
    info = PreprocessingInfo(
        size=(config["input_size"][1], config["input_size"][2]),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=config["interpolation"],
        source=f"{origin}; crop {config['crop_pct']} {config['crop_mode']}",
        assumed=assumed,
    )
    return create_transform(**config, is_training=False), info


@dataclass(frozen=True)
class _TimmForward:
    """Maps images to the pooled features before the classifier."""

    model: Any

    def __call__(self, images: Tensor) -> Tensor:
        features = self.model.forward_features(images)
        h: Tensor = self.model.forward_head(features, pre_logits=True)
        return h


def _representation(model: Any, size: tuple[int, int]) -> tuple[Representation, int]:
    """Returns kind and width of h, from a trial forward pass.

    If the head reads a token, the representation is `token`; if it reads a feature map, `pooled`.
    """
    model.eval()
    with torch.inference_mode():
        features = model.forward_features(torch.zeros(1, 3, *size))
        h = model.forward_head(features, pre_logits=True)
    return ("token" if features.ndim == 3 else "pooled"), int(h.shape[-1])


def _classifier(model: Any, width: int) -> Head | None:
    """Returns the classifier, if it is one linear layer over h."""
    layer = model.get_classifier()
    if not isinstance(layer, nn.Linear) or layer.in_features != width:
        return None
    count = layer.out_features
    names = imagenet_names() if count == 1000 else tuple(str(i) for i in range(count))
    bias = None if layer.bias is None else layer.bias.detach().float().cpu()
    weight = layer.weight.detach().float().cpu()
    return Head(weight, bias, names, source=f"classifier, {count} classes")


def _load(wanted: Wanted) -> Encoder:
    request = parse(wanted.name, wanted.rest, wanted.checkpoint)
    return load(request, device=wanted.device, dtype=wanted.dtype)


def _fetch(spec: str, rest: str) -> list[Path]:
    """Caches the files of a spec: published weights, or a repository."""
    if not rest.startswith("hf-hub:"):
        return [fetch_published(spec, _download)]
    from huggingface_hub import hf_hub_download

    repository = rest.removeprefix("hf-hub:")
    config = resolve(lambda: hf_hub_download(repository, "config.json"), what=spec)
    return [config, _in_repository(repository)]


def _download(model: Published) -> None:
    import timm

    name = model.spec.removeprefix("timm:")
    _fetch_weights(name)
    timm.create_model(name, pretrained=True)


LOADER = Loader(
    forms=("timm:NAME", "timm:hf-hub:OWNER/NAME", "timm:local-dir:FOLDER"),
    load=_load,
    fetch=_fetch,
)
