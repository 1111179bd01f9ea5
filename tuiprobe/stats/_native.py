"""Loads the native module, and describes tensors to it by pointer, shape and strides.

torch is imported first: the native loops use the OpenMP runtime that torch has loaded, and must not
load a second one into the process.
"""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch.utils.dlpack import from_dlpack

from tuiprobe import __version__
from tuiprobe.errors import TuiprobeError

__all__ = [
    "cuda_reason",
    "instruction_set",
    "native",
    "native_build",
    "openmp_runtime",
    "statistics_path",
    "supported_instruction_sets",
]


def load_native() -> Any:
    """Returns the module of the package `tuiprobe_cuda` if it is installed, else that of tuiprobe.

    Raises:
        TuiprobeError: If the module is of another version than the Python code.
    """
    with_cuda = importlib.util.find_spec("tuiprobe_cuda") is not None
    module = importlib.import_module("tuiprobe_cuda._native" if with_cuda else "tuiprobe._native")
    version = getattr(module, "VERSION", "0.1.0")  # which had none
    if version != __version__:
        package = "tuiprobe-cuda" if with_cuda else "tuiprobe"
        raise TuiprobeError(
            f"{module.__file__} is of version {version}, tuiprobe of {__version__}: run `pip "
            f"install --force-reinstall --no-deps '{package}=={__version__}'`, in a clone `pip "
            "install -e .`"
        )
    return module


if TYPE_CHECKING:
    import tuiprobe._native as native
else:
    native = load_native()


def warn_without_openmp() -> None:
    """Warns if loops run on one thread although torch has several."""
    if torch.get_num_threads() > 1 and not native.openmp_runtime():
        warnings.warn(
            "no OpenMP runtime is loaded, so tuiprobe.stats runs on a single thread; torch's own "
            "wheels bring one",
            RuntimeWarning,
            stacklevel=2,
        )


warn_without_openmp()


def instruction_set() -> str:
    """Returns the instruction set in use: `generic`, `avx2` or `avx512`.

    The environment variable `TUIPROBE_ISA` selects another one that the machine supports.

    >>> instruction_set() in supported_instruction_sets()
    True
    """
    return native.isa()


def supported_instruction_sets() -> tuple[str, ...]:
    """Returns the instruction sets that both this machine and this build support."""
    return tuple(native.isas())


def openmp_runtime() -> str:
    """Returns the file of the OpenMP runtime in use; empty if loops use a single thread."""
    return native.openmp_runtime()


def native_build() -> str:
    """Returns the compilers of the native core and a digest of its source.

    Another build may change the last bits of a result.
    """
    return native.build()


def cuda_reason(device: str | torch.device | None = None) -> str:
    """Returns why tensors on a CUDA device use plain torch; empty if native kernels handle them.

    Native kernels handle every accumulator of at most 12,288 channels whose k is at most 1,024, on
    every device that the build has code for.

    Args:
        device: The device, or None for any one.
    """
    index = -1 if device is None else torch.device(device).index
    return native.cuda_reason(torch.cuda.current_device() if index is None else index)


def statistics_path(device: str | torch.device, k: int = 0, channels: int = 1) -> str:
    """Returns which code computes statistics of tensors on a device.

    That is settled when an accumulator is made, and never changes between its updates.

    Args:
        device: Device of the activations.
        k: Entries that the top k keep.
        channels: Width of the activations.

    Returns:
        On CUDA `cuda` for native kernels, else `torch`. Elsewhere `native`: activations of other
        devices are measured on the CPU.

    >>> statistics_path("cpu")
    'native'
    """
    if torch.device(device).type != "cuda":
        return "native"
    if k > native.CUDA_MAX_K or channels > native.CUDA_MAX_CHANNELS or cuda_reason(device):
        return "torch"
    return "cuda"


_TORCH_CODES = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 2}
_NUMPY_CODES = {np.dtype(np.float32): 0, np.dtype(np.float16): 1}
_DTYPES = "float32, float16 or bfloat16"

Quad = tuple[int, int, int, int]


Memory = torch.UntypedStorage | np.ndarray[Any, Any]


class Rows(NamedTuple):
    """Activations as (images, height, width, channels); `owner` keeps the memory alive."""

    owner: Memory
    data: int
    dtype: int
    shape: Quad
    strides: Quad


def without_wrapper(x: Any) -> Any:
    """Returns a tensor that shares the memory of anything with `__dlpack__`; others as they are.

    Raises:
        TypeError: If its type or device cannot be shared with torch.
    """
    if isinstance(x, torch.Tensor | np.ndarray) or not hasattr(x, "__dlpack__"):
        return x
    try:
        return from_dlpack(x)
    except (RuntimeError, ValueError, TypeError, BufferError) as error:
        raise TypeError(f"{type(x).__name__} cannot be shared with torch: {error}") from error


def read_activations(x: Any, channels: int, channel_dim: int, device: torch.device) -> Rows:
    """Checks activations and describes them without a copy.

    Args:
        x: Tensor or NumPy array `(N, C)`, `(B, T, C)`, or 4-D with channels at `channel_dim`.
        channels: Required C.
        channel_dim: -1, or 1 for maps with channels second.
        device: Device of the accumulator.

    Raises:
        TypeError: If it is not a dense real tensor of a supported dtype.
        ValueError: If shape, channel count, channel_dim or device is wrong.
    """
    owner, data, dtype, shape_, strides_ = describe(x, device, "activations")
    shape, strides = _four_d(shape_, strides_, channel_dim)
    if shape[3] != channels:
        raise ValueError(
            f"expected {channels} channels along dimension {channel_dim}, got {shape[3]} "
            f"in shape {tuple(x.shape)}; check channel_dim"
        )
    if shape[0] > 0 and shape[1] * shape[2] == 0:
        raise ValueError(f"images without positions: shape {tuple(x.shape)}")
    return Rows(owner, data, dtype, shape, strides)


def describe(
    x: Any, device: torch.device, name: str
) -> tuple[Memory, int, int, tuple[int, ...], tuple[int, ...]]:
    """Returns memory, address, dtype code, shape, strides in elements of a real tensor or array.

    The caller must keep the memory alive; the tensor alone does not, because another thread may
    give it other memory.

    Args:
        x: The tensor or array.
        device: Required device.
        name: Name in messages.

    Raises:
        TypeError: If it is not a dense real tensor of a supported dtype.
        ValueError: If it is on another device, or its memory is not aligned or was freed.
    """
    if isinstance(x, torch.Tensor):
        _check_tensor(x, device, name)
        storage, data = _storage(x, name)
        return storage, data, _TORCH_CODES[x.dtype], tuple(x.shape), tuple(x.stride())
    if isinstance(x, np.ndarray):
        _check_array(x, device, name)
        strides = tuple(s // x.itemsize for s in x.strides)
        return x, int(x.ctypes.data), _NUMPY_CODES[x.dtype], tuple(x.shape), strides
    raise TypeError(f"{name} must be a torch tensor or a NumPy array, got {type(x)!r}")


def is_fake(x: torch.Tensor) -> bool:
    """Returns whether a tensor only has a shape, as while a model is exported.

    It names a device, but its storage is on `meta`.
    """
    try:
        return x.device.type != "meta" and x.untyped_storage().device.type == "meta"
    except RuntimeError:  # sparse, or inside a function transform: there is no storage
        return False


def _check_tensor(x: torch.Tensor, device: torch.device, name: str) -> None:
    if x.dtype not in _TORCH_CODES:
        raise TypeError(f"{name} must be {_DTYPES}, got {x.dtype}; convert with .float()")
    if x.is_nested:
        raise TypeError(f"{name} must be one rectangle, got a nested tensor; update by its parts")
    if x.layout != torch.strided:
        raise TypeError(f"{name} must be dense, got {x.layout}; convert with .to_dense()")
    if x.device.type == "meta":
        raise TypeError(f"{name} are on the meta device and hold no values")
    if x.device != device:
        raise ValueError(
            f"{name} are on {x.device}, expected {device}; move them, or make the accumulator "
            f"with device={str(x.device)!r}"
        )
    if is_fake(x):
        raise TypeError(f"{name} are a fake tensor and hold no readable memory")
    if x.is_neg():
        raise TypeError(f"{name} are a lazily negated view; call .resolve_neg()")


def _check_array(x: np.ndarray[Any, Any], device: torch.device, name: str) -> None:
    if x.dtype not in _NUMPY_CODES:
        raise TypeError(
            f"{name} must be native-endian float32 or float16, got {x.dtype!r}; "
            "convert with .astype(np.float32)"
        )
    if device.type != "cpu":
        raise ValueError(f"NumPy arrays are on the CPU, the accumulator on {device}")
    if not x.flags.aligned or any(s % x.itemsize for s in x.strides):
        raise ValueError(f"{name} are not aligned to their item size; pass a copy")


def _storage(x: torch.Tensor, name: str) -> tuple[torch.UntypedStorage, int]:
    try:
        storage, data = x.untyped_storage(), int(x.data_ptr())
    except RuntimeError as error:  # fake tensors, functorch wrappers
        raise TypeError(f"{name} hold no readable memory: {type(x).__name__}") from error
    if x.numel():
        last = x.numel() - 1
        if not x.is_contiguous():
            last = sum((n - 1) * step for n, step in zip(x.shape, x.stride(), strict=True))
        needed = (x.storage_offset() + last + 1) * x.element_size()
        if needed > storage.nbytes():
            raise ValueError(
                f"{name} need {needed} bytes of memory and their storage holds "
                f"{storage.nbytes()}; it was resized or freed"
            )
    return storage, data


def _four_d(
    shape: tuple[int, ...], strides: tuple[int, ...], channel_dim: int
) -> tuple[Quad, Quad]:
    n = len(shape)
    if n not in (2, 3, 4):
        raise ValueError(f"activations must have 2, 3 or 4 dimensions, got shape {shape}")
    if not isinstance(channel_dim, int) or not -n <= channel_dim < n or channel_dim % n == 0:
        raise ValueError(
            f"channel_dim must be 1 or -1 for {n} dimensions, got {channel_dim!r}; "
            "dimension 0 counts the images"
        )
    c = channel_dim % n
    if n == 4 and c == 2:
        raise ValueError("channel_dim of a map must be 1 or -1, got 2")
    if n == 2:
        return (shape[0], 1, 1, shape[1]), (strides[0], 0, 0, strides[1])
    if n == 3:
        t = 3 - c
        return (shape[0], 1, shape[t], shape[c]), (strides[0], 0, strides[t], strides[c])
    h = 1 + (c == 1)
    return (
        (shape[0], shape[h], shape[h + 1], shape[c]),
        (strides[0], strides[h], strides[h + 1], strides[c]),
    )


def read_sample_ids(
    ids: Any, images: int, device: torch.device | None = None
) -> np.ndarray[Any, Any] | torch.Tensor | None:
    """Checks sample ids; returns a contiguous int64 array, or None for consecutive numbers.

    Args:
        ids: The ids as they were given.
        images: Number of images of the update.
        device: Tensors on this device are returned as int64 tensors, without waiting for it.

    Raises:
        TypeError: If they are not integers.
        ValueError: If their number is not that of the images, or one is negative.
    """
    if ids is None:
        return None
    if isinstance(ids, torch.Tensor):
        if ids.dtype not in (torch.int64, torch.int32):
            raise TypeError(f"sample_ids must be int64, got {ids.dtype}")
        if ids.ndim != 1 or len(ids) != images:
            raise ValueError(f"got sample_ids of shape {tuple(ids.shape)} for {images} images")
        if ids.device == device:
            return ids.detach().to(torch.int64).contiguous()
        ids = ids.detach().cpu().numpy()
    try:
        array = np.asarray(ids)
    except ValueError as error:  # ragged lists
        raise ValueError(f"sample_ids must be a flat list, one for each image: {error}") from error
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"sample_ids must be int64, got {array.dtype}")
    if array.ndim != 1 or len(array) != images:
        raise ValueError(f"got sample_ids of shape {array.shape} for {images} images")
    if images and array.max() > np.iinfo(np.int64).max:
        raise ValueError(f"sample_ids must fit int64, got {array.max()}")
    array = np.ascontiguousarray(array, dtype=np.int64)
    if images and array.min() < 0:
        raise ValueError(f"sample_ids must not be negative, got {array.min()}")
    return array
