"""Published weights that a run has to download first; opens no socket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuiprobe.catalog.accuracies import published_row
from tuiprobe.catalog.cached import cached_file
from tuiprobe.catalog.names import Published, published
from tuiprobe.catalog.presets import presets

FLOAT32_BYTES = 4


@dataclass(frozen=True)
class Missing:
    """Published weights that are not on this machine.

    Attributes:
        model: The model, as the user typed it.
        tower: Bytes of its image tower in float32, the least that its file holds; None if unknown.
        weights: Where the weights are.
        size: Bytes of their file, if somebody asked; None if unknown.
    """

    model: str
    tower: int | None
    weights: Published
    size: int | None = None


def missing_weights(models: Sequence[str]) -> list[Missing]:
    """Returns which models of a run have published weights that are not cached."""
    found = []
    for model in dict.fromkeys(models):
        preset = presets().get(model)
        weights = published(preset.spec if preset is not None else model) or _at_hub(model)
        if weights is not None and cached_file(weights) is None:
            count = preset.parameters if preset is not None else _timm_parameters(model)
            tower = None if count is None else FLOAT32_BYTES * count
            found.append(Missing(model, tower, weights))
    return found


def _timm_parameters(model: str) -> int | None:
    """Returns the parameters of a timm model by the published table; None for any other."""
    row = published_row(model.partition("@")[0]) if model.startswith("timm:") else None
    return None if row is None or row.parameters is None else int(row.parameters * 1e6)


def _at_hub(model: str) -> Published | None:
    """Returns the weights of `LOADER:hf-hub:OWNER/NAME`, whose file has the library's name."""
    loader, kind, repository = (*model.split(":", 2), "", "")[:3]
    if loader not in ("open_clip", "timm") or kind != "hf-hub":
        return None
    return Published(loader, repository, "", False, repository, "", "")


def download_words(missing: Sequence[Missing]) -> str:
    """Returns what will be downloaded, in one sentence; empty for nothing."""
    if not missing:
        return ""
    names = ", ".join(one.model for one in missing)
    known = [size for one in missing if (size := one.size or one.tower) is not None]
    unknown = [one.model for one in missing if one.size is None and one.tower is None]
    words = f"the weights of {names} are not on this machine: the start downloads them"
    if known:
        towers = any(one.size is None and one.tower is not None for one in missing)
        least = "at least " if towers or unknown else ""
        words += f", {least}{sum(known) / 1e6:,.0f} MB"
        words += " (image towers in float32)" if towers else ""
    if unknown:
        words += f"; the size of {', '.join(unknown)} is unknown"
    return words
