"""Weights without a network: what is cached is checked and loaded, nothing else is reached for.

The one switch is `HF_HUB_OFFLINE`, which the Hugging Face library obeys as well; what libraries
would download from plain URLs is refused here, before they open a socket.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from tuiprobe.catalog.cached import cached_file, url_folder
from tuiprobe.catalog.names import published
from tuiprobe.errors import WeightsError
from tuiprobe.files import open_regular

_SHA256 = re.compile(r"[0-9a-f]{64}")


def go_offline() -> None:
    """Makes this process and its children load cached weights only, and open no socket."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    constants = sys.modules.get("huggingface_hub.constants")
    if constants is not None:  # It reads the environment only once, when imported.
        constants.HF_HUB_OFFLINE = True  # type: ignore[attr-defined]


def is_offline() -> bool:
    """Whether downloads are switched off."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def check_reachable(spec: str) -> None:
    """Refuses published weights that are not cached, if offline; checks those that are.

    Raises:
        WeightsError: If they are missing, or damaged.
    """
    model = published(spec)
    file = cached_file(model) if model is not None else None
    if file is not None:
        verified(file)
    elif is_offline():
        raise _not_cached(spec)


def check_url(url: str, spec: str) -> None:
    """Refuses a file that is not in torch's cache, if offline."""
    name = PurePosixPath(urlsplit(url).path).name
    if is_offline() and not (url_folder("torchvision") / name).is_file():
        raise _not_cached(spec)


def _not_cached(spec: str) -> WeightsError:
    return WeightsError(
        f"the weights of {spec} could not be had (they are not cached, and downloads are off). "
        f"Fetch them where there is a network (tuiprobe fetch {spec}), or pass --checkpoint FILE"
    )


def verified(file: Path) -> Path:
    """Returns a file of the hub's cache after comparing it with its SHA-256.

    The cache keeps large files under their own digest, so that damage shows without a network.

    Raises:
        WeightsError: If the content is another than the name says.
    """
    name = file.resolve().name
    if file.is_symlink() and _SHA256.fullmatch(name):
        found = sha256(file)
        if found != name:
            raise WeightsError(
                f"{file} is damaged: its SHA-256 is {found[:12]}…, it should be {name[:12]}…. "
                f"Delete {file.resolve()} and fetch it again"
            )
    return file


def sha256(file: Path) -> str:
    """Returns the SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with open_regular(file) as stream:
        while chunk := stream.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()
