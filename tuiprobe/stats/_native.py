"""The one place that loads the native module.

torch comes first: the native loops run on the OpenMP runtime that torch has loaded, and must not
bring a second one into the process.
"""

import torch  # noqa: F401

import tuiprobe._native as native

__all__ = [
    "cuda_reason",
    "instruction_set",
    "native",
    "openmp_runtime",
    "supported_instruction_sets",
]


def instruction_set() -> str:
    """Returns the set of loops in use: `generic`, `avx2` or `avx512`.

    The environment variable `TUIPROBE_ISA` chooses another one that the machine can run.

    >>> instruction_set() in supported_instruction_sets()
    True
    """
    return native.isa()


def supported_instruction_sets() -> tuple[str, ...]:
    """Returns the sets that this machine can run and this build contains."""
    return tuple(native.isas())


def openmp_runtime() -> str:
    """Returns the file of the OpenMP runtime in use; empty if loops run on one thread."""
    return native.openmp_runtime()


def cuda_reason() -> str:
    """Returns why CUDA tensors take the plain torch path; empty where native kernels serve them.

    Native kernels serve every accumulator whose k is at most 1,024.
    """
    return native.cuda_reason()
