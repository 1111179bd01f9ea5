"""Worker processes that read ahead; none outlives the engine or blocks it forever."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader, get_worker_info

from tuiprobe.errors import DataError, RunError, TuiprobeError
from tuiprobe.measure import stopping
from tuiprobe.measure.failures import describe, worker_died

_POLL_SECONDS = 1.0  # between two signal checks while waiting
_WATCH_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1
_NAMED = 3

Item = TypeVar("Item")
Together = TypeVar("Together")


@dataclass(frozen=True)
class Source(Generic[Item, Together]):
    """A source of items that are read one by one and collated to batches.

    Attributes:
        batches: Indices of the items in each batch.
        read: Reads an item by index; an error ends the reading.
        collate: Combines the items of a batch into the yielded object.
        name: Returns the name of an item in messages, by index.
    """

    batches: Sequence[Sequence[int]]
    read: Callable[[int], Item]
    collate: Callable[[list[Item]], Together]
    name: Callable[[int], str]


@contextmanager
def reading_ahead(source: Source[Item, Together], workers: int) -> Iterator[Iterator[Together]]:
    """Yields an iterator over the batches of a source, in order.

    Inside the block a stop request waits for the next batch; see `tuiprobe.measure.stopping`.
    The iterator raises:

    - `Interrupted` if a stop was requested;
    - `DataError` if the operating system cannot read an item, or if no worker has made progress
      for `stopping.STALL_SECONDS`;
    - `RunError` if reading failed otherwise, or a worker died.

    Args:
        source: The source to read.
        workers: Number of worker processes; 0 to read in this process.
    """
    progress = _Progress(max(workers, 1))
    loader: DataLoader[Together] = DataLoader(
        _Items(source, progress),  # type: ignore[arg-type]
        batch_sampler=source.batches,  # type: ignore[arg-type]
        collate_fn=partial(_collate, source),
        num_workers=workers,
        worker_init_fn=partial(_start_worker, os.getpid()),
        multiprocessing_context="fork" if workers else None,
        timeout=_POLL_SECONDS if workers else 0,
    )
    with stopping.current().deferred():
        with _signals_blocked():
            batches = iter(loader)
        try:
            yield _taken(batches, source, progress, workers)
        finally:
            if workers:
                _end(batches)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Blocks signals while workers start, until they ignore them; workers inherit the mask."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, stopping.SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _taken(
    batches: Any, source: Source[Item, Together], progress: _Progress, workers: int
) -> Iterator[Together]:
    while True:
        stopping.current().check()
        try:
            found = next(batches, None)
        except (EOFError, ConnectionError, FileNotFoundError) as error:
            # The worker died while sending a tensor, before torch noticed.
            raise worker_died(error) from error
        except RuntimeError as error:
            if not workers or "DataLoader timed out" not in str(error):
                raise
            progress.look(source)
            continue
        progress.moved()
        if found is None:
            return
        if isinstance(found, _Failure):
            raise found.explained()
        yield found


def _end(batches: Any) -> None:
    """Kills the workers of a loader: one may hang, or wait for a lock of a dead one.

    torch and the interpreter's exit would send SIGTERM, which the workers ignore, and then wait.
    """
    if batches._worker_pids_set:  # else torch reports the killed workers
        torch._C._remove_worker_pids(id(batches))
        batches._worker_pids_set = False
    for worker in batches._workers:
        worker.kill()
    batches._shutdown_workers()


class _Progress:
    """The index that each worker is reading, in shared memory.

    Args:
        workers: Number of processes that read.
    """

    def __init__(self, workers: int) -> None:
        # An index, or -1 minus the index once it is read: every step changes the value.
        self._at = np.frombuffer(mmap.mmap(-1, 8 * workers), dtype=np.int64)
        self._at[:] = np.iinfo(np.int64).min
        self._patience = stopping.Patience()
        self.moved()

    def begin(self, place: int) -> None:
        """Records, in a worker, that it starts to read an index."""
        self._at[self._worker()] = place

    def end(self, place: int) -> None:
        """Records, in a worker, that it has read an index."""
        self._at[self._worker()] = -1 - place

    def moved(self) -> None:
        """Records, in the engine, that the workers have made progress."""
        self._seen = self._at.copy()
        self._patience.renew()

    def look(self, source: Source[Any, Any]) -> None:
        """Checks, in the engine, that the workers make progress.

        Raises:
            DataError: If there was no progress for too long.
        """
        if not np.array_equal(self._at, self._seen):
            self.moved()
        elif self._patience.spent():
            raise DataError(
                f"reading {self.names(source)} has made no progress for "
                f"{stopping.STALL_SECONDS:.0f} s; see whether the storage answers; {stopping.KEPT}"
            )

    def names(self, source: Source[Any, Any]) -> str:
        """Names what is being read."""
        names = [source.name(place) for place in self._at.tolist() if place >= 0]
        return ", ".join(names[:_NAMED]) or "images"

    def _worker(self) -> int:
        info = get_worker_info()
        return 0 if info is None else info.id


@dataclass(frozen=True)
class _Failure:
    """An error while reading, as data, because torch rewords exceptions of workers.

    Attributes:
        name: What was being read.
        cause: Type and message of the error.
        of_system: Whether the operating system raised the error.
        ours: Whether the message can be shown to the user unchanged.
    """

    name: str
    cause: str
    of_system: bool
    ours: bool

    @classmethod
    def of(cls, name: str, error: BaseException) -> _Failure:
        ours = isinstance(error, TuiprobeError)
        return cls(name, describe(error), isinstance(error, OSError | DataError), ours)

    def explained(self) -> TuiprobeError:
        kind = DataError if self.of_system else RunError
        if self.ours:
            return kind(self.cause)
        return kind(f"cannot read {self.name}: {self.cause}; {stopping.KEPT}")


class _Items(Generic[Item, Together]):
    def __init__(self, source: Source[Item, Together], progress: _Progress) -> None:
        self._source, self._progress = source, progress

    def __getitem__(self, place: int) -> Item | _Failure:
        self._progress.begin(place)
        try:
            return self._source.read(place)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin may raise anything
            return _Failure.of(self._source.name(place), error)
        finally:
            self._progress.end(place)


def _collate(source: Source[Item, Together], items: list[Item | _Failure]) -> Together | _Failure:
    failure = next((item for item in items if isinstance(item, _Failure)), None)
    if failure is not None:
        return failure
    try:
        return source.collate(items)  # type: ignore[arg-type]
    except Exception as error:  # different shapes, or out of memory
        return _Failure("a batch of images", describe(error), of_system=False, ours=False)


def _start_worker(parent: int, _number: int) -> None:
    """Ties a worker to the engine's life; ignores signals, which the engine handles."""
    signal.set_wakeup_fd(-1)
    for number in stopping.SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, stopping.SIGNALS)
    _end_with(parent)
    torch.set_num_threads(1)


def _end_with(parent: int) -> None:
    """Makes the kernel end this process with its parent; without that, a thread checks."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # the parent is already dead
            os._exit(1)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(1)
