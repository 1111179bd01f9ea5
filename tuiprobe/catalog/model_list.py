"""What `tuiprobe models` lists, and which published weights are on this machine.

Nothing here opens a socket.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from tuiprobe.catalog.accuracies import published_row
from tuiprobe.catalog.effective_robustness import bundled, effective_robustness
from tuiprobe.catalog.published_models import (
    ListedModel,
    Preset,
    Published,
    all_published,
    presets,
    published,
    right_spec,
)
from tuiprobe.plaintext import holds_all

_OPEN_CLIP_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
_TIMM_FILES = ("model.safetensors", "pytorch_model.bin")

FLOAT32_BYTES = 4


@dataclass(frozen=True)
class Missing:
    """Published weights that are not on this machine.

    Attributes:
        model: The model, as the user typed it.
        tower: Bytes of its image tower in float32, the least that its file holds.
        weights: Where the weights are.
        size: Bytes of their file, if somebody asked.
    """

    model: str
    tower: int | None
    weights: Published
    size: int | None = None


def hub_cache() -> Path:
    """Returns the folder of the Hugging Face cache, as its library finds it."""
    home = os.environ.get("HF_HOME") or Path(_cache_home()) / "huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()


def cached_file(model: Published) -> Path | None:
    """Returns the file with the weights of a model."""
    if model.repository:
        root = hub_cache() / hub_folder(model)
        try:
            commit = (root / "refs" / "main").read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return None
        paths = [root / "snapshots" / commit / name for name in hub_names(model)]
    else:
        paths = [url_folder(model.loader) / PurePosixPath(urlsplit(model.url).path).name]
    return next((path for path in paths if path.is_file()), None)


def hub_folder(model: Published) -> str:
    """Returns the folder of a model's repository in the Hugging Face cache."""
    return f"models--{model.repository.replace('/', '--')}"


def hub_names(model: Published) -> tuple[str, ...]:
    """Returns the names that the weights of a model may have in its repository."""
    if model.file:
        return model.file, str(PurePosixPath(model.file).with_suffix(".safetensors"))
    return _OPEN_CLIP_FILES if model.loader == "open_clip" else _TIMM_FILES


def url_folder(loader: str) -> Path:
    """Returns the folder of a library's downloads from plain URLs."""
    if loader == "open_clip":
        return Path("~/.cache/clip").expanduser()
    torch_home = os.environ.get("TORCH_HOME") or Path(_cache_home()) / "torch"
    return Path(torch_home).expanduser() / "hub" / "checkpoints"


def _cache_home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()


def missing_weights(models: Sequence[str]) -> list[Missing]:
    """Returns the models of a run whose published weights are not cached."""
    missing = []
    for model in dict.fromkeys(models):
        preset = presets().get(model)
        weights = published(preset.spec if preset is not None else model) or _at_hub(model)
        if weights is not None and cached_file(weights) is None:
            missing.append(Missing(model, _tower(model, weights), weights))
    return missing


def _tower(model: str, weights: Published) -> int | None:
    """Returns the bytes of an image tower in float32, if a list has the number of parameters."""
    if (preset := presets().get(model)) is not None:
        return int(FLOAT32_BYTES * preset.parameters)
    row = published_row(model.partition("@")[0]) if weights.loader == "timm" else None
    if row is None or row.parameters is None:
        return None
    return int(FLOAT32_BYTES * (row.parameters * 1e6))


def _at_hub(model: str) -> Published | None:
    """Returns the weights of `LOADER:hf-hub:OWNER/NAME`, whose file has the library's name."""
    loader, _, repository = model.partition(":hf-hub:")
    if loader not in ("open_clip", "timm") or not repository:
        return None
    return Published(loader, repository, "", False, repository, "", "")


def download_words(missing: Sequence[Missing]) -> str:
    """Describes the downloads in one sentence."""
    if not missing:
        return ""
    names = ", ".join(model.model for model in missing)
    known = [size for model in missing if (size := model.size or model.tower) is not None]
    unknown = [model.model for model in missing if model.size is None and model.tower is None]
    words = f"the weights of {names} are not on this machine: the start downloads them"
    if known:
        towers = any(model.size is None and model.tower is not None for model in missing)
        least = "at least " if towers or unknown else ""
        words += f", {least}{sum(known) / 1e6:,.0f} MB"
        words += " (image towers in float32)" if towers else ""
    if unknown:
        words += f"; the size of {', '.join(unknown)} is unknown"
    return words


def list_models(words: Sequence[str] = ()) -> Iterator[ListedModel]:
    """Yields the models whose name, spec, backbone or pretraining contains all words.

    Specs that build a model with the wrong activation for its weights are left out; the list has
    the right ones. Iterate lazily to show the first rows at once.

    >>> next(list_models(["rn50_openai"])).spec
    'open_clip:RN50-quickgelu/openai'
    """
    folders = {folder.name for folder in hub_cache().glob("models--*")}
    for preset in presets().values():
        text = f"{preset.name} {preset.spec} {preset.backbone} {preset.pretraining}"
        if holds_all(f"{text} {preset.training}", words):
            cached = _cached(preset.spec, folders) if preset.public else "none"
            cached = "yes" if preset.shipped else cached
            yield _row(preset.name, preset.spec, preset, cached, preset.parameters / 1e6)
    for spec in all_published():
        if right_spec(spec) == spec and holds_all(spec, words):
            yield _row(spec, spec, None, _cached(spec, folders), None)


def of_package(specs: Sequence[str], words: Sequence[str] = ()) -> Iterator[ListedModel]:
    """Yields models of other packages; the catalog knows only their specs."""
    for spec in specs:
        if holds_all(spec, words):
            yield ListedModel(spec, spec, None, "", None, None, None, False)


def _cached(spec: str, folders: Container[str]) -> str:
    """Returns whether weights are cached, in most cases by the names of folders alone."""
    model = all_published().get(spec)
    if model is None or (model.repository and hub_folder(model) not in folders):
        return "no"
    return "yes" if cached_file(model) is not None else "no"


def _row(
    name: str, spec: str, preset: Preset | None, cached: str, parameters: float | None
) -> ListedModel:
    row = published_row(spec, preset.size if preset is not None else None)
    if row is None:
        return ListedModel(name, spec, preset, cached, parameters, None, None, False)
    er = effective_robustness(bundled("standard"), row.imagenet, row.shifts)
    return ListedModel(
        name=name,
        spec=spec,
        preset=preset,
        cached=cached,
        parameters=row.parameters if parameters is None else parameters,
        imagenet=row.imagenet,
        robustness=None if er is None else er.value,
        extrapolated=er is not None and er.extrapolated,
        shifts=row.shifts,
    )
