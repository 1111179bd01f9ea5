"""Loads the native module; all other code imports it from here.

torch is imported first: the native loops use the OpenMP runtime that torch has loaded, and must not
load a second one into the process.
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


def cuda_reason() -> str:
    """Returns why CUDA tensors use plain torch; empty if native kernels handle them.

    Native kernels handle every accumulator whose k is at most 1,024.
    """
    return native.cuda_reason()
