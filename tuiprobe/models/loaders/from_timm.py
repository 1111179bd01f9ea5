"""Encoders of timm: the features before the classifier."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tuiprobe.catalog.published_models import right_spec
from tuiprobe.errors import UsageError, WeightsError
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.heads import classifier_of_file, joined_classifier
from tuiprobe.models.info import PreprocessingInfo, WeightsInfo, pooling_of, weights_info
from tuiprobe.models.loaders.checkpoints import (
    Checkpoint,
    StateDict,
    load_into,
    part_for,
    read_checkpoint,
    seeded,
    with_classifier,
)
from tuiprobe.models.loaders.published_weights import (
    check_reachable,
    fetch_published,
    quiet,
    refuse_tag,
    resolve,
    verified,
)
from tuiprobe.models.registry import Loader, ModelRequest
from tuiprobe.plaintext import did_you_mean, similar_names

_LOCATED = ("hf-hub:", "local-dir:")
"""Beginnings of names of a repository or folder, which are not in timm's registry."""

POOLINGS = ("token", "avg")
"""What of a transformer's last layer a representation may be: class token, mean of patches."""

_TF_EPSILON = 1e-3
"""Of BatchNorm in networks that were trained in TensorFlow."""

_FILES = ("model.safetensors", "pytorch_model.bin", "pytorch_model.pth", "model.pth")
"""File names of weights in a folder or repository, preferred first."""


@dataclass(frozen=True)
class TimmName:
    """The part of a spec after `timm:`.

    Attributes:
        architecture: timm's model name, with or without its tag, `hf-hub:OWNER/NAME` or
            `local-dir:FOLDER`.
        gelu: Whether the user insists on GELU.
        size: Side of the input if the user asks for the test size, else None.
        pooling: `token` or `avg` if the user asks for it, else empty.
    """

    architecture: str
    gelu: bool = False
    size: int | None = None
    pooling: str = ""

    @property
    def located(self) -> bool:
        """Whether the model comes from a repository or folder, not timm's registry."""
        return self.architecture.startswith(_LOCATED)

    @classmethod
    def parse(cls, spec: str, rest: str) -> TimmName:
        """Parses `NAME[.TAG][@gelu|@SIZE]`, `hf-hub:OWNER/NAME` or `local-dir:FOLDER`.

        Each may end in `@token` or `@avg`.

        >>> TimmName.parse("", "resnet50.a1_in1k@288").size
        288
        """
        before, _, pooling = rest.rpartition("@")
        if pooling in POOLINGS:
            return replace(cls.parse(spec, before), pooling=pooling)
        if rest.startswith(_LOCATED):
            return cls(rest)
        architecture, _, option = rest.partition("@")
        if option not in ("", "gelu") and not option.isdigit():
            raise UsageError(
                f"cannot understand @{option} in {spec!r}; write @gelu, @token, @avg or a size"
            )
        return cls(architecture, option == "gelu", int(option) if option.isdigit() else None)


def load(request: ModelRequest) -> Encoder:
    """Builds and loads one encoder.

    If its head reads a token, the representation is `token`; if it reads a feature map, `pooled`.

    Raises:
        UsageError: If the architecture is unknown.
        WeightsError: If the weights are unavailable or do not fit.
    """
    name = TimmName.parse(request.name, request.rest)
    if not name.located:
        _check_name(name, random=request.checkpoint is None and not request.untrained)
    model, weights, file = _model(request, name)
    file.metadata.setdefault("label_names", model.pretrained_cfg.get("label_names"))
    preprocess, preprocessing = _preprocessing(name, model, published=request.checkpoint is None)
    changed = _pool(model, name)
    model.eval()
    with torch.inference_mode():
        noise = torch.Generator().manual_seed(0)
        image = torch.randn(1, 3, *preprocessing.size, generator=noise)
        features = model.forward_features(image)
        first = features[0] if isinstance(features, list) else features  # one for each branch
        # Others that were distilled give both classifiers one representation, a mean of patches.
        tokens = getattr(model, "num_prefix_tokens", first.shape[1])
        distilled = hasattr(model, "head_dist") and first.ndim == 3 and tokens == 2
        forward = _TimmForward(model, distilled=distilled)
        h = forward.pooled(features)
        layer = _linear(model, h, features)
    head = None if layer is None else classifier_of_file(layer, file, weights.source, h)
    return Encoder(
        name=request.name,
        architecture=str(model.pretrained_cfg.get("architecture") or name.architecture) + changed,
        representation="token" if first.ndim == 3 else "pooled",
        width=h.shape[-1],
        weights=weights,
        preprocessing=preprocessing,
        module=model,
        preprocess=preprocess,
        forward=forward,
        device=request.device,
        dtype=request.dtype,
        loader="timm",
        tag=model.pretrained_cfg.get("tag") or None,
        classifier=head,
    )


def _linear(model: Any, h: Tensor, features: Any) -> nn.Linear | None:
    """Returns the classifier as a linear layer over h.

    Batch normalisation before a linear layer is part of it. Several layers answer by the mean of
    their logits: each of its part of h, or all of the same.

    Args:
        model: The model.
        h: The representation of an image, `[1, width]`.
        features: What `forward_features` gives for it.
    """
    found = model.get_classifier()
    layers = list(found) if isinstance(found, tuple | list | nn.ModuleList) else [found]
    name = next((name for name, layer in model.named_modules() if layer is found), "")
    around = model.get_submodule(name.rpartition(".")[0])  # of some, batch normalisation and it
    for several in (layers, [] if around is model else [around]):
        layer = joined_classifier(several, h.shape[-1])
        if layer is not None and _answers(layer, model, h, features):
            return layer
    return None


def _answers(layer: nn.Linear, model: Any, h: Tensor, features: Any) -> bool:
    """Returns whether a layer over h gives the logits of the model, rounding aside."""
    logits = model.forward_head(features)
    return bool((layer(h) - logits).abs().max() <= 1e-3 * logits.abs().max())


def _pool(model: Any, name: TimmName) -> str:
    """Pools tokens as the user asks; returns `@token` or `@avg` if the model would not.

    Its classifier was trained on the other representation, so it goes.

    Raises:
        UsageError: If the model has only patches and no class token.
    """
    if name.pooling in ("", pooling_of(model)):
        return ""
    if not pooling_of(model):
        raise UsageError(f"timm:{name.architecture} has no class token; leave @{name.pooling} out")
    model.reset_classifier(0, global_pool=name.pooling)
    return f"@{name.pooling}"


def wants_quickgelu(notes: object) -> bool:
    """Returns whether timm's notes mention that the weights were trained with QuickGELU."""
    return "natively QuickGELU" in str(notes or "")


def _check_name(name: TimmName, *, random: bool) -> None:
    """Refuses names that timm does not have, and with `random` those without weights."""
    import timm

    base, _, tag = name.architecture.partition(".")
    if not timm.is_model(base):
        raise UsageError(
            f"timm has no architecture {base!r}{did_you_mean(base, timm.list_models())}"
        )
    tags = [n.partition(".")[2] for n in timm.list_pretrained(f"{base}.*")]
    if not tags and random:
        trained = sorted({n.partition(".")[0] for n in timm.list_pretrained()})
        near = ", ".join(similar_names(base, trained))
        hint = f", or take one that has them: {near}" if near else ""
        raise WeightsError(
            f"timm's {base} has no published weights, and random ones would say nothing of a "
            f"trained encoder; pass --checkpoint FILE{hint}"
        )
    refuse_tag(f"timm:{name.architecture}", f"timm's {base}", tag, tags, optional=True)
    notes = timm.get_pretrained_cfg(name.architecture).notes if tags else None
    # timm only mentions this in a note, and builds a model that gives wrong numbers.
    if wants_quickgelu(notes) and "quickgelu" not in base and not name.gelu:
        spec = f"timm:{name.architecture}"
        raise WeightsError(
            f"the weights of {name.architecture} were trained with QuickGELU, but it is built "
            f"with GELU and would give wrong numbers: use {right_spec(spec)} (or insist with "
            f"{spec}@gelu)"
        )


def _model(request: ModelRequest, name: TimmName) -> tuple[Any, WeightsInfo, Checkpoint]:
    """Returns the model with its weights, what they are, and the file; it is empty without one."""
    kind, _, source = name.architecture.partition(":")
    if request.checkpoint is not None:
        return _from_file(request, name, request.checkpoint, "checkpoint", str(request.checkpoint))
    if request.untrained:
        model = _build(request, name)
        return (
            model,
            weights_info(model, "untrained", "random initialisation, seed 0"),
            Checkpoint({}),
        )
    if kind == "local-dir":
        return _from_file(request, name, _in_folder(Path(source)), "checkpoint", str(Path(source)))
    if kind == "hf-hub":
        return _from_file(request, name, _in_repository(source), "pretrained", source)
    spec = f"timm:{name.architecture}"
    check_reachable(spec)
    resolve(lambda: _fetch_weights(name.architecture), name=spec)
    model = resolve(lambda: _build(request, name, pretrained=True), name=spec)
    source = str(model.pretrained_cfg.get("hf_hub_id") or model.pretrained_cfg.get("url"))
    return model, weights_info(model, "pretrained", source), Checkpoint({})


def _from_file(
    request: ModelRequest, name: TimmName, path: Path, kind: str, source: str
) -> tuple[Any, WeightsInfo, Checkpoint]:
    state, classes = read_checkpoint(path), None
    classifier = "" if name.located else _classifier_of(name.architecture)
    if classifier:
        state, classes = with_classifier(state, classifier)
    model = _build(request, name, num_classes=classes, drawn=False)
    if classes and f"{classifier}.bias" not in model.state_dict():  # nor has the file
        state = state.with_tensors(
            {n: t for n, t in state.items() if not n.endswith(f"{classifier}.bias")}
        )
    target = f"timm:{name.architecture}"
    part, entries = part_for(state, model.state_dict(), source=str(path))
    load_into(model, _converted(part, model), source=str(path), target=target)
    return model, weights_info(model, kind, source, state.entries or entries), state


def _build(
    request: ModelRequest,
    name: TimmName,
    *,
    num_classes: int | None = None,
    pretrained: bool = False,
    drawn: bool = True,
) -> Any:
    import timm

    # timm builds it otherwise for its published weights than for those of a file.
    other = {"bn_eps": _TF_EPSILON} if name.architecture.startswith("fbnetc_100") else {}
    try:
        with seeded(drawn=drawn):
            return timm.create_model(
                name.architecture, pretrained=pretrained, num_classes=num_classes, **other
            )
    except Exception as error:
        if not name.located:
            raise
        # A third-party configuration can fail in any way.
        raise WeightsError(f"{request.name} cannot be built: {error}") from error


def _fetch_weights(architecture: str) -> None:
    """Caches the weights of timm's repository for a model, before its network is built.

    timm builds the network first, and asks an unreachable hub for each of several file names.
    """
    import timm

    config = timm.get_pretrained_cfg(architecture)
    if config is not None and config.hf_hub_id:
        _downloaded(config.hf_hub_id, _FILES[:2])  # the names that timm itself asks for


def _downloaded(repository: str, names: Sequence[str]) -> str:
    """Returns the first file that a repository holds; an unreachable hub is asked only once."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    unreachable: Exception | None = None
    for name in names:
        try:
            return hf_hub_download(repository, name, local_files_only=unreachable is not None)
        except LocalEntryNotFoundError as error:
            unreachable = unreachable or error
        except EntryNotFoundError:
            continue
    raise unreachable or FileNotFoundError(f"{repository} holds none of {', '.join(names)}")


def _in_folder(folder: Path) -> Path:
    path = next((folder / name for name in _FILES if (folder / name).is_file()), None)
    if not (folder / "config.json").is_file() or path is None:
        raise WeightsError(
            f"{folder} is no timm model folder; it must hold config.json and one of "
            f"{', '.join(_FILES)}"
        )
    return path


def _in_repository(repository: str) -> Path:
    """Returns the weights file of a Hugging Face repository; downloads it if necessary."""
    name = f"timm:hf-hub:{repository}"
    return verified(Path(resolve(lambda: _downloaded(repository, _FILES), name=name)))


def _classifier_of(architecture: str) -> str:
    """Returns the name of an architecture's classifier, of several the first; empty without."""
    import timm

    config = timm.get_pretrained_cfg(architecture)
    classifier = config.classifier if config is not None else None
    classifier = classifier[0] if isinstance(classifier, tuple | list) else classifier
    return classifier if isinstance(classifier, str) else ""


def _converted(state: StateDict, model: Any) -> StateDict:
    """Converts the state to timm's names, by the filter of the model if names differ.

    A filter may also interpolate positions to another size, and leave out the layer `pre_logits` of
    earlier models. Both change the answers, so this state is returned as it is.
    """
    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if convert is None or set(state) == set(model.state_dict()):
        return state
    try:
        with quiet():
            converted: StateDict = convert(dict(state), model)
    except Exception:  # Of another architecture: report the names in the file.
        return state
    resized = any(t.numel() != state[n].numel() for n, t in converted.items() if n in state)
    return state if resized or any("pre_logits." in n for n in state) else converted


def _preprocessing(name: TimmName, model: Any, *, published: bool) -> tuple[Any, PreprocessingInfo]:
    """Returns the preprocessing; for a user's file without a tag it is assumed."""
    from timm.data import create_transform, resolve_model_data_config

    config = resolve_model_data_config(model)
    if name.size not in (None, config["input_size"][1]):
        config = resolve_model_data_config(model, use_test_size=True)
        if name.size != config["input_size"][1]:
            raise UsageError(f"{name.architecture} has no configuration for {name.size} px")
    assumed = not (published or name.located or "." in name.architecture)
    origin = "preprocessing assumed: timm's default for" if assumed else "timm"
    info = PreprocessingInfo(
        size=(config["input_size"][1], config["input_size"][2]),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=config["interpolation"],
        resize=f"crop {config['crop_pct']} {config['crop_mode']}",
        source=f"{origin} {name.architecture}; crop {config['crop_pct']} {config['crop_mode']}",
        assumed=assumed,
    )
    return create_transform(**config, is_training=False), info


@dataclass(frozen=True)
class _TimmForward:
    """Maps images to the pooled features before the classifier.

    An object and no closure, so that a copy of an encoder calls the copied model.

    Attributes:
        model: The model.
        distilled: Whether a classifier reads a second token; h is then both, one after the other.
    """

    model: Any
    distilled: bool = False

    def __call__(self, images: Tensor) -> Tensor:
        return self.pooled(self.model.forward_features(images))

    def pooled(self, features: Any) -> Tensor:
        """Returns h of what `forward_features` gives."""
        if self.distilled:
            tokens: Tensor = features[:, :2].flatten(1)
            return tokens
        h: Tensor = self.model.forward_head(features, pre_logits=True)
        return h


def _fetch(spec: str, rest: str) -> list[Path]:
    """Caches the files of a spec: published weights, or a repository."""
    import timm
    from huggingface_hub import hf_hub_download

    rest = rest.removesuffix("@token").removesuffix("@avg")

    def download() -> None:
        architecture = rest.partition("@")[0]
        _fetch_weights(architecture)
        timm.create_model(architecture, pretrained=True)

    if not rest.startswith("hf-hub:"):
        return [fetch_published(spec, download)]
    repository = rest.removeprefix("hf-hub:")
    config = resolve(lambda: hf_hub_download(repository, "config.json"), name=spec)
    return [Path(config), _in_repository(repository)]


LOADER = Loader(
    forms=("timm:NAME", "timm:hf-hub:OWNER/NAME", "timm:local-dir:FOLDER"),
    load=load,
    fetch=_fetch,
)
