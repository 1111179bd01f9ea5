"""Presets: the models of the study by short names, read from `presets.toml`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

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
        loader: Name of its loader, as `open_clip`.
        architecture: The library's name for it.
        tag: Of the published weights; None where no public checkpoint exists.
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
        imagenet: Published accuracy on ImageNet; None where there is none.
        robustness: Published effective robustness by the `standard` baseline.
        extrapolated: Whether this accuracy is outside the range of that baseline.
    """

    name: str
    spec: str
    preset: Preset | None
    cached: str
    parameters: float | None
    imagenet: float | None
    robustness: float | None
    extrapolated: bool


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
    return [names[near] for near in get_close_matches(query.casefold(), names, 3)]


@lru_cache(maxsize=1)
def presets() -> dict[str, Preset]:
    """Returns all presets by name, in the order of the file."""
    text = Path(__file__).with_name("presets.toml").read_text("utf-8")
    return {name: Preset(name=name, **row) for name, row in tomllib.loads(text).items()}
