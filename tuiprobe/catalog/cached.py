"""Finds published weights that are already on this machine; opens no socket."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from tuiprobe.catalog.names import Published

_OPEN_CLIP_FILES = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.bin",
)
_TIMM_FILES = ("model.safetensors", "pytorch_model.bin")


def hub_cache() -> Path:
    """Returns the folder of the Hugging Face cache, as its library finds it."""
    home = os.environ.get("HF_HOME") or Path(_cache_home()) / "huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()


def cached_file(model: Published) -> Path | None:
    """Returns the file with the weights of a model; None if it is not cached."""
    if model.repository:
        return _in_hub(model)
    name = PurePosixPath(urlsplit(model.url).path).name
    if not name:
        return None
    path = url_folder(model.loader) / name
    return path if path.is_file() else None


def _in_hub(model: Published) -> Path | None:
    root = hub_cache() / f"models--{model.repository.replace('/', '--')}"
    try:
        commit = (root / "refs" / "main").read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    found = (root / "snapshots" / commit / name for name in hub_names(model))
    return next((path for path in found if path.is_file()), None)


def hub_names(model: Published) -> tuple[str, ...]:
    """Returns the names that the weights of a model may have in its repository."""
    if model.file:
        return model.file, str(PurePosixPath(model.file).with_suffix(".safetensors"))
    return _OPEN_CLIP_FILES if model.loader == "open_clip" else _TIMM_FILES


def url_folder(loader: str) -> Path:
    """Returns where a library keeps what it downloads from plain URLs."""
    if loader == "open_clip":
        return Path("~/.cache/clip").expanduser()
    torch_home = os.environ.get("TORCH_HOME") or Path(_cache_home()) / "torch"
    return Path(torch_home).expanduser() / "hub" / "checkpoints"


def _cache_home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
