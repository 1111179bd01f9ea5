"""`tuiprobe fetch`: caches and checks all files of a model, for use without a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuiprobe.catalog.cached import cached_file, hub_cache
from tuiprobe.catalog.labels import imagenet_names
from tuiprobe.catalog.names import Published, all_published, published
from tuiprobe.catalog.presets import presets
from tuiprobe.errors import UsageError, WeightsError
from tuiprobe.models.head_files import read_classes, read_templates
from tuiprobe.models.heads import Progress
from tuiprobe.models.load import load_encoder
from tuiprobe.models.offline import check_reachable, sha256, verified
from tuiprobe.models.quiet import quiet
from tuiprobe.models.registry import LOADERS
from tuiprobe.models.weights import resolve

_TOKENIZER_SUFFIXES = (".json", ".txt", ".model")
"""Of the files that tokenizers are made of; others of a repository are weights, pages or code."""


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
        raise _unknown(name, spec)
    files = loader.fetch(spec, rest)
    return tuple(Fetched(spec, f, f.stat().st_size, sha256(f)) for f in files)


def fetch_head(
    name: str,
    *,
    device: str,
    classes: Path | None = None,
    templates: Path | None = None,
    progress: Progress | None = None,
) -> Fetched | None:
    """Builds the zero-shot head of a fetched model, and keeps it in the cache of heads.

    Args:
        name: A fetched model.
        device: Where prompts are encoded.
        classes: File with class names; None for those of ImageNet.
        templates: File with prompt templates; None for the model's own.
        progress: Called after every class.

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
    path = encoder.keep_head(head)
    return Fetched(name, path, path.stat().st_size, path.stem)


def filled_folders(files: Iterable[Fetched]) -> dict[Path, int]:
    """Returns the folders to copy to another machine, with the bytes that each holds.

    A folder is a repository in the cache of the Hugging Face hub, or the folder that a file lies
    in: that of a head, or the one where open_clip or torch keeps what it downloads from URLs.
    """
    folders = []
    for file in files:
        above = file.path.parents
        folders.append(next((one for one in above if one.name.startswith("models--")), above[0]))
    return {
        folder: sum(
            one.stat().st_size
            for one in folder.rglob("*")
            if one.is_file() and not one.is_symlink()
        )
        for folder in dict.fromkeys(folders)
    }


def fetch_from_library(spec: str, rest: str) -> list[Path]:
    """Caches the files of an open_clip or timm spec: published weights, or a repository."""
    if rest.startswith("hf-hub:"):
        loader = spec.partition(":")[0]
        return _repository(spec, loader, rest.removeprefix("hf-hub:"))
    model = published(spec)
    if model is None:
        raise _unknown(spec, spec)
    return _published(model)


def _unknown(name: str, spec: str) -> UsageError | WeightsError:
    """Returns the error for an unknown tag of a known architecture, or for an unknown name."""
    loader, _, rest = spec.partition(":")
    architecture = rest.partition("/" if loader == "open_clip" else ".")[0]
    tags = [
        one.tag
        for one in all_published().values()
        if (one.loader, one.architecture) == (loader, architecture)
    ]
    if not tags:
        return UsageError(f"{name!r} names no published weights; see tuiprobe models")
    return WeightsError(
        f"{name} is not published; the tags of {architecture} are {', '.join(tags)}"
    )


def _published(model: Published) -> list[Path]:
    check_reachable(model.spec)
    files = []
    if cached_file(model) is None:
        resolve(lambda: _download(model), what=model.spec)
    file = cached_file(model)
    if file is None:
        raise WeightsError(f"{model.spec} was downloaded, but is not where its library keeps it")
    files.append(verified(file, model.url))
    if model.loader == "open_clip":
        import open_clip

        config = open_clip.get_model_config(model.architecture)
        files += _tokenizer(model.architecture, config, model.spec)
    return files


def _download(model: Published) -> str:
    with quiet():
        if model.loader == "open_clip":
            from open_clip import pretrained

            config = pretrained.get_pretrained_cfg(model.architecture, model.tag)
            return str(pretrained.download_pretrained(config))
        import timm

        from tuiprobe.models import from_timm

        name = model.spec.removeprefix("timm:")
        from_timm.fetch_weights(name)
        timm.create_model(name, pretrained=True)
        return name


def _tokenizer(model_name: str, config: Mapping[str, Any], spec: str) -> list[Path]:
    """Builds the tokenizer once, which caches its files; returns them, if it has any."""
    import open_clip

    def make() -> str:
        with quiet():
            open_clip.get_tokenizer(model_name, cache_dir=str(hub_cache()))
        return ""

    resolve(make, what=f"the tokenizer of {spec}")
    repository = config.get("text_cfg", {}).get("hf_tokenizer_name")
    return tokenizer_files(repository) if repository else []


def tokenizer_files(repository: str) -> list[Path]:
    """Returns the cached files of a repository that a tokenizer may be made of."""
    root = hub_cache() / f"models--{repository.replace('/', '--')}"
    commit = (root / "refs" / "main").read_text("utf-8").strip()
    found = (root / "snapshots" / commit).glob("*")
    return sorted(file for file in found if file.suffix in _TOKENIZER_SUFFIXES)


def _repository(spec: str, loader: str, repository: str) -> list[Path]:
    from huggingface_hub import hf_hub_download

    from tuiprobe.models import from_timm
    from tuiprobe.models.open_clip_source import CONFIG_FILE, Request, locate

    if loader == "timm":
        config = resolve(lambda: hf_hub_download(repository, "config.json"), what=spec)
        return [config, from_timm.in_repository(repository)]
    source = locate(Request(spec, f"hf-hub:{repository}"))
    tokenizer = _tokenizer(f"hf-hub:{repository}", source.config, spec)
    assert source.weights is not None, "a repository always has a way to its weights"
    config = resolve(lambda: hf_hub_download(repository, CONFIG_FILE), what=spec)
    return [config, source.weights(), *tokenizer]
