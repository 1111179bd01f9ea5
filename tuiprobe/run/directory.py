"""The run directory: the one thing the engine writes and everything else reads.

Files appear whole or not at all: each is written beside its place, flushed to the disk and renamed.
Readers treat a directory as hostile: sizes are capped, and nothing below it is reached by a link.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tuiprobe.checksums import is_sealed
from tuiprobe.errors import DataError, RunError
from tuiprobe.files import DamagedFileError, Entry, pinned, reading, writing

_MOST_RANKS = 256
_KEY = re.compile(r"[0-9a-f]{64}")
_BEFORE_THE_KEY = ("lock", ".key.", "log.txt")  # the log is there before the engine that writes it
_BEFORE_THE_SPEC = (*_BEFORE_THE_KEY, "key", "events-", ".spec.json.")
_KEPT_BY_FRESH = ("lock", "log.txt")
_DELETED_LAST = ("key", "spec.json")  # say that this is a run, should deleting be cut short


class RunDir:
    """Paths, atomic writes and checked reads of one run directory.

    Args:
        path: The directory; made by `create`, not by the constructor.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    # Layout.

    def at(self, name: str) -> Entry:
        """Returns a file of the directory by its path below it."""
        return Entry(self.path, name)

    @property
    def key_file(self) -> Entry:
        """The run's key: SHA-256 of its content, hexadecimal."""
        return self.at("key")

    @property
    def spec_file(self) -> Entry:
        """The RunSpec, as JSON."""
        return self.at("spec.json")

    @property
    def plan_file(self) -> Entry:
        """What the engine found when it planned the run: model, data, taps, as JSON."""
        return self.at("plan.json")

    @property
    def samples_file(self) -> Entry:
        """One JSON line an image: id, set, path, label, place in the order."""
        return self.at("samples.jsonl")

    @property
    def preflight_file(self) -> Entry:
        """What was checked of encoder and labels before the first image, as JSON."""
        return self.at("preflight.json")

    @property
    def statistics_file(self) -> Entry:
        """Merged statistics, keyed `<set>/<tap>/<field>`."""
        return self.at("statistics.safetensors")

    @property
    def head_file(self) -> Entry:
        """The linear head: weight, bias, and which class each row answers for in each set."""
        return self.at("head.safetensors")

    def head_probe_file(self, number: int) -> Entry:
        """Representations of the images that a head is fitted to, a shard of them."""
        return self.at(f"head-probe/{number:05d}.safetensors")

    @property
    def concepts_file(self) -> Entry:
        """What is in each image of the concept set: sparse pixel shares, splits, names."""
        return self.at("concepts.safetensors")

    @property
    def baseline_file(self) -> Entry:
        """The user's CSV of baseline models, where one was given."""
        return self.at("baseline.csv")

    @property
    def measured_file(self) -> Entry:
        """What the merged statistics rest on: shards, skipped images, fingerprints, as JSON."""
        return self.at("measured.json")

    @property
    def results_file(self) -> Entry:
        """The Report, as JSON."""
        return self.at("results.json")

    @property
    def log_file(self) -> Entry:
        """What an engine that a screen started has said."""
        return self.at("log.txt")

    @property
    def cancel_file(self) -> Entry:
        """Made by a reader that wants the run to stop."""
        return self.at("cancel")

    def shard_file(self, set_name: str, number: int) -> Entry:
        """Partial statistics of one shard."""
        return self.at(f"shards/{set_name}-{number:05d}.safetensors")

    def features_file(self, set_name: str) -> Entry:
        """Final representations and per-image values of one set."""
        return self.at(f"features/{set_name}/images.safetensors")

    def thumbnail_file(self, set_name: str, sample_id: int) -> Entry:
        """96-pixel picture of one image."""
        return self.at(f"thumbs/{set_name}/{sample_id}.jpg")

    def answer_file(self, name: str) -> Entry:
        """A kept answer of an ablation."""
        return self.at(f"answers/ablation-{name}.json")

    def live_file(self, rank: int, suffix: str) -> Entry:
        """State of a running rank; `suffix` is `json` or `safetensors`."""
        return self.at(f"live/{rank}.{suffix}")

    def live_ranks(self) -> list[int]:
        """Numbers of the ranks that left a live file, rising."""
        with suppress(OSError):
            names = [one.stem for one in (self.path / "live").glob("*.json")]
            numbers = (int(one) for one in names if one.isdecimal() and one.isascii())
            return sorted(numbers)[:_MOST_RANKS]
        return []

    def events_file(self, rank: int) -> Entry:
        """Milestones, warnings and skipped images of one rank, a JSON line each."""
        return self.at(f"events-{rank}.jsonl")

    # Life.

    def read_key(self) -> str | None:
        """Returns the key; None where there is none, or something else is in its place."""
        try:
            key = self.key_file.read_bytes(limit=1024).decode("ascii").strip()
        except (DamagedFileError, UnicodeDecodeError):
            return None
        return key if _KEY.fullmatch(key) else None

    def refuse_foreign(self, key: str) -> None:
        """Leaves alone what is not this run.

        Raises:
            DataError: If the directory holds another run, or files that are no run.
        """
        with reading(self.path):
            entries = list(self.path.iterdir()) if self.path.exists() else []
        others = [entry for entry in entries if not entry.name.startswith(_BEFORE_THE_KEY)]
        # Looked at after the listing: a rank that starts beside this one writes the key before
        # anything else, so files without a key are nobody's run.
        found = self.read_key()
        if found is not None:
            if found != key:
                raise DataError(
                    f"{self.path} holds another run (key {found[:8]}, this run has "
                    f"{key[:8]}): {self._why_keys_differ()}. Choose another --output, or --fresh "
                    "to start it anew"
                )
        elif others:
            raise DataError(
                f"{self.path} is not empty and is no run directory; choose another --output"
            )

    def _why_keys_differ(self) -> str:
        plan = self.plan_file
        with suppress(DamagedFileError):
            if plan.exists() and not is_sealed(plan.read_bytes(), plan):
                return "an earlier version of tuiprobe made it, and made keys of other things"
        return "weights, preprocessing, images, layers or batch size differ"

    def create(self, key: str) -> bool:
        """Makes the directory, or accepts one that holds the same key.

        Returns:
            True if the run is new, False if it is resumed.

        Raises:
            DataError: If the directory holds another run, or files that are no run.
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

        While it is held, files of the directory are reached only in the directory that was locked,
        and written only while its lock file is there: one that is deleted, moved or replaced ends
        the run and is not made anew.

        The lock belongs to this process alone: forked processes let go of it at once, so it is
        free again as soon as this process ends, however it ends.

        Args:
            name: Which of the directory's locks.
            wait: Wait for another process to release it.

        Raises:
            RunError: If another process holds it and `wait` was not asked for.
        """
        with writing(self.path):
            lock = _take_lock(self.at(name), wait)
        try:
            with pinned(lock.entry, lock.descriptor):
                yield
        finally:
            lock.release()

    def refuse_to_clear(self) -> None:
        """Leaves alone what `clear` would have to refuse; takes no lock.

        Raises:
            DataError: If the directory is no run and not empty.
        """
        if self.read_key() is None:
            self.refuse_foreign("")
        else:
            self._refuse_other_than_run()

    def clear(self) -> None:
        """Deletes what an earlier attempt left, under the locks that the caller holds.

        Raises:
            DataError: If the directory is no run and not empty.
            RunError: If a rank of the run is still writing, or the system refuses.
        """
        if self.read_key() is None:
            return  # nothing of a run is here; what else is here is refused by `refuse_foreign`
        self._refuse_other_than_run()
        with self._other_locks(), writing(self.path):
            names = [one.name for one in self.path.iterdir()]
            gone = [name for name in names if not name.startswith(_KEPT_BY_FRESH)]
            for name in sorted(gone, key=_DELETED_LAST.__contains__):
                _remove(self.path / name)

    def _refuse_other_than_run(self) -> None:
        if self.path.is_symlink() or not self.is_run():
            raise DataError(
                f"{self.path} is no run directory (a run holds a key and a spec.json that fit), "
                "so it is not deleted"
            )

    def is_run(self) -> bool:
        """Whether the directory holds a key of 64 hexadecimal digits and a spec of a run."""
        if self.read_key() is None:
            return False
        if not self.spec_file.exists():  # one that was stopped before it wrote anything else
            return all(one.name.startswith(_BEFORE_THE_SPEC) for one in self.path.iterdir())
        try:
            spec = self.spec_file.read_json()
        except DamagedFileError:
            return False
        return isinstance(spec, dict) and all(
            isinstance(spec.get(name), str) for name in ("model", "data")
        )

    @contextmanager
    def _other_locks(self) -> Iterator[None]:
        """Holds every lock of the directory that this process does not hold yet."""
        with ExitStack() as stack:
            for path in sorted(self.path.glob("lock*")):
                if not any(held.entry == self.at(path.name) for held in _HELD):
                    stack.enter_context(self.locked(path.name))
            yield


def delete_run(directory: RunDir) -> None:
    """Deletes a run directory, and nothing that is not one.

    Raises:
        DataError: If the path holds no run or is a link.
        RunError: If a process is writing it.
    """
    path = directory.path
    if not path.exists() and not path.is_symlink():
        return
    directory._refuse_other_than_run()
    with directory.locked():
        directory._refuse_other_than_run()
        directory.clear()
        with writing(path):
            shutil.rmtree(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class _Lock:
    """A lock that this process holds."""

    def __init__(self, entry: Entry, descriptor: int) -> None:
        self.entry, self.descriptor = entry, descriptor
        _HELD.append(self)

    def release(self) -> None:
        """Lets go; does nothing in a process that never had it."""
        with suppress(ValueError):
            _HELD.remove(self)
            os.close(self.descriptor)


_HELD: list[_Lock] = []
"""The locks of this process. A forked one would share them and outlive us with them."""


def _forget_locks() -> None:
    for lock in list(_HELD):
        lock.release()


os.register_at_fork(after_in_child=_forget_locks)


def _take_lock(entry: Entry, wait: bool) -> _Lock:
    while True:
        descriptor = entry.descriptor(os.O_RDWR | os.O_CREAT)
        try:
            _flock(entry, descriptor, wait)
            status = entry.status()
            # The file may have been deleted with its run since it was opened.
            if status is not None and os.path.samestat(status, os.fstat(descriptor)):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
                return _Lock(entry, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _flock(entry: Entry, descriptor: int, wait: bool) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        holder = os.pread(descriptor, 256, 0).decode("utf-8", "replace").strip()
        raise RunError(
            f"{entry.root} is being written by {holder or 'another process'}; wait for it, or "
            "choose another --output"
        ) from error
