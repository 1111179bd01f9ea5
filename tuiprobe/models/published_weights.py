"""Weights that open_clip and timm publish: where they lie once they are cached."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tuiprobe.catalog.cached import cached_file
from tuiprobe.catalog.published_models import all_published, published
from tuiprobe.errors import UsageError, WeightsError
from tuiprobe.models.building import quiet
from tuiprobe.models.offline import check_reachable, verified
from tuiprobe.models.weights import resolve


def fetch_published(spec: str, download: Callable[[], object]) -> Path:
    """Caches the weights of a spec and returns their file; only checks a file already cached.

    Args:
        spec: `open_clip:ARCH/TAG` or `timm:NAME`.
        download: Has the library download them.

    Raises:
        UsageError: If the name is not that of published weights.
        WeightsError: If the file is unavailable or damaged.
    """
    model = published(spec)
    if model is None:
        raise unpublished(spec, spec)

    check_reachable(model.spec)
    if cached_file(model) is None:
        with quiet():
            resolve(download, what=model.spec)
    file = cached_file(model)
    if file is None:
        raise WeightsError(f"{model.spec} was downloaded, but is not where its library keeps it")
    return verified(file, model.url)


def unpublished(name: str, spec: str) -> UsageError | WeightsError:
    """Returns the error for an unknown tag of a known architecture, or for an unknown name."""
    loader, _, rest = spec.partition(":")
    architecture = rest.partition("/" if loader == "open_clip" else ".")[0]
    tags = [
        model.tag
        for model in all_published().values()
        if (model.loader, model.architecture) == (loader, architecture)
    ]
    if not tags:
        return UsageError(f"{name!r} names no published weights; see tuiprobe models")
    return WeightsError(
        f"{name} is not published; the tags of {architecture} are {', '.join(tags)}"
    )
