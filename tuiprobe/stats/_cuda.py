"""Statistics of CUDA tensors by native kernels; all device memory belongs to torch tensors."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch

from tuiprobe.stats._native import Rows, native

_FIRST_ROOM = 65536
"""Images that the first allocation has room for: 2 MiB of records."""

_RECORDED, _RECORDS, _CAPACITY = 1, 3, 4
"""Offsets in the state, in int64: images that asked for a record, their address, their room."""

Ids = np.ndarray[Any, Any] | torch.Tensor | None


class Device:
    """What an update needs of a CUDA device; tests put host threads in its place."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def current(self) -> AbstractContextManager[Any]:
        """Makes the device current for torch."""
        return torch.cuda.device(self.device)

    def stream(self) -> torch.cuda.Stream:
        """Returns torch's current stream."""
        return torch.cuda.current_stream()

    def capturing(self) -> bool:
        """Returns whether the current stream is captured in a graph."""
        return torch.cuda.is_current_stream_capturing()

    def synchronize(self) -> None:
        """Waits for everything enqueued on the device."""
        torch.cuda.synchronize(self.device)

    def upload(self, ids: np.ndarray[Any, Any]) -> torch.Tensor:
        """Copies ids without waiting, as they lie in pinned memory."""
        return torch.from_numpy(ids).pin_memory().to(self.device, non_blocking=True)

    def enqueue(self, layout: native.DeviceState, /, **arguments: Any) -> None:
        """Enqueues the kernels of one update."""
        layout.update(**arguments, device=self.device.index)


class CudaStats:
    """State of one accumulator on a CUDA device.

    `update` enqueues on torch's current stream and does not wait; the other methods do. All of
    them run in inference mode, so that tensors created in that mode can be changed outside it.

    Args:
        device: A CUDA device.
        parts: Arguments `channels`, `moments`, `largest`, `smallest` and `samples` of the native
            accumulator.
    """

    @torch.inference_mode()
    def __init__(self, device: Device, **parts: Any) -> None:
        self._device = device
        self._native = native.DeviceState(**parts)
        self._samples = bool(parts["samples"])
        self._captured = False
        self._stream: torch.cuda.Stream | None = None
        size = self._native.bytes()
        self._state = torch.empty(size, dtype=torch.uint8, device=device.device)
        self._records = self._new_records(0)
        self.load(native.Accumulator(**parts).state())

    @torch.inference_mode()
    def update(self, x: torch.Tensor, rows: Rows, ids: Ids) -> None:
        """Enqueues one batch; the memory of `x` stays valid until the kernels have read it.

        Args:
            x: The activations.
            rows: What they look like in memory.
            ids: Ids of the images, on the CPU or this device; None for consecutive numbers.

        Raises:
            ValueError: If sample ids on the CPU are given while a graph is captured.
            RuntimeError: If a graph is captured and there is no room for its images.
        """
        with self._device.current():
            stream, capturing = self._device.stream(), self._device.capturing()
            if capturing and isinstance(ids, np.ndarray):
                raise ValueError(
                    "a graph cannot copy sample_ids from the CPU in every replay; omit them, or "
                    f"pass a tensor on {self._device.device} and change it between replays"
                )
            if not capturing:
                self._follow(stream)
                self._count_replays()
            self._make_room(self._recorded + rows.shape[0], capturing)
            self._launch(x, rows, ids, stream, capturing)
        self._recorded += rows.shape[0]
        self._captured = self._captured or capturing

    def _readable(self, x: torch.Tensor, rows: Rows) -> torch.Tensor:
        """Returns activations as the kernels read them: copied where they lie otherwise."""
        images, _, _, channels = rows.shape
        flat = x.as_strided(rows.shape, rows.strides).reshape(images, 1, -1, channels)
        if not self._native.reads(flat.data_ptr(), rows.dtype, flat.shape, flat.stride()):
            flat = flat.clone(memory_format=torch.contiguous_format)
        return flat

    def _launch(
        self, x: torch.Tensor, rows: Rows, ids: Ids, stream: torch.cuda.Stream, capturing: bool
    ) -> None:
        if isinstance(ids, np.ndarray):
            ids = self._device.upload(ids)
        flat = self._readable(x, rows)
        size = self._native.scratch_bytes(flat.shape)
        # From torch's pool, ordered by the stream; during capture from the pool of the graph.
        scratch = torch.empty(size, dtype=torch.uint8, device=self._device.device)
        self._device.enqueue(
            self._native,
            data=flat.data_ptr(),
            dtype=rows.dtype,
            shape=flat.shape,
            strides=flat.stride(),
            ids=0 if ids is None else ids.data_ptr(),
            state=self._state.data_ptr(),
            state_bytes=self._state.numel(),
            scratch=scratch.data_ptr(),
            scratch_size=scratch.numel(),
            stream=stream.cuda_stream,
        )
        if not capturing:
            for used in (x, self._state, self._records, *([] if ids is None else [ids])):
                used.record_stream(stream)

    def _follow(self, stream: torch.cuda.Stream) -> None:
        """Orders this update after the last one, if that ran on another stream."""
        if self._stream is not None and self._stream != stream:
            stream.wait_stream(self._stream)
        self._stream = stream

    def _header(self) -> torch.Tensor:
        return self._state[: 8 * (_CAPACITY + 1)].view(torch.int64)

    def _count_replays(self) -> None:
        """Learns how many images the replays of a graph have brought; waits if there is a graph.

        Without this number, an update after replays could not tell that it has to make room.
        """
        if not self._captured or not self._samples:
            return
        self._recorded = int(self._header()[_RECORDED])
        if self._recorded > self._room:  # images without a record leave no gap
            self._recorded = self._room
            self._header()[_RECORDED].fill_(self._room)

    def _make_room(self, images: int, capturing: bool) -> None:
        if not self._samples or images <= self._room:
            return
        if capturing:
            raise RuntimeError(
                f"there is room for the figures of {self._room} images, and a graph cannot make "
                f"more; call reserve({images}) before the capture"
            )
        records = self._new_records(max(images, 2 * self._room))
        records[: len(self._records)].copy_(self._records)
        self._records.record_stream(self._device.stream())
        self._header()[_RECORDS].fill_(records.data_ptr())
        self._header()[_CAPACITY].fill_(self._room)
        self._records = records

    def _new_records(self, images: int) -> torch.Tensor:
        self._room: int = max(images, _FIRST_ROOM) if self._samples else 0
        size = self._room * native.CUDA_RECORD_BYTES
        return torch.empty(size, dtype=torch.uint8, device=self._device.device)

    @torch.inference_mode()
    def reserve(self, images: int) -> None:
        """Allocates room for the figures of this many images in all."""
        with self._device.current():
            capturing = self._device.capturing()
            if not capturing:
                self._follow(self._device.stream())
            self._make_room(images, capturing)

    @torch.inference_mode()
    def read(self) -> dict[str, Any]:
        """Waits for the device and returns a copy of its state, for `Accumulator.load`.

        Raises:
            ValueError: If ids that were given on the device were negative.
        """
        self._device.synchronize()
        state = self._state.cpu().numpy().tobytes()
        recorded, negative = self._native.progress(state)
        if negative:
            raise ValueError(f"{negative} sample_ids given on {self._device.device} were negative")
        stored = min(recorded, self._room)
        size = native.CUDA_RECORD_BYTES * stored
        held = self._native.read(state, self._records[:size].cpu().numpy().tobytes())
        if self._samples:
            sums = held["samples"]
            images = int(sums["leading_count"].sum() + sums["degenerate"][0])
            if images > stored:
                _warn_of_missing(images, stored)
        return held

    @torch.inference_mode()
    def load(self, state: dict[str, Any]) -> None:
        """Waits for the device and replaces its state by one of `Accumulator.state`.

        The state stays where it is in memory, so graphs captured before go on from the new one.
        """
        self._device.synchronize()  # what is enqueued may still write the old records
        self._recorded = len(state["samples"]["sample_ids"]) if self._samples else 0
        self._records = self._new_records(self._recorded)
        held, records = self._native.place(state, self._records.data_ptr(), self._room)
        self._state.copy_(torch.frombuffer(bytearray(held), dtype=torch.uint8))
        if records:
            data = torch.frombuffer(bytearray(records), dtype=torch.uint8)
            self._records[: len(records)].copy_(data)
        self._device.synchronize()


def _warn_of_missing(images: int, recorded: int) -> None:
    warnings.warn(
        f"only {recorded} of {images} images have per-image figures, as there was no room for more "
        f"in the replays of a CUDA graph; everything else holds all images. Call reserve({images}) "
        "before the replays.",
        RuntimeWarning,
        stacklevel=5,
    )
