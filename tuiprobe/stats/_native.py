"""Loads the native module; all other code imports it from here.

torch is imported first: the native loops use the OpenMP runtime that torch has loaded, and must not
load a second one into the process.
"""

import importlib
import importlib.util
import warnings
from typing import TYPE_CHECKING, Any

import torch

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
    """Returns the module of the package `tuiprobe_cuda` if it is installed, else tuiprobe's own.

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
