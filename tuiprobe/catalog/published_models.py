"""Models with published weights: the presets of the study, and all that open_clip and timm list.

`presets.toml` is written by hand. `names.tsv` is generated from the libraries
(`python -m tuiprobe.models.generate_lists`) and a test compares it with those installed. If other
versions are installed, a list for them lies in the user's cache (`--cache`) and takes its place.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tuiprobe.plaintext import similar_names

NORMALIZATIONS = {
    "openai": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "inception": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "rendered": ((0.5, 0.5, 0.5), (0.27, 0.27, 0.27)),
}
"""Mean and standard deviation of the three channels, by the name a preset gives them."""


@dataclass(frozen=True, slots=True)
class Preset:
    """One model.

    Attributes:
        name: What the user types.
        backbone: As in the paper, `RN50` or `ViT-B/32`.
        pretraining: Data set of the pretraining.
        training: `zero-shot`, `captions`, `finetuned` or `supervised`.
        loader: Name of its loader, for example `open_clip`.
        architecture: The library's name for it.
        tag: Of the published weights.
        width: Channels of the representation.
        parameters: Number of parameters of the vision tower.
        activation: `gelu`, `quickgelu` or `relu`, that the weights were trained with.
        normalization: Key of `NORMALIZATIONS`.
        size: Side of the input in pixels.
        interpolation: Of the resize.
        shipped: Whether the weights are part of the package.
        note: Anything else a user should know.
    """

    name: str
    backbone: str
    pretraining: str
    training: str
    loader: str
    architecture: str
    width: int
    parameters: int
    activation: str
    normalization: str
    size: int
    interpolation: str
    tag: str | None = None
    shipped: bool = False
    note: str = ""

    @property
    def public(self) -> bool:
        """Whether the weights are published or shipped."""
        return self.tag is not None or self.shipped

    @property
    def spec(self) -> str:
        """The explicit spec that loads the same model.

        >>> presets()["vitb16_openai"].spec
        'open_clip:ViT-B-16-quickgelu/openai'
        >>> presets()["rn50_in1k"].spec
        'timm:resnet50.tv_in1k'
        """
        separator = "/" if self.loader == "open_clip" else "."
        tag = f"{separator}{self.tag}" if self.tag else ""
        return f"{self.loader}:{self.architecture}{tag}"


@dataclass(frozen=True, slots=True)
class ListedModel:
    """One model of the list.

    Attributes:
        name: What a user types: a preset or a spec.
        spec: The explicit spec.
        preset: The preset, with what the catalog knows of it; None for the libraries' models.
        cached: `yes`, `no`, or `none` where no public weights exist.
        parameters: In millions; None if unknown without loading the library.
        imagenet: Published accuracy on ImageNet.
        robustness: Published effective robustness by the `standard` baseline.
        extrapolated: Whether this accuracy is outside the range of that baseline.
        shifts: Published accuracies on ImageNet's shifts, by the name of the set.
    """

    name: str
    spec: str
    preset: Preset | None
    cached: str
    parameters: float | None
    imagenet: float | None
    robustness: float | None
    extrapolated: bool
    shifts: Mapping[str, float | None] = field(default_factory=dict)


def similar_models(models: Iterable[ListedModel], query: str) -> list[str]:
    """Returns up to three names or architectures that are spelled like a query.

    >>> made = ListedModel("x", "timm:test_resnet.r160_in1k", None, "", None, None, None, False)
    >>> similar_models([made], "tset_resnet")
    ['test_resnet']
    """
    names: dict[str, str] = {}
    for model in models:
        architecture = re.split("[/.]", model.spec.partition(":")[2])[0]
        names |= {name.casefold(): name for name in (model.name, architecture)}
    return [names[near] for near in similar_names(query.casefold(), names)]


@lru_cache(maxsize=1)
def presets() -> dict[str, Preset]:
    """Returns all presets by name, in the order of the file."""
    text = Path(__file__).with_name("presets.toml").read_text("utf-8")
    return {name: Preset(name=name, **row) for name, row in tomllib.loads(text).items()}


FILE = Path(__file__).with_name("names.tsv")

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Published:
    """One model with published weights.

    Attributes:
        loader: `open_clip` or `timm`.
        architecture: Without the tag.
        tag: Of the weights; may be empty for timm.
        quickgelu: Whether the weights were trained with QuickGELU.
        repository: Hugging Face repository of the weights; empty if they are elsewhere.
        file: File within the repository; empty for the library's default.
        url: Download address; empty if the weights are in a repository.
    """

    loader: str
    architecture: str
    tag: str
    quickgelu: bool
    repository: str
    file: str
    url: str

    @property
    def spec(self) -> str:
        """The spec a user types.

        >>> published("open_clip:ViT-B-16-quickgelu/openai").repository
        'timm/vit_base_patch16_clip_224.openai'
        """
        separator = "/" if self.loader == "open_clip" else "."
        return f"{self.loader}:{self.architecture}" + (f"{separator}{self.tag}" if self.tag else "")


@lru_cache(maxsize=1)
def all_published() -> dict[str, Published]:
    """Returns all models by spec, open_clip's first."""
    rows = [line.split("\t") for line in current_file().read_text("utf-8").splitlines()[2:]]
    models = [Published(r[0], r[1], r[2], r[3] == "1", r[4], r[5], r[6]) for r in rows]
    return {model.spec: model for model in models}


def published(spec: str) -> Published | None:
    """Returns the model of a spec, with or without an activation suffix."""
    return all_published().get(spec.partition("@")[0])


def right_spec(spec: str) -> str:
    """Returns the spec that loads the same weights with the activation they were trained with.

    >>> right_spec("open_clip:ViT-B-16/openai")
    'open_clip:ViT-B-16-quickgelu/openai'
    >>> right_spec("timm:vit_base_patch16_clip_224.openai")
    'timm:vit_base_patch16_clip_quickgelu_224.openai'
    >>> right_spec("open_clip:ViT-B-16/laion400m_e32")
    'open_clip:ViT-B-16/laion400m_e32'
    """
    model = published(spec)
    if model is None or not model.quickgelu or "quickgelu" in model.architecture:
        return spec
    if model.loader == "open_clip":
        other = f"open_clip:{model.architecture}-quickgelu/{model.tag}"
    else:
        other = spec.replace("_clip_", "_clip_quickgelu_")
    return other if other in all_published() else spec


def generated_with(file: Path = FILE) -> dict[str, str]:
    """Returns the library versions that a list was generated with."""
    return dict(part.split("==") for part in _head(file) if "==" in part)


def list_date(file: Path = FILE) -> str:
    """Returns the day on which a list was generated, for example `2026-11-25`."""
    return next((part for part in _head(file) if _DAY.fullmatch(part)), "")


def _head(file: Path) -> list[str]:
    with file.open(encoding="utf-8") as lines:
        return lines.readline().strip().removeprefix("# ").split(" ")


def installed() -> dict[str, str]:
    """Returns the versions of the libraries that are installed, without importing them."""
    try:
        return {"open_clip": version("open_clip_torch"), "timm": version("timm")}
    except PackageNotFoundError:
        return {}


def cached_list() -> Path:
    """Returns the path of the cached list for other library versions."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "tuiprobe" / "names.tsv"


def current_file() -> Path:
    """Returns the list to read: the cached one if it matches the installed versions."""
    cached = cached_list()
    try:
        return cached if generated_with(cached) == installed() else FILE
    except (OSError, ValueError):
        return FILE


def is_stale() -> bool:
    """Returns whether neither list matches the installed library versions."""
    return installed() != generated_with(current_file()) and bool(installed())
