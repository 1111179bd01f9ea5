"""Bundles and the caches: writes what is cached into a bundle, and runs models from one."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import platformdirs

from tuiprobe.catalog.cached import hub_cache, url_folder
from tuiprobe.catalog.labels import imagenet_names
from tuiprobe.catalog.presets import presets
from tuiprobe.errors import WeightsError
from tuiprobe.files import Entry, names_below, open_regular, reading
from tuiprobe.models.bundle_file import (
    MANIFEST,
    REFERENCE,
    Manifest,
    Member,
    checked_chunks,
    may_hold,
    open_bundle,
)
from tuiprobe.models.fetch import Fetched
from tuiprobe.models.head_files import read_classes, read_templates
from tuiprobe.models.heads import Head, Progress, head_bytes, look_for_heads
from tuiprobe.models.load import load_encoder
from tuiprobe.models.offline import go_offline

UNUSED_DAYS = 14
"""A bundle's cache that was not used for longer is removed when a bundle is used."""

_USED = "used"
_KEY = re.compile("[0-9a-f]{24}")
_VARIABLES = ("HF_HUB_CACHE", "TORCH_HOME")


@dataclass(frozen=True)
class Written:
    """A bundle that was written.

    Attributes:
        path: Its file.
        size: Bytes.
        sha256: SHA-256 of the file.
    """

    path: Path
    size: int
    sha256: str


@dataclass(frozen=True)
class Content:
    """The content of a member that is written: a file, or bytes in memory."""

    source: Path | bytes
    member: Member

    def chunks(self) -> Iterator[bytes]:
        """Yields the content.

        Raises:
            WeightsError: If the file is no longer what it was.
        """
        if isinstance(self.source, bytes):
            yield self.source
            return
        with reading(self.source), open_regular(self.source) as file:
            yield from checked_chunks(
                file, self.member, str(self.source), "it changed; fetch it again"
            )


def content_of(data: bytes) -> Content:
    """Returns bytes as the content of a member."""
    return Content(data, Member(size=len(data), sha256=hashlib.sha256(data).hexdigest()))


def bundle_models(
    path: Path, fetched: Mapping[str, Sequence[Fetched]], heads: Mapping[str, Head]
) -> Written:
    """Writes the cached files of models, and heads, into one file.

    Args:
        path: The bundle.
        fetched: The files of each model, by what the user typed.
        heads: Zero-shot heads, by their keys (`Encoder.head_key`).

    Raises:
        WeightsError: If a file is not in a cache that a bundle can stand for.
    """
    contents: dict[str, Content] = {}
    models: dict[str, list[str]] = {}
    for model, files in fetched.items():
        names = models.setdefault(spec_of(model), [])
        for file in files:
            name = _place(file)
            contents[name] = Content(file.path, Member(size=file.size, sha256=file.sha256))
            names += [name, *_reference(name, contents)]
    named = {f"heads/{key}.safetensors": content_of(head_bytes(one)) for key, one in heads.items()}
    contents |= named
    manifest = Manifest(
        models={spec: sorted(set(names)) for spec, names in models.items()},
        heads=sorted(named),
        files={name: content.member for name, content in sorted(contents.items())},
    )
    digest = _write(path, manifest, contents)
    return Written(path, path.stat().st_size, digest)


def _write(path: Path, manifest: Manifest, contents: Mapping[str, Content]) -> str:
    """Publishes a bundle, whole or not at all; equal contents give equal bytes.

    Returns:
        The SHA-256 of the file.
    """
    digest = hashlib.sha256()

    def chunks() -> Iterator[bytes]:
        listed = content_of((manifest.model_dump_json(indent=1) + "\n").encode())
        for name, content in ((MANIFEST, listed), *sorted(contents.items())):
            yield from _stored(name, content)
        yield bytes(2 * tarfile.BLOCKSIZE)

    def hashed() -> Iterator[bytes]:
        for chunk in chunks():
            digest.update(chunk)
            yield chunk

    Entry(path.absolute().parent, path.name).write_chunks(hashed())
    return digest.hexdigest()


def _stored(name: str, content: Content) -> Iterator[bytes]:
    info = tarfile.TarInfo(name)
    info.size = content.member.size
    yield info.tobuf(tarfile.PAX_FORMAT)
    yield from content.chunks()
    yield bytes(-info.size % tarfile.BLOCKSIZE)


def build_head(
    model: str,
    *,
    device: str,
    classes: Path | None = None,
    templates: Path | None = None,
    progress: Progress | None = None,
) -> tuple[str, Head] | None:
    """Builds the zero-shot head of a model, or reads it from the cache of heads.

    Args:
        model: A fetched model.
        device: Where prompts are encoded.
        classes: File with class names; None for those of ImageNet.
        templates: File with prompt templates; None for the model's own.
        progress: Called after every class.

    Returns:
        What names the head in a bundle, and the head; None for a model without a text tower.

    Raises:
        UsageError: If a file cannot be used.
    """
    names = read_classes(classes) if classes is not None else imagenet_names()
    encoder = load_encoder(model, device=device)
    if encoder.text is None:
        return None
    prompts = read_templates(templates) if templates is not None else encoder.text.templates
    head = encoder.head(names, prompts, progress=progress)
    assert head is not None, "a text tower builds a head"
    return encoder.head_key(names, prompts), head


def spec_of(model: str) -> str:
    """Returns the spec whose files a model uses.

    >>> spec_of("rn50_openai"), spec_of("timm:resnet50.a1_in1k@288")
    ('open_clip:RN50-quickgelu/openai', 'timm:resnet50.a1_in1k')
    """
    preset = presets().get(model)
    return preset.spec if preset is not None else model.partition("@")[0]


def _place(file: Fetched) -> str:
    """Returns the name of a cached file in a bundle."""
    folders = (("hub", hub_cache()), ("torch/hub/checkpoints", url_folder("torchvision")))
    for name, folder in folders:
        for base in (folder, folder.resolve()):
            if file.path.is_relative_to(base):
                place = f"{name}/{file.path.relative_to(base).as_posix()}"
                if may_hold(place):
                    return place
    raise WeightsError(
        f"{file.model} keeps {file.path}, which a bundle cannot hold; copy the file itself"
    )


def _reference(name: str, contents: dict[str, Content]) -> list[str]:
    """Adds the file that names the commit of a repository's snapshot; returns its name."""
    parts = PurePosixPath(name).parts
    if parts[0] != "hub":
        return []
    reference = f"hub/{parts[1]}/{REFERENCE}"
    contents[reference] = content_of(parts[3].encode())
    return [reference]


def look_for_weights(model: str | None, bundle: Path | None, *, offline: bool) -> None:
    """Sets where this process takes a model from: from a bundle alone, or from the usual caches.

    The files of a bundle, verified, become a cache of their own below the user's cache folder,
    where the libraries look for them from now on. Caches of bundles that were not used for
    `UNUSED_DAYS` are removed. A bundle implies `offline`.

    Args:
        model: The model; None if none is loaded.
        bundle: A file of `bundle_models`; None for the usual caches.
        offline: Whether to open no socket.

    Raises:
        WeightsError: If the bundle is damaged, or does not hold the model.
    """
    if offline or bundle is not None:
        go_offline()
    if bundle is None or model is None:
        _look_in(None)
        return
    opened, spec = open_bundle(bundle), spec_of(model)
    manifest = opened.manifest
    if spec not in manifest.models:
        held = ", ".join(sorted(manifest.models)) or "no model"
        raise WeightsError(f"the bundle {bundle} does not hold {spec}; it holds {held}")
    root = Path(platformdirs.user_cache_dir("tuiprobe")) / "bundles" / opened.key[:24]
    Entry(root, _USED).replace(b"")
    _remove_unused(root.parent)
    opened.place([*manifest.models[spec], *manifest.heads], root)
    _look_in(root)


def _remove_unused(folder: Path) -> None:
    """Removes the caches of bundles that no run has used for days; each can be made again."""
    for name in names_below(folder):
        root, now = folder / name, time.time()
        used = Entry(root, _USED).modified()
        with suppress(OSError):  # of a cache that cannot be removed, nothing depends on it
            last = root.lstat().st_mtime if used is None else used / 1e9  # none: of version 0.2
            if _KEY.fullmatch(name) and now - last > UNUSED_DAYS * 24 * 3600:
                shutil.rmtree(root)


_before: dict[str, str | None] = {}


def _look_in(root: Path | None) -> None:
    """Sets where the libraries look for weights, for this process and its children."""
    if root is None:
        for name, value in _before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        _before.clear()
    else:
        for name in _VARIABLES:
            _before.setdefault(name, os.environ.get(name))
        os.environ.update(HF_HUB_CACHE=str(root / "hub"), TORCH_HOME=str(root / "torch"))
    look_for_heads(None if root is None else root / "heads")
    constants = sys.modules.get("huggingface_hub.constants")
    if constants is not None:  # The environment is read only on import.
        constants.HF_HUB_CACHE = str(hub_cache())  # type: ignore[attr-defined]
