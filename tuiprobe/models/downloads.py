"""The size of a download, and its progress by the folders that libraries download to."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tuiprobe.catalog.cached import Missing, hub_cache, hub_names, url_folder
from tuiprobe.catalog.published_models import Published

SECONDS = 0.5
"""Between two lines."""

MEGABYTE = 1e6

HUB_SECONDS = 3.0
"""Longest wait for the size of a file; the download itself may wait longer."""


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


@contextmanager
def printing_downloads(name: str, seconds: float | None = None) -> Iterator[None]:
    """Prints a line to standard error whenever more bytes of a model have arrived.

    The libraries download with clients of their own, but all into the same few folders, so the
    bytes that these gain are what was downloaded.

    Args:
        name: The model, for the lines.
        seconds: Between two lines; None for `SECONDS`.
    """
    ended, before = threading.Event(), _sizes()

    def watch() -> None:
        last = ""
        while not ended.wait(seconds or SECONDS):
            gained = sum(max(size - before.get(path, 0), 0) for path, size in _sizes().items())
            line = f"{name}: {gained / MEGABYTE:,.1f} MB downloaded"
            if gained and line != last:  # the same rounded size is printed once
                print(last := line, file=sys.stderr, flush=True)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _sizes() -> dict[Path, int]:
    """Returns the size of every file that is or was downloaded, complete or not."""
    sizes = {}
    folders = {url_folder("open_clip"), url_folder("torchvision")}
    files = [path for folder in folders for path in folder.glob("*")]
    for path in (*files, *hub_cache().glob("models--*/blobs/*")):
        try:
            sizes[path] = path.stat().st_size
        except OSError:  # renamed in the meantime
            continue
    return sizes
