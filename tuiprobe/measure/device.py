"""The cores and the device of this process."""

from __future__ import annotations

import os

import torch

from tuiprobe.errors import UsageError
from tuiprobe.measure.ranks import Rank
from tuiprobe.memory import available_memory
from tuiprobe.spec import AUTO, CPU_BATCH, GPU_BATCH


def available_cores() -> int:
    """Returns how many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else (os.cpu_count() or 1)


def choose_device(device: str, rank: Rank, before: str | None = None) -> str:
    """Returns the torch device of this rank.

    Args:
        device: What the user asked for; `auto` takes the device of an earlier attempt, else CUDA,
            else MPS, else the CPU.
        rank: This process; ranks of one machine take its GPUs in turn.
        before: Device of an earlier attempt at the same run; None without one.

    Raises:
        UsageError: If this machine has no such device.
    """
    if device == AUTO:
        device = _kept(before, rank) or _best()
    if device == "cuda":
        device = f"cuda:{rank.local}"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"--device {device} cannot be used here ({reason}); use cpu") from error
    return device


def _best() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _kept(before: str | None, rank: Rank) -> str | None:
    """Returns the device of an earlier attempt if this machine has it.

    Where it has not, the run goes on with what is there: its shards then differ in their
    fingerprint, which is refused without `--mix`.
    """
    if before is None:
        return None
    kind = before.partition(":")[0]
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(kind, False):
        return None
    return before if rank.world == 1 and kind != "cuda" else kind


def free_memory(device: str) -> int | None:
    """Returns how many bytes models on a device can take, here and there; None if not known.

    Args:
        device: Torch device, as `choose_device` returns it.
    """
    here = available_memory()
    if device == "cpu":
        return here
    if not device.startswith("cuda"):
        return None
    there: int = torch.cuda.mem_get_info(device)[0]
    return there if here is None else min(here, there)


def usual_batch(device: str) -> int:
    """Returns the images per forward pass where the user gives none.

    Args:
        device: Torch device, as `choose_device` returns it.
    """
    return CPU_BATCH if device == "cpu" else GPU_BATCH


def statistics_device(device: str) -> str:
    """Returns where statistics of activations on a device are computed: there, or on the CPU."""
    return device if device.startswith("cuda") else "cpu"
