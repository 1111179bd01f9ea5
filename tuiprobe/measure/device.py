"""The cores and the device of this process."""

from __future__ import annotations

import os

import torch

from tuiprobe.errors import UsageError
from tuiprobe.measure.ranks import Rank


def available_cores() -> int:
    """Returns how many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else (os.cpu_count() or 1)


def choose_device(device: str, rank: Rank) -> str:
    """Returns the torch device of this rank.

    Raises:
        UsageError: If this machine has no such device.
    """
    if device == "cuda":
        device = f"cuda:{rank.local}"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"--device {device} cannot be used here ({reason}); use cpu") from error
    return device
