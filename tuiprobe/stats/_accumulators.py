"""The accumulators, thin wrappers of one native class, and their results: NumPy arrays."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from tuiprobe.stats._cuda import CudaStats, Device
from tuiprobe.stats._native import (
    native,
    read_activations,
    read_sample_ids,
    statistics_path,
    without_wrapper,
)
from tuiprobe.stats._torch_path import partial_states

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Moments:
    """Moments of each channel over all positions; names and ddof 0 as in scipy.stats.

    A channel without values is NaN throughout; a constant one has variance 0 and undefined (NaN)
    skewness and kurtosis.

    Attributes:
        count: int64 [C], finite values seen.
        mean: float64 [C].
        var: float64 [C], ddof 0.
        skewness: float64 [C], m3 / m2^1.5.
        kurtosis: float64 [C], Pearson's: m4 / m2^2, 3 for a Gaussian.
        min: float64 [C], over the finite values.
        max: float64 [C], over the finite values.
        nonfinite: int64 [C], NaN and infinities; these are in no other figure.
    """

    count: Int64
    mean: Float64
    var: Float64
    skewness: Float64
    kurtosis: Float64
    min: Float64
    max: Float64
    nonfinite: Int64


@dataclass(frozen=True, eq=False)
class TopK:
    """The most extreme entries of each channel, at most one per image, best first.

    Attributes:
        values: float32 [C, k]; NaN where fewer than k images were seen.
        sample_ids: int64 [C, k]; -1 where `values` is NaN.
        positions: int32 [C, k], index of the position within its image; -1 where `values` is NaN.
    """

    values: Float32
    sample_ids: Int64
    positions: Int32


@dataclass(frozen=True, eq=False)
class SampleSummary:
    """Per-image figures, one entry per image in order of arrival, and sums over the images.

    With z_nc = (h_nc - mean_n) / sigma_n over the C channels of a row, s_nc = z_nc^4 / sum_c
    z_nc^4 is the share of channel c in the row's fourth moment. Kurtosis and shares are averaged
    over the positions of an image first. An image is degenerate if a row has no variance or a value
    that is not finite: its figures are NaN (leading: -1), and the sums leave it out.

    Attributes:
        sample_ids: int64 [n].
        kurtosis: float64 [n], mean over the positions of the row's Pearson kurtosis over channels.
        self_share: float64 [n], sum_c s_nc^2.
        leading: int32 [n], channel of the largest s_nc.
        share_sum: float64 [C], S_c = sum_n s_nc.
        share_square_sum: Scalar q = sum_nc s_nc^2.
        leading_count: int64 [C], images a channel leads.
        rows: Number of positions seen.
        norm_histogram: int64 [96], L2 norms of the finite rows; bin floor(4 log2(norm)) + 32,
            clamped to [0, 95].
        degenerate: Number of degenerate images.
    """

    sample_ids: Int64
    kurtosis: Float64
    self_share: Float64
    leading: Int32
    share_sum: Float64
    share_square_sum: float
    leading_count: Int64
    rows: int
    norm_histogram: Int64
    degenerate: int


@dataclass(frozen=True, eq=False)
class ActivationSummary:
    """The complete result of `tuiprobe.stats.ActivationStats`."""

    moments: Moments
    largest: TopK
    smallest: TopK
    samples: SampleSummary


def sample_summary(arrays: dict[str, Any]) -> SampleSummary:
    """Builds a SampleSummary from the native module's arrays, whose scalars have one entry."""
    scalars = {
        "share_square_sum": float(arrays["share_square_sum"][0]),
        "rows": int(arrays["rows"][0]),
        "degenerate": int(arrays["degenerate"][0]),
    }
    return SampleSummary(**(arrays | scalars))


def no_entries(channels: int) -> TopK:
    """Returns the result of a top 0: arrays `[C, 0]`."""
    empty = (channels, 0)
    return TopK(np.empty(empty, np.float32), np.empty(empty, np.int64), np.empty(empty, np.int32))


_Kind = TypeVar("_Kind", bound="_Accumulator")


class _Accumulator:
    """Base of all accumulators: input checks, merging, and state as tensors."""

    def __init__(self, channels: int, device: str | torch.device, **parts: Any) -> None:
        if isinstance(channels, bool) or not isinstance(channels, int):
            raise TypeError(f"channels must be an integer, got {channels!r}")
        self.channels = channels
        self.device = _device(device)
        self._parts = parts
        self._core = self._new_core()
        self._lock = threading.RLock()
        self._cuda: CudaStats | None = None
        k = max(parts.get("largest", 0), parts.get("smallest", 0))
        if statistics_path(self.device, k, channels) == "cuda":
            self._keep_on(Device(self.device))

    def update(self, x: Any, sample_ids: Any = None, *, channel_dim: int = -1) -> None:
        """Adds the activations of whole images; an empty batch changes nothing.

        Tensors that require grad are read as if detached, without a copy. On CUDA the work is
        enqueued on torch's current stream, after earlier updates, and may be captured in a graph:
        each replay then counts as an update, with consecutive numbers as ids.

        Args:
            x: float32, float16 or bfloat16 tensor, float32 or float16 NumPy array, or anything
                with `__dlpack__` (CuPy, JAX), which is not copied. Of any strides: `(N, C)`,
                tokens `(B, T, C)`, or 4-D maps, which need `channel_dim`.
            sample_ids: int64 `[B]`, not negative; consecutive numbers from 0 by default. Images
                with equal ids, in one update or in several, are one image to the top k, which
                keep its best entry; every other figure counts each of them. A tensor on the
                accumulator's CUDA device is used without waiting for the device.
            channel_dim: -1, or 1 for channels second.

        Raises:
            TypeError: If dtype, layout or kind of tensor is not supported.
            ValueError: If shape, channel count, device or number of ids is wrong.
            RuntimeError: If the process was forked after this module was loaded, or a graph is
                captured without room for its images (see `reserve`).
        """
        x = without_wrapper(x)
        rows = read_activations(x, self.channels, channel_dim, self.device)
        keep = None if self._cuda is None else self.device
        ids = read_sample_ids(sample_ids, rows.shape[0], keep)
        if self._cuda is None and self.device.type == "cpu":
            threads = torch.get_num_threads()
            self._core.update(rows.data, rows.dtype, rows.shape, rows.strides, ids, threads)
        elif 0 in rows.shape[:3]:
            return
        elif self._cuda is not None:
            with self._lock:
                self._cuda.update(x, rows, ids)
        else:
            self._update_in_torch(x, ids, channel_dim)

    def _keep_on(self, device: Device) -> None:
        """Keeps the state in the memory of a device, whose kernels then update it."""
        self._cuda = CudaStats(device, channels=self.channels, **_NOTHING | self._parts)

    def _snapshot(self) -> Any:
        """Returns a native core with everything seen so far, and changes nothing."""
        if self._cuda is None:
            return self._core
        core = self._new_core()
        with self._lock:
            core.load(self._cuda.read())
        return core

    def _new_core(self) -> Any:
        return native.Accumulator(channels=self.channels, **_NOTHING | self._parts)

    def _update_in_torch(self, x: torch.Tensor, ids: Any, channel_dim: int) -> None:
        """Updates by plain torch in float64, if the extension has no kernels for the device."""
        rows = x.movedim(channel_dim, -1).reshape(len(x), -1, self.channels)
        with self._lock:
            if ids is None:
                ids = np.arange(len(x)) + self._core.images()
            batch = self._new_core()  # so that an error changes nothing
            for state in partial_states(rows, torch.from_numpy(ids), self._parts):
                part = self._new_core()
                part.load(state)
                batch.merge(part)
            self._core.merge(batch)

    def reserve(self, images: int) -> None:
        """Allocates room on a CUDA device for the per-image figures of this many images.

        Updates allocate as needed, but replays of a CUDA graph cannot: reserve room for all images
        before the capture. From the start there is room for 65,536. Images beyond the room are in
        every sum and in the top k, and `compute` warns that they have no per-image figures. On
        other devices this does nothing.
        """
        if self._cuda is not None:
            with self._lock:
                self._cuda.reserve(images)

    def merge(self, other: Self) -> Self:
        """Adds the state of another accumulator of the same kind; returns self.

        Raises:
            TypeError: If the other one is of another kind.
            ValueError: If channels or k differ, or if it is this accumulator itself.
        """
        if type(other) is not type(self):
            raise TypeError(f"cannot merge {type(other).__name__} into {type(self).__name__}")
        if other is self:
            raise ValueError("an accumulator cannot be merged into itself")
        first, second = sorted((self, other), key=id)
        with first._lock, second._lock:  # an update in between would be lost
            merged = self._snapshot()
            merged.merge(other._snapshot())
            if self._cuda is not None:
                self._cuda.load(merged.state())
        return self

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Returns the complete state as CPU tensors; loading it restores the same bits."""
        flat: dict[str, torch.Tensor] = {}
        for name, value in self._snapshot().state().items():
            if isinstance(value, dict):
                flat |= {f"{name}.{key}": torch.from_numpy(a) for key, a in value.items()}
            else:
                flat[name] = torch.from_numpy(value)
        return flat

    def reset(self) -> Self:
        """Forgets everything seen; returns self. Graphs captured before stay valid."""
        with self._lock:
            empty = self._new_core()
            if self._cuda is not None:
                self._cuda.load(empty.state())
            else:
                self._core = empty
        return self

    def to(self, device: str | torch.device) -> Self:
        """Returns an accumulator with the same state on a device; itself if it is on this one."""
        if _device(device) == self.device:
            return self
        return _restored(self._description(), device, self.state_dict())

    def _description(self) -> tuple[type[Self], int, dict[str, Any], dict[str, Any]]:
        """Returns kind, width, parts and attributes, from which `_restored` makes another."""
        fixed = {name: value for name, value in vars(self).items() if name in ("k", "_end")}
        return type(self), self.channels, self._parts, fixed

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles and copies by the state, which keeps its bits; the device must exist then."""
        return _restored, (self._description(), str(self.device), self.state_dict())

    def __repr__(self) -> str:
        """Shows kind, width, k and the images seen."""
        k = f", k={self.k}" if hasattr(self, "k") else ""
        images = self._snapshot().images()
        where = "" if self.device.type == "cpu" else f" on {self.device}"
        return f"{type(self).__name__}({self.channels}{k}): {images:,} images{where}"

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replaces the state by one from `state_dict`.

        Raises:
            KeyError: If a field is missing.
            TypeError: If a field has another dtype.
            ValueError: If it belongs to another number of channels or k.
        """
        nested: dict[str, Any] = {}
        for name, value in state.items():
            if not isinstance(value, np.ndarray):
                value = torch.as_tensor(value).detach().cpu().numpy()
            array = value if value.flags.c_contiguous else np.ascontiguousarray(value)
            part, _, key = name.partition(".")
            if key:
                nested.setdefault(part, {})[key] = array
            else:
                nested[part] = array
        core = self._core if self._cuda is None else self._new_core()
        with self._lock:
            core.load(nested)  # which checks it
            if self._cuda is not None:
                self._cuda.load(core.state())


def _restored(
    description: tuple[type[_Kind], int, dict[str, Any], dict[str, Any]],
    device: str | torch.device,
    state: Mapping[str, Any],
) -> _Kind:
    """Returns an accumulator as `_description` tells it, on a device, with a state."""
    kind, channels, parts, fixed = description
    made = object.__new__(kind)
    vars(made).update(fixed)
    _Accumulator.__init__(made, channels, device, **parts)
    made.load_state_dict(state)
    return made


_NOTHING = {"moments": False, "largest": 0, "smallest": 0, "samples": False}


def _device(device: str | torch.device) -> torch.device:
    where = torch.device(device)
    if where.type not in ("cpu", "cuda"):
        raise ValueError(f"device must be 'cpu' or 'cuda', got {str(device)!r}; use .cpu()")
    if where.type == "cuda" and where.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return where


def _check_k(k: int, lowest: int = 1) -> None:
    if isinstance(k, bool) or not isinstance(k, int):
        raise TypeError(f"k must be an integer, got {k!r}")
    if not lowest <= k <= 65536:
        raise ValueError(f"k must be between {lowest} and 65536, got {k}")


class ChannelMoments(_Accumulator):
    """Count, mean, variance, skewness, kurtosis, minimum and maximum of each channel.

    Args:
        channels: Width C.
        device: Device of the activations.

    >>> import numpy as np
    >>> stats = ChannelMoments(2)
    >>> stats.update(np.array([[1, 5], [3, 5]], dtype=np.float32))
    >>> result = stats.compute()
    >>> result.mean, result.var
    (array([2., 5.]), array([1., 0.]))
    """

    def __init__(self, channels: int, device: str | torch.device = "cpu") -> None:
        super().__init__(channels, device, moments=True)

    def compute(self) -> Moments:
        """Returns the moments of all values seen so far."""
        return Moments(**self._snapshot().summary("moments")["moments"])


class ChannelTopK(_Accumulator):
    """The k largest (or smallest) values of each channel, at most one per image.

    Args:
        channels: Width C.
        k: Entries per channel.
        largest: Whether to keep the largest values, else the smallest.
        device: Device of the activations.

    >>> import numpy as np
    >>> top = ChannelTopK(1, k=2)
    >>> top.update(np.array([[1], [3], [3], [2]], dtype=np.float32), [10, 11, 12, 13])
    >>> top.compute().sample_ids
    array([[11, 12]])
    """

    def __init__(
        self,
        channels: int,
        k: int = 32,
        largest: bool = True,
        device: str | torch.device = "cpu",
    ) -> None:
        _check_k(k)
        self.k, self._end = k, "largest" if largest else "smallest"
        super().__init__(channels, device, **{self._end: k})

    def compute(self) -> TopK:
        """Returns the entries, best first."""
        return TopK(**self._snapshot().summary(self._end)[self._end])


class ChannelStats(_Accumulator):
    """Channel moments and both ends' top k without per-image figures: memory does not grow.

    Args:
        channels: Width C.
        k: Entries per channel and end.
        device: Device of the activations.

    >>> import numpy as np
    >>> stats = ChannelStats(2, k=1)
    >>> stats.update(np.array([[1, 5], [3, 5]], dtype=np.float32))
    >>> moments, largest, smallest = stats.compute()
    >>> moments.mean, largest.sample_ids[:, 0]
    (array([2., 5.]), array([1, 0]))
    """

    def __init__(self, channels: int, k: int = 32, device: str | torch.device = "cpu") -> None:
        _check_k(k)
        self.k = k
        super().__init__(channels, device, moments=True, largest=k, smallest=k)

    def compute(self) -> tuple[Moments, TopK, TopK]:
        """Returns the moments, the largest and the smallest entries."""
        parts = self._snapshot().summary()
        return Moments(**parts["moments"]), TopK(**parts["largest"]), TopK(**parts["smallest"])


class SampleMoments(_Accumulator):
    """Per-image kurtosis over the channels, fourth-moment shares and related criteria.

    Args:
        channels: Width C.
        device: Device of the activations.

    >>> import numpy as np
    >>> samples = SampleMoments(4)
    >>> samples.update(np.array([[1, -1, 1, -1], [0, 0, 8, 0]], dtype=np.float32))
    >>> result = samples.compute()
    >>> result.kurtosis.round(4), result.leading
    (array([1.    , 2.3333]), array([0, 2], dtype=int32))
    """

    def __init__(self, channels: int, device: str | torch.device = "cpu") -> None:
        super().__init__(channels, device, samples=True)

    def compute(self) -> SampleSummary:
        """Returns the figures of all images seen so far."""
        return sample_summary(self._snapshot().summary("samples")["samples"])


class _SamplesOf:
    """The per-image part of an `ActivationStats`."""

    def __init__(self, stats: ActivationStats) -> None:
        self._stats = stats

    def compute(self) -> SampleSummary:
        """Returns the figures of all images seen so far."""
        return sample_summary(self._stats._snapshot().summary("samples")["samples"])


class ActivationStats(_Accumulator):
    """Channel moments, both ends' top k and per-image figures, from one pass over memory.

    Args:
        channels: Width C.
        k: Entries per channel and end; 0 for none.
        device: Device of the activations.

    >>> import torch
    >>> stats = ActivationStats(8, k=2)
    >>> stats.update(torch.arange(32.0).reshape(2, 2, 8))  # two images of two tokens
    >>> summary = stats.compute()
    >>> summary.moments.count[0], summary.largest.values[0].tolist(), summary.samples.rows
    (np.int64(4), [24.0, 8.0], 4)
    """

    def __init__(self, channels: int, k: int = 32, device: str | torch.device = "cpu") -> None:
        _check_k(k, lowest=0)
        self.k = k
        super().__init__(channels, device, moments=True, largest=k, smallest=k, samples=True)

    @property
    def samples(self) -> _SamplesOf:
        """The per-image part alone, cheaper to compute than the whole."""
        return _SamplesOf(self)

    def compute(self) -> ActivationSummary:
        """Returns everything about all images seen so far."""
        parts = self._snapshot().summary()
        return ActivationSummary(
            moments=Moments(**parts["moments"]),
            largest=TopK(**parts["largest"]) if self.k else no_entries(self.channels),
            smallest=TopK(**parts["smallest"]) if self.k else no_entries(self.channels),
            samples=sample_summary(parts["samples"]),
        )
