"""`tuiprobe fetch`: caches and checks all files of a model, for use without a network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tuiprobe.catalog.class_names import imagenet_names, read_classes
from tuiprobe.catalog.published_models import presets
from tuiprobe.errors import WeightsError
from tuiprobe.models.load import load_encoder
from tuiprobe.models.loaders.published_weights import sha256, unpublished
from tuiprobe.models.prompt_heads import PromptProgress, read_templates
from tuiprobe.models.registry import LOADERS


@dataclass(frozen=True)
class Fetched:
    """One file that a model needs.

    Attributes:
        model: The spec it belongs to.
        path: Path in the cache.
        size: Bytes.
        sha256: SHA-256 of its content.
    """

    model: str
    path: Path
    size: int
    sha256: str


def fetch(name: str) -> tuple[Fetched, ...]:
    """Caches weights, configuration and tokenizer of a model; only checks files already cached.

    Args:
        name: A preset, `open_clip:ARCH/TAG`, `timm:NAME`, `torchvision:NAME/WEIGHTS`, or
            `hf-hub:OWNER/NAME` of open_clip or timm.

    Raises:
        UsageError: If the name is not that of published weights.
        WeightsError: If a file is unavailable or damaged.
    """
    preset = presets().get(name)
    if preset is not None and not preset.public:
        raise WeightsError(f"{name} has no public checkpoint; pass --checkpoint FILE to its runs")
    spec = preset.spec if preset is not None else name
    scheme, _, rest = spec.partition(":")
    loader = LOADERS.get(scheme)
    if loader is None or loader.fetch is None:
        raise unpublished(name, spec)
    files = loader.fetch(spec, rest)
    return tuple(Fetched(spec, f, f.stat().st_size, sha256(f)) for f in files)


def fetch_head(
    name: str,
    *,
    device: str,
    classes: str | None = None,
    templates: Path | None = None,
    progress: PromptProgress | None = None,
) -> Fetched | None:
    """Builds the zero-shot head of a fetched model, and keeps it in the cache of heads.

    Args:
        name: A fetched model.
        device: Where prompts are encoded.
        classes: Class names as `--classes` takes them; None for those of ImageNet.
        templates: File with prompt templates; None for the model's own.
        progress: Called while the head is built.

    Returns:
        The file; None for a model without a text tower.

    Raises:
        UsageError: If a file cannot be used.
        WeightsError: If the model cannot be loaded, or a kept head is damaged.
    """
    names = read_classes(classes) if classes is not None else imagenet_names()
    prompts = read_templates(templates) if templates is not None else None
    encoder = load_encoder(name, device=device)
    if encoder.text is None:
        return None
    head = encoder.head(names, prompts, progress=progress)
    assert head is not None, "a text tower builds a head"
    path = encoder.publish_head(head)
    return Fetched(name, path, path.stat().st_size, path.stem)


def filled_folders(files: Iterable[Fetched]) -> dict[Path, int]:
    """Returns the folders to copy to another machine, with the bytes that each holds.

    A folder is a repository in the cache of the Hugging Face hub, or the folder that a file lies
    in: that of a head, or the one where open_clip or torch keeps what it downloads from URLs.
    """
    sizes = {}
    for file in files:
        above = file.path.parents
        folder = next((path for path in above if path.name.startswith("models--")), above[0])
        if folder not in sizes:
            contents = (p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
            sizes[folder] = sum(path.stat().st_size for path in contents)
    return sizes
