"""Published weights in the caches of their libraries: fetched, verified, and refused if offline.

The only switch is `HF_HUB_OFFLINE`, which the Hugging Face library also obeys. The command line
sets it before that library is imported; a Python program may have imported it already. Downloads
from plain URLs are refused here, before a library opens a socket.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TypeVar
from urllib.parse import urlsplit

from tuiprobe.catalog.cached import cached_file, url_folder
from tuiprobe.catalog.published_models import all_published, published
from tuiprobe.errors import UsageError, WeightsError
from tuiprobe.files import open_regular
from tuiprobe.plaintext import first_line

Resolved = TypeVar("Resolved")

_SHA256 = re.compile(r"[0-9a-f]{64}")
_IN_URL = re.compile(r"openaipublic.*/([0-9a-f]{64})/|mlfoundations.*-([0-9a-f]{8,64})\.\w+$")
"""Where open_clip's URLs name the beginning of the SHA-256 of their file."""


def go_offline() -> None:
    """Restricts this process and its children to cached weights, without opening a socket."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    constants = sys.modules.get("huggingface_hub.constants")
    if constants is not None:  # The environment is read only on import.
        constants.HF_HUB_OFFLINE = True  # type: ignore[attr-defined]


def is_offline() -> bool:
    """Says whether downloads are switched off."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def check_reachable(spec: str) -> None:
    """Refuses uncached published weights if offline; checks the cached ones.

    Raises:
        WeightsError: If they are missing, or damaged.
    """
    model = published(spec)
    file = cached_file(model) if model is not None else None
    if model is not None and file is not None:
        verified(file, model.url)
    elif is_offline():
        raise unavailable(spec, _SWITCHED_OFF)


def check_url(url: str, spec: str) -> None:
    """Refuses a file outside torch's cache if offline."""
    name = PurePosixPath(urlsplit(url).path).name
    if is_offline() and not (url_folder("torchvision") / name).is_file():
        raise unavailable(spec, _SWITCHED_OFF)


_SWITCHED_OFF = "they are not cached, and downloads are off"


def unavailable(spec: str, reason: str) -> WeightsError:
    """Returns the error for weights that are neither cached nor available for download."""
    return WeightsError(
        f"the weights of {spec} are not available ({reason}). Fetch them where there is a network "
        f"(tuiprobe fetch {spec}), or pass --checkpoint FILE"
    )


def verified(file: Path, url: str = "") -> Path:
    """Returns a cached file after checking its SHA-256.

    The hub's cache names large files by their digest, and open_clip's URLs hold its beginning, so
    damage can be detected without a network.

    Args:
        file: A file of a cache.
        url: Where it was downloaded from; empty for a file of the hub.

    Raises:
        WeightsError: If the content does not match the digest.
    """
    name = file.resolve().name
    in_url = _IN_URL.search(url)
    if in_url is not None:
        expected = in_url[1] or in_url[2]
    elif file.is_symlink() and _SHA256.fullmatch(name):
        expected = name
    else:
        return file
    digest = sha256(file)
    if not digest.startswith(expected):
        raise WeightsError(
            f"{file} is damaged: its SHA-256 is {digest[:12]}…, it should be {expected[:12]}…. "
            f"Delete {file.resolve()} and fetch it again"
        )
    return file


def sha256(file: Path) -> str:
    """Computes the SHA-256 of a file, reading it in chunks."""
    digest = hashlib.sha256()
    with open_regular(file) as stream:
        while chunk := stream.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()


def resolve(fetch: Callable[[], Resolved], *, what: str) -> Resolved:
    """Returns what a library's download function does; turns its failures into one message.

    Raises:
        WeightsError: If the weights are neither cached nor available for download.
    """
    try:
        return fetch()
    except WeightsError:
        raise
    except Exception as error:  # Libraries pass on their HTTP client's errors.
        raise unavailable(what, first_line(error)) from error


def fetch_published(spec: str, download: Callable[[], object]) -> Path:
    """Caches the weights of a spec and returns their file; only checks a file already cached.

    Args:
        spec: `open_clip:ARCH/TAG` or `timm:NAME`.
        download: Has the library download them.

    Raises:
        UsageError: If the name is not that of published weights.
        WeightsError: If the file is unavailable or damaged.
    """
    from tuiprobe.models.building import quiet  # loads torch

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
