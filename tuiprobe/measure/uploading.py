"""Copies the next batch to the GPU while the current one is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import torch

from tuiprobe.measure.decoding import Batch

_Item = TypeVar("_Item")
_Sent = TypeVar("_Sent")


def one_ahead(
    items: Iterator[_Item], send: Callable[[_Item], _Sent], receive: Callable[[_Sent], _Item]
) -> Iterator[_Item]:
    """Yields the items in order; the next one is sent before one is received.

    If fetching an item fails, the items before it are yielded first.

    Args:
        items: What is to be sent.
        send: Starts to send an item.
        receive: Waits for it.
    """
    waiting: list[_Sent] = []
    failure: BaseException | None = None
    while True:
        try:
            following = [send(next(items))]
        except StopIteration:
            following = []
        except Exception as error:
            following, failure = [], error
        yield from (receive(one) for one in waiting)
        if failure is not None:
            raise failure
        if not following:
            return
        waiting = following


def uploaded(batches: Iterator[tuple[Batch, ...]], device: str) -> Iterator[tuple[Batch, ...]]:
    """Yields batches whose images are on a CUDA device, or as they are for other devices.

    The copy from pinned memory runs on a stream of its own.

    Args:
        batches: Batches on the CPU.
        device: Torch device of the encoders.
    """
    if not device.startswith("cuda"):
        yield from batches
        return
    side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def send(together: tuple[Batch, ...]) -> tuple[tuple[Batch, ...], torch.cuda.Event]:
        with torch.cuda.stream(side):
            sent = tuple(
                replace(one, images=one.images.pin_memory().to(device, non_blocking=True))
                for one in together
            )
        return sent, side.record_event()

    def receive(sent: tuple[tuple[Batch, ...], torch.cuda.Event]) -> tuple[Batch, ...]:
        together, copied = sent
        current = torch.cuda.current_stream(device)
        current.wait_event(copied)
        for one in together:
            one.images.record_stream(current)
        return together

    yield from one_ahead(batches, send, receive)
