"""Statistics of CUDA tensors by native kernels; all device memory belongs to torch tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tuiprobe.stats._input import Rows
from tuiprobe.stats._native import native

_FIRST_ROOM = 65536
"""Images that the first allocation has room for: 2 MiB of records."""

_IMAGES, _RECORDS, _CAPACITY = 1, 3, 4
"""Offsets in the state, in int64: images taken, the address of the records, room for records."""

Ids = np.ndarray[Any, Any] | torch.Tensor | None


class CudaStats:
    """State of one accumulator on a CUDA device.

    `update` enqueues on torch's current stream and never waits; the other methods do. All of them
    run in inference mode, so that tensors created in that mode can be changed outside it.

    Args:
        device: A CUDA device.
        parts: Arguments `channels`, `moments`, `largest`, `smallest` and `samples` of the native
            accumulator.
    """

    @torch.inference_mode()
    def __init__(self, device: torch.device, **parts: Any) -> None:
        self._device = device
        self._native = native.DeviceState(**parts)
        self._samples = bool(parts["samples"])
        self._records = torch.empty(0, dtype=torch.uint8, device=device)
        self._room = 0
        self._images = 0  # since the last restart, without graph replays
        self._captured = False
        self._stream: torch.cuda.Stream | None = None
        self._state = self._empty(0).to(device)

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
        with torch.cuda.device(self._device):
            stream = torch.cuda.current_stream()
            capturing = torch.cuda.is_current_stream_capturing()
            if capturing and isinstance(ids, np.ndarray):
                raise ValueError(
                    "a graph cannot copy sample_ids from the CPU in every replay; omit them, or "
                    f"pass a tensor on {self._device} and change it between replays"
                )
            if not capturing:
                self._follow(stream)
                self._count_replays()
            self._make_room(self._images + rows.shape[0], capturing)
            self._launch(x, rows, ids, stream, capturing)
        self._images += rows.shape[0]
        self._captured = self._captured or capturing

    def _launch(
        self,
        x: torch.Tensor,
        rows: Rows,
        ids: Ids,
        stream: torch.cuda.Stream,
        capturing: bool,
    ) -> None:
        if isinstance(ids, np.ndarray):
            # From pinned memory, the copy is asynchronous too.
            ids = torch.from_numpy(ids).pin_memory().to(self._device, non_blocking=True)
        size = self._native.scratch_bytes(rows.dtype, rows.shape, rows.strides)
        # From torch's pool, ordered by the stream; during capture from the graph's own pool.
        scratch = torch.empty(size, dtype=torch.uint8, device=self._device)
        self._native.update(
            data=rows.data,
            dtype=rows.dtype,
            shape=rows.shape,
            strides=rows.strides,
            ids=0 if ids is None else ids.data_ptr(),
            state=self._state.data_ptr(),
            state_bytes=self._state.numel(),
            scratch=scratch.data_ptr(),
            scratch_size=scratch.numel(),
            stream=stream.cuda_stream,
            device=self._device.index,
        )
        if not capturing:
            for used in (x, self._state, self._records, *([] if ids is None else [ids])):
                used.record_stream(stream)

    def _follow(self, stream: torch.cuda.Stream) -> None:
        """Orders this update after the last one, if that ran on another stream."""
        if self._stream is not None and self._stream != stream:
            stream.wait_stream(self._stream)
        self._stream = stream

    def _count_replays(self) -> None:
        """Learns how many images the replays of a graph have brought; waits if there is a graph.

        Without this number, an update after replays could not tell that it has to make room.
        """
        if self._captured and self._samples:
            header = self._state[: 8 * (_CAPACITY + 1)].view(torch.int64)
            self._images = int(header[_IMAGES])

    def _make_room(self, images: int, capturing: bool) -> None:
        if not self._samples or images <= self._room:
            return
        if capturing:
            raise RuntimeError(
                f"there is room for the figures of {self._room} images, and a graph cannot make "
                f"more; call reserve({images}) before the capture"
            )
        room = max(images, 2 * self._room, _FIRST_ROOM)
        size = native.CUDA_RECORD_BYTES
        records = torch.empty(room * size, dtype=torch.uint8, device=self._device)
        records[: self._room * size].copy_(self._records)
        self._records.record_stream(torch.cuda.current_stream())
        header = self._state[: 8 * (_CAPACITY + 1)].view(torch.int64)
        header[_RECORDS].fill_(records.data_ptr())
        header[_CAPACITY].fill_(room)
        self._records, self._room = records, room

    @torch.inference_mode()
    def reserve(self, images: int) -> None:
        """Allocates room for the figures of this many images since the last restart."""
        with torch.cuda.device(self._device):
            capturing = torch.cuda.is_current_stream_capturing()
            if not capturing:
                self._follow(torch.cuda.current_stream())
            self._make_room(images, capturing)

    @torch.inference_mode()
    def read(self) -> dict[str, Any] | None:
        """Waits for the device and returns its state; None if it is empty.

        Raises:
            RuntimeError: If the replays of a graph brought more images than there was room for.
        """
        if not self._images and not self._captured:
            return None
        torch.cuda.synchronize(self._device)
        state = self._state.cpu().numpy().tobytes()
        images, kept = self._native.images(state)
        if self._samples and images > kept:
            raise RuntimeError(
                f"the replays of a CUDA graph brought {images} images, but there was room for the "
                f"figures of {kept}: call reserve({images}) before them, or compute() in between"
            )
        size = native.CUDA_RECORD_BYTES * (kept if self._samples else 0)
        held: dict[str, Any] = self._native.read(
            state, self._records[:size].cpu().numpy().tobytes()
        )
        return held

    @torch.inference_mode()
    def restart(self, base: int) -> None:
        """Waits for the device and clears the state; consecutive numbers continue at `base`."""
        torch.cuda.synchronize(self._device)
        self._state.copy_(self._empty(base))
        torch.cuda.synchronize(self._device)
        self._images = 0

    def _empty(self, base: int) -> torch.Tensor:
        state = self._native.empty(base, self._records.data_ptr(), self._room)
        return torch.frombuffer(bytearray(state), dtype=torch.uint8)
