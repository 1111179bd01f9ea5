"""The run directory, which the engine writes and everything else reads.

Files appear complete or not at all: each is written under a temporary name, flushed to disk and
renamed. Readers treat a directory as untrusted: sizes are limited, and links below it are not
followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from tuiprobe import limits
from tuiprobe.errors import DataError
from tuiprobe.files import (
    DamagedFileError,
    Entry,
    names_below,
    not_made_again,
    reading,
    unless_damaged,
    writing,
)
from tuiprobe.measure.run.locks import ENGINE_LOCK, holding

LOG_MARK = "$ tuiprobe "
"""Begins the line of `log.txt` that the output of an engine follows."""

_MOST_RANKS = 256
_KEY = re.compile(r"[0-9a-f]{64}")
BEFORE_THE_KEY = ("lock", ".key.", "log.txt")  # log.txt exists before the engine starts

_NAME_A_RUN = "name a run directory, for example one of runs/"


class _File:
    """A file of a run, as an attribute of `RunDir`."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, run: RunDir, owner: type[RunDir]) -> Entry:
        return run.at(self._name)


class RunDir:
    """Paths, atomic writes and checked reads of one run directory.

    Args:
        path: The directory; `create` makes it, not the constructor.

    Attributes:
        foreign_names: Names in it that are no part of a run, and were kept when a run was deleted.
    """

    key_file = _File("key")
    """The run's key: SHA-256 of its content, hexadecimal."""

    spec_file = _File("spec.json")
    """The RunSpec, as JSON."""

    plan_file = _File("plan.json")
    """The plan of the run: model, data and taps, as JSON."""

    samples_file = _File("samples.jsonl")
    """One JSON line per image: id, set, path, label, and its stamp (size and change mark)."""

    preflight_file = _File("preflight.json")
    """The checks of encoder and labels before the first image, as JSON."""

    statistics_file = _File("statistics.safetensors")
    """Merged statistics, keyed `<set>/<tap>/<field>`."""

    head_file = _File("head.safetensors")
    """The linear head: weight, bias, and the class of each row in each set."""

    concepts_file = _File("concepts.safetensors")
    """The labels of the concept set: sparse pixel shares, splits, names."""

    baseline_file = _File("baseline.csv")
    """The user's CSV of baseline models, if one was given."""

    measured_file = _File("measured.json")
    """The inputs of the merged statistics: shards, skipped images, fingerprints, as JSON."""

    per_image_file = _File("per_image.safetensors")
    """Values of single images, by which runs on the same images are compared in pairs."""

    results_file = _File("results.json")
    """The Report, as JSON."""

    summary_file = _File("summary.json")
    """What a list of runs shows of the Report, as JSON."""

    log_file = _File("log.txt")
    """The output of an engine that a screen started."""

    engine_file = _File(ENGINE_LOCK)
    """Locked by an engine that a screen started, from its first moment to its end."""

    cancel_file = _File("cancel")
    """Created by a reader to ask the run to stop."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.foreign_names: frozenset[str] = frozenset()

    # Layout.

    def at(self, name: str) -> Entry:
        """Returns a file by its path below the directory."""
        return Entry(self.path, name)

    def shard_file(self, set_name: str, number: int) -> Entry:
        """Returns the file of one shard's partial statistics."""
        return self.at(f"shards/{set_name}-{number:05d}.safetensors")

    def features_file(self, set_name: str) -> Entry:
        """Returns the file of one set's final representations and per-image values."""
        return self.at(f"features/{set_name}/images.safetensors")

    def rows_file(self, set_name: str) -> Entry:
        """Returns the file of names and labels of shown samples, where none has a line."""
        return self.at(f"rows/{set_name}.safetensors")

    def thumbnail_file(self, set_name: str, sample_id: int) -> Entry:
        """Returns the file of one image's 96-pixel thumbnail."""
        return self.at(f"thumbs/{set_name}/{sample_id}.jpg")

    def status_file(self, rank: int, suffix: str = "json") -> Entry:
        """Returns the status of a rank: `json`, or `safetensors` with its channels."""
        return self.at(f"status/{rank}.{suffix}")

    def status_ranks(self) -> list[int]:
        """Lists the ranks that have a status, in ascending order."""
        files = self.names("status")
        ranks = (name.removesuffix(".json") for name in files if name.endswith(".json"))
        return sorted(int(n[:9]) for n in ranks if n.isdecimal() and n.isascii())[:_MOST_RANKS]

    def names(self, folder: str = "") -> list[str]:
        """Returns the names in the directory or in a folder of it, sorted; follows no link."""
        return names_below(self.path, folder)

    # Life.

    def read_key(self) -> str | None:
        """Returns the key; None if it is missing or invalid."""
        content = unless_damaged(partial(self.key_file.read_bytes, 1024)) or b""
        key = content.decode("ascii", "replace").strip()
        return key if _KEY.fullmatch(key) else None

    def refuse_other_key(self, file: Entry, key: str) -> None:
        """Refuses an intact file of another run.

        Raises:
            DamagedFileError: If its key is not that of this run.
        """
        expected = self.read_key()
        if expected is not None and key != expected:
            raise DamagedFileError(
                f"{file} belongs to another run (key {key[:8]}, here {expected[:8]})"
            )

    def spec_json(self) -> dict[str, Any]:
        """Returns the options in `spec.json`, which may be of any names and values.

        Raises:
            DamagedFileError: If it is missing or too large, or holds no options.
        """
        spec = self.spec_file.read_json(limits.SPEC_BYTES)
        if not isinstance(spec, dict):
            raise DamagedFileError(f"{self.spec_file} holds no options of a run")
        return spec

    def refuse_foreign(self, key: str) -> None:
        """Refuses a directory that does not belong to this run.

        Raises:
            DataError: If the directory holds another run, or files that are not a run.
        """
        with reading(self.path):
            if self.path.exists() and not self.path.is_dir():
                raise DataError(f"{self.path} is no directory; choose another --output")
            entries = list(self.path.iterdir()) if self.path.exists() else []
        others = [
            entry
            for entry in entries
            if not entry.name.startswith(BEFORE_THE_KEY) and entry.name not in self.foreign_names
        ]
        # Read after the listing: a rank that starts at the same time writes the key before
        # anything else, so files without a key do not belong to a run.
        present = self.read_key()
        if present is not None:
            if present != key:
                raise DataError(
                    f"{self.path} holds another run (key {present[:8]}, this run has {key[:8]}): "
                    "weights, code of the model, preprocessing, images, labels, layers or batch "
                    "size differ; choose another --output, or start over with --fresh"
                )
        elif others:
            raise DataError(
                f"{self.path} is not empty and is no run directory; choose another --output"
            )

    def create(self, key: str) -> bool:
        """Makes the directory, or accepts one that holds the same key.

        Returns:
            True if the run is new, False if it is resumed.

        Raises:
            DataError: If the directory holds another run, or files that are not a run.
            RunError: If it cannot be written.
        """
        self.refuse_foreign(key)
        if self.key_file.exists():
            return False
        self.key_file.write_text(key + "\n")
        return True

    @contextmanager
    def locked(self, name: str = "lock", wait: bool = False) -> Iterator[None]:
        """Holds the directory's lock, so that one process writes at a time.

        If the directory is deleted or moved while it is held, the run ends and does not make it
        again.

        The lock belongs to this process alone: forked processes release it at once, so it is free
        as soon as this process ends, for whatever reason.

        Args:
            name: Name of the lock file.
            wait: Whether to wait for another process to release it.

        Raises:
            BusyError: If another process holds it and `wait` is false.
        """
        with ExitStack() as stack:
            with writing(self.path):
                stack.enter_context(holding(self.at(name), wait))
            stack.enter_context(not_made_again(self.path))
            yield

    def refuse_no_run(self) -> None:
        """Refuses a directory that is no run, neither here nor copied without its key.

        Raises:
            DamagedFileError: If there is no key and no `results.json`, or no permission to look.
        """
        with reading(self.path):
            if not self.path.is_dir():
                raise DamagedFileError(f"{self.path} is no directory; {_NAME_A_RUN}")
            if not self.key_file.exists() and not self.results_file.exists():
                with suppress(FileNotFoundError):
                    self.key_file.path.lstat()
                raise DamagedFileError(
                    f"{self.path} is no run directory: it holds no key; {_NAME_A_RUN}"
                )
