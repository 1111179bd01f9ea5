"""Channel moments of CUDA tensors by the native kernels: state and scratch are torch tensors."""

from __future__ import annotations

from typing import Any

import torch

from tuiprobe.stats._input import Rows
from tuiprobe.stats._native import native


class CudaMoments:
    """State of channel moments on one CUDA device.

    ``update`` enqueues on torch's current stream and never waits; ``drain`` does.

    Args:
        channels: Width C.
        device: A CUDA device.
    """

    def __init__(self, channels: int, device: torch.device) -> None:
        empty = torch.frombuffer(bytearray(native.empty_moments(channels)), dtype=torch.uint8)
        self._channels, self._empty = channels, empty
        self._state = empty.to(device)
        self._scratch = torch.empty(0, dtype=torch.uint8, device=device)
        self._images = 0

    def update(self, x: torch.Tensor, rows: Rows) -> None:
        """Enqueues one batch; the memory of `x` stays valid until the kernels have read it."""
        with torch.cuda.device(x.device):
            stream = torch.cuda.current_stream()
            needed = native.cuda_scratch_bytes(rows.shape)
            if self._scratch.numel() < needed:
                self._scratch = torch.empty(needed, dtype=torch.uint8, device=x.device)
            native.cuda_update_moments(
                data=rows.data,
                dtype=rows.dtype,
                shape=rows.shape,
                strides=rows.strides,
                state=self._state.data_ptr(),
                state_bytes=self._state.numel(),
                scratch=self._scratch.data_ptr(),
                scratch_size=self._scratch.numel(),
                stream=stream.cuda_stream,
            )
            if not torch.cuda.is_current_stream_capturing():
                for used in (x, self._state, self._scratch):
                    used.record_stream(stream)
        self._images += rows.shape[0]

    def drain(self) -> dict[str, Any] | None:
        """Waits for the device, returns what it holds and empties it; None if that is nothing."""
        if self._images == 0:
            return None
        torch.cuda.synchronize(self._state.device)
        moments = native.decode_moments(self._state.cpu().numpy().tobytes())
        self._state.copy_(self._empty)
        images, self._images = self._images, 0
        return {"moments": moments, "images": images}
