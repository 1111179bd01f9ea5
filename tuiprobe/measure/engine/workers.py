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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import multiprocessing

from tuiprobe.errors import DataError, RunError, TuiprobeError
from tuiprobe.measure.engine import stopping
from tuiprobe.plugins import in_words

_POLL_SECONDS = 1.0  # between two signal checks while waiting
_BATCHES_AHEAD = 2  # that each worker reads before the first of them is used
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

    Inside the block a stop request waits for the next batch (`tuiprobe.measure.engine.stopping`).
    The iterator raises:

    - `Interrupted` if a stop was requested;
    - `DataError` if the operating system cannot read an item, or if no worker has made progress
      for `stopping.STALL_SECONDS`;
    - `RunError` if reading failed otherwise, or a worker died.

    Args:
        source: The source to read.
        workers: Number of worker processes; 0 to read in this process.
    """
    workers = min(workers, len(source.batches))
    progress = _Progress(max(workers, 1))
    with stopping.stop_signals().deferred():
        if not workers:
            yield _read_here(source, progress)
            return
        pool: list[_Worker] = []
        try:
            # Signals are blocked until the workers, which inherit the mask, ignore them.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, stopping.SIGNALS)
            try:
                pool += (_Worker(source, progress, number) for number in range(workers))
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            yield _received(source, progress, pool)
        finally:
            for worker in pool:
                worker.end()


def _read_here(source: Source[Item, Together], progress: _Progress) -> Iterator[Together]:
    """Yields the batches that this process reads itself."""
    for number in range(len(source.batches)):
        stopping.stop_signals().check()
        batch = _read_batch(source, progress, 0, number)
        if isinstance(batch, _Failure):
            raise batch.kind(batch.sentence)
        yield batch


def _received(
    source: Source[Item, Together], progress: _Progress, pool: Sequence[_Worker]
) -> Iterator[Together]:
    """Yields the batches that workers read: worker w reads the batches w, w + W, w + 2 W, ..."""
    ahead = _BATCHES_AHEAD * len(pool)
    for number in range(min(ahead, len(source.batches))):
        pool[number % len(pool)].ask(number)
    for number in range(len(source.batches)):
        worker = pool[number % len(pool)]
        while not worker.ready(_POLL_SECONDS):
            stopping.stop_signals().check()
            progress.check(source)
        stopping.stop_signals().check()
        batch = worker.receive()
        progress.moved()
        if isinstance(batch, _Failure):
            raise batch.kind(batch.sentence)
        if number + ahead < len(source.batches):
            worker.ask(number + ahead)
        yield batch


class _Worker:
    """A process that reads the batches it is asked for, in that order.

    Args:
        source: The source to read.
        progress: Where the process records what it is reading.
        number: Number of the worker.
    """

    def __init__(self, source: Source[Any, Any], progress: _Progress, number: int) -> None:
        context = multiprocessing.get_context("fork")
        self._connection, child_end = context.Pipe()
        arguments = (source, progress, number, child_end, os.getpid())
        self._process = context.Process(target=_work, args=arguments, daemon=True)
        self._process.start()
        child_end.close()  # so that its end shows here, and no later worker inherits it

    def ask(self, batch: int) -> None:
        """Requests a batch; if the worker is dead, `receive` raises when the batch is due."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._connection.send(batch)

    def ready(self, seconds: float) -> bool:
        """Waits for the next batch, or for the end of the process."""
        return bool(connection.wait([self._connection, self._process.sentinel], seconds))

    def receive(self) -> Any:
        """Returns the next batch.

        Raises:
            RunError: If the process has died.
        """
        try:
            return self._connection.recv()
        except (EOFError, OSError) as error:  # its tensors are fetched from it, too
            self._process.join(_POLL_SECONDS)
            code, how = self._process.exitcode, f"with exit code {self._process.exitcode}"
            if code is not None and code < 0:
                how = f"by {signal.Signals(-code).name}"
            raise RunError(
                f"a process that decodes images died {how}; most often the memory is full, or the "
                "shared memory in /dev/shm: try fewer --workers, or --workers 0; the same command "
                "resumes"
            ) from error

    def end(self) -> None:
        """Kills the process, which may hang and ignores SIGTERM."""
        self._process.kill()
        self._process.join()
        self._connection.close()


def _work(
    source: Source[Any, Any],
    progress: _Progress,
    number: int,
    engine: connection.Connection,
    parent: int,
) -> None:
    """Reads batches in a worker until the engine, which handles signals, kills it."""
    signal.set_wakeup_fd(-1)
    for signal_number in stopping.SIGNALS:
        signal.signal(signal_number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, stopping.SIGNALS)
    _end_with(parent)
    torch.set_num_threads(1)
    while True:
        batch = _read_batch(source, progress, number, engine.recv())
        try:
            engine.send(batch)
        except Exception as error:  # no shared memory left, or what cannot be sent
            cause = f"cannot read a batch of images: {in_words(error)}; {stopping.RESUMABLE}"
            engine.send(_Failure(RunError, cause))


def _read_batch(
    source: Source[Item, Together], progress: _Progress, worker: int, number: int
) -> Together | _Failure:
    items: list[Item] = []
    for item in source.batches[number]:
        progress.begin(worker, item)
        try:
            items.append(source.read(item))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin may raise anything
            return _Failure.of(source.name(item), error)
        finally:
            progress.end(worker, item)
    try:
        return source.collate(items)
    except Exception as error:  # different shapes, or out of memory
        return _Failure.of("a batch of images", error)


class _Progress:
    """The index that each worker is reading, in shared memory.

    Args:
        workers: Number of processes that read.
    """

    def __init__(self, workers: int) -> None:
        # An index, or -1 minus the index once it is read: every step changes the value.
        self._at = np.frombuffer(mmap.mmap(-1, 8 * workers), dtype=np.int64)
        self._at[:] = np.iinfo(np.int64).min
        self._stall_timer = stopping.StallTimer()
        self.moved()

    def begin(self, worker: int, item: int) -> None:
        """Records that a worker starts to read an index."""
        self._at[worker] = item

    def end(self, worker: int, item: int) -> None:
        """Records that a worker has read an index."""
        self._at[worker] = -1 - item

    def moved(self) -> None:
        """Records, in the engine, that the workers have made progress."""
        self._seen = self._at.copy()
        self._stall_timer.restart()

    def check(self, source: Source[Any, Any]) -> None:
        """Checks, in the engine, that the workers make progress.

        Raises:
            DataError: If there was no progress for too long.
        """
        if not np.array_equal(self._at, self._seen):
            self.moved()
        elif self._stall_timer.expired():
            names = [source.name(item) for item in self._at.tolist() if item >= 0]
            raise DataError(
                f"reading {', '.join(names[:_NAMED]) or 'images'} has made no progress for "
                f"{stopping.STALL_SECONDS:.0f} s; see whether the storage answers; "
                f"{stopping.RESUMABLE}"
            )


@dataclass(frozen=True)
class _Failure:
    """An error while reading, as data, because not every exception can be sent.

    Attributes:
        kind: What the engine raises.
        sentence: The message of that.
    """

    kind: type[TuiprobeError]
    sentence: str

    @classmethod
    def of(cls, name: str, error: BaseException) -> _Failure:
        kind = DataError if isinstance(error, OSError | DataError) else RunError
        if isinstance(error, TuiprobeError):
            return cls(kind, str(error))
        return cls(kind, f"cannot read {name}: {in_words(error)}; {stopping.RESUMABLE}")


def _end_with(parent: int) -> None:
    """Makes the kernel end this process with its parent; without that, a thread checks."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # the parent is already dead
            os._exit(1)
    else:

        def watch() -> None:
            while os.getppid() == parent:
                time.sleep(_WATCH_SECONDS)
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()
