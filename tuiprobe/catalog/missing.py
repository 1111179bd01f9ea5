"""Published weights that a run has to download first; opens no socket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuiprobe.catalog.accuracies import published_row
from tuiprobe.catalog.cached import cached_file
from tuiprobe.catalog.names import published
from tuiprobe.catalog.presets import presets

FLOAT32_BYTES = 4


@dataclass(frozen=True)
class Missing:
    """Published weights that are not on this machine.

    Attributes:
        model: The model, as the user typed it.
        tower: Bytes of its image tower in float32, the least that its file holds; None if unknown.
    """

    model: str
    tower: int | None


def missing_weights(models: Sequence[str]) -> list[Missing]:
    """Returns which models of a run have published weights that are not cached."""
    found = []
    for model in dict.fromkeys(models):
        preset = presets().get(model)
        weights = published(preset.spec if preset is not None else model)
        if weights is not None and cached_file(weights) is None:
            count = preset.parameters if preset is not None else _timm_parameters(model)
            found.append(Missing(model, None if count is None else FLOAT32_BYTES * count))
    return found


def _timm_parameters(model: str) -> int | None:
    """Returns the parameters of a timm model by the published table; None for any other."""
    row = published_row(model.partition("@")[0]) if model.startswith("timm:") else None
    return None if row is None or row.parameters is None else int(row.parameters * 1e6)


def download_words(missing: Sequence[Missing]) -> str:
    """Returns what will be downloaded, in one sentence; empty for nothing.

    >>> download_words([Missing("a", 2_000_000), Missing("b", 4_000_000)])[-65:]
    'the start downloads them, at least 6 MB (image towers in float32)'
    >>> download_words([Missing("a", 2_000_000), Missing("b", None)])[-65:]
    'at least 2 MB (image towers in float32); the size of b is unknown'
    """
    if not missing:
        return ""
    names = ", ".join(one.model for one in missing)
    known = [one.tower for one in missing if one.tower is not None]
    unknown = [one.model for one in missing if one.tower is None]
    said = f"the weights of {names} are not on this machine: the start downloads them"
    if known:
        said += f", at least {sum(known) / 1e6:,.0f} MB (image towers in float32)"
    if unknown:
        said += f"; the size of {', '.join(unknown)} is unknown"
    return said
