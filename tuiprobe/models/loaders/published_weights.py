"""Published weights in the caches of their libraries: fetched, verified, and refused if offline.

The only switch is `HF_HUB_OFFLINE`, which the Hugging Face library also obeys. The command line
sets it before that library is imported; a Python program may have imported it already. Downloads
from plain URLs are refused here, before a library opens a socket.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TypeVar
from urllib.parse import urlsplit

from tuiprobe.catalog.model_list import Missing, cached_file, hub_names, url_folder
from tuiprobe.catalog.published_models import Published, all_published, published
from tuiprobe.errors import UsageError, WeightsError
from tuiprobe.files import open_regular
from tuiprobe.plaintext import first_line

Resolved = TypeVar("Resolved")

_SHA256 = re.compile(r"[0-9a-f]{64}")
_IN_URL = re.compile(r"openaipublic.*/([0-9a-f]{64})/|mlfoundations.*-([0-9a-f]{8,64})\.\w+$")
"""Where open_clip's URLs name the beginning of the SHA-256 of their file."""


@contextmanager
def quiet() -> Iterator[None]:
    """Silences logging and warnings; our errors and reports cover what matters."""
    # open_clip logs through the root logger, which would install a permanent handler.
    handler = logging.NullHandler()
    before = logging.root.manager.disable
    logging.root.addHandler(handler)
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        logging.root.removeHandler(handler)


def set_offline() -> None:
    """Restricts this process and its children to cached weights, without opening a socket."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    constants = sys.modules.get("huggingface_hub.constants")
    if constants is not None:  # The environment is read only on import.
        constants.HF_HUB_OFFLINE = True  # type: ignore[attr-defined]


def is_offline() -> bool:
    """Returns whether downloads are switched off."""
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
    unasked = "" if is_offline() else "; --offline does not ask the network"
    return WeightsError(
        f"the weights of {spec} are not available ({reason}). Fetch them where there is a network "
        f"(tuiprobe fetch {spec}), or pass --checkpoint FILE{unasked}"
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


def resolve(fetch: Callable[[], Resolved], *, name: str, from_hub: bool = True) -> Resolved:
    """Calls a library's download function and turns its failures into one message.

    A hub that does not answer is asked once: libraries would ask it for half a minute a file.

    Args:
        fetch: The function.
        name: The model, for the message.
        from_hub: Whether it may ask the Hugging Face hub.

    Raises:
        WeightsError: If the weights are neither cached nor available for download.
    """
    silence = ""
    try:
        with quiet():
            silence = _silence_of_hub() if from_hub else ""
            with _cache_only() if silence else nullcontext():
                return fetch()
    except WeightsError:
        raise
    except Exception as error:  # Libraries pass on their HTTP client's errors.
        reason = silence if silence and _not_cached(error) else first_line(error)
        raise unavailable(name, reason) from error


def _silence_of_hub() -> str:
    """Returns why the hub does not answer; empty if it does, or is not to be asked."""
    from huggingface_hub import constants, get_session

    if is_offline() or constants.HF_HUB_OFFLINE:
        return ""
    try:
        get_session().head(constants.ENDPOINT, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    except Exception as error:
        return f"{constants.ENDPOINT} does not answer: {first_line(error)}"
    return ""


def _not_cached(error: BaseException | None) -> bool:
    """Returns whether an error comes from a file of the hub that is not cached."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    while error is not None and not isinstance(error, LocalEntryNotFoundError):
        error = error.__cause__ or error.__context__
    return error is not None


@contextmanager
def _cache_only() -> Iterator[None]:
    """Lets the hub's library look into its cache alone."""
    from huggingface_hub import constants

    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = False


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
        resolve(download, name=model.spec)
    file = cached_file(model)
    if file is None:
        raise WeightsError(f"{model.spec} was downloaded, but is not where its library keeps it")
    return verified(file, model.url)


def refuse_tag(name: str, architecture: str, tag: str, tags: Sequence[str], optional: bool) -> None:
    """Refuses weights that a library does not have.

    Args:
        name: What the user typed.
        architecture: The architecture, for messages.
        tag: The tag of the weights; empty without.
        tags: All tags of the architecture.
        optional: Whether there need be no tag, since other weights replace the published ones.

    Raises:
        WeightsError: If the library has no weights of this tag, or none is named.
    """
    if tag and tag not in tags:
        have = f"its tags are {', '.join(tags)}" if tags else "it has no published weights"
        raise WeightsError(f"{architecture} has no tag {tag!r}; {have}")
    if not tag and not optional:
        missing = f"names no weights: add a tag ({', '.join(tags)}), or"
        missing = missing if tags else "has no published weights:"
        raise WeightsError(f"{name} {missing} pass --checkpoint FILE")


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


HUB_SECONDS = 3.0
"""Longest wait for the size of a file."""


def with_sizes(missing: Sequence[Missing]) -> list[Missing]:
    """Returns missing weights with their sizes on the Hugging Face hub.

    Weights of other addresses keep what is known. The hub is not asked again if it fails.
    """
    sized = []
    try:
        for model in missing:
            size = _size(model.weights) if model.weights.repository else None
            sized.append(replace(model, size=size))
    except Exception:  # No network, or HF_HUB_OFFLINE: the download will say so.
        sized += missing[len(sized) :]
    return sized


def _size(weights: Published) -> int | None:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError

    for name in hub_names(weights):
        url = hf_hub_url(weights.repository, name)
        try:
            return get_hf_file_metadata(url, timeout=HUB_SECONDS).size
        except EntryNotFoundError:  # it has another of the names
            continue
    return None
