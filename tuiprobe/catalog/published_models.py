"""Every model that open_clip and timm publish weights of, without importing either.

`names.tsv` is generated from the libraries (`python -m tuiprobe.models.generate_lists`) and a test
compares it with those installed. If other versions are installed, a list for them is kept in
the user's cache (`python -m tuiprobe.models.generate_lists --cache`) and takes its place.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

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
    """Returns the model of a spec, with or without an activation suffix; None if there is none."""
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


def listed_on(file: Path = FILE) -> str:
    """Returns the day on which a list was generated, as `2026-11-25`; empty if it has none."""
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
