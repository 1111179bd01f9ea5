"""Fingerprints: what bit-equality depends on. Stored in every shard, compared in a merge."""

from __future__ import annotations

import platform

import torch

from tuiprobe.results import Fingerprint
from tuiprobe.stats import instruction_set, native_build, statistics_path


def current_fingerprint(
    device: str, top_k: int = 0, memory_format: torch.memory_format = torch.contiguous_format
) -> Fingerprint:
    """Returns the library versions, hardware and flags that affect the last bits of a result.

    Args:
        device: Torch device of the encoder.
        top_k: Images kept a channel and end; long lists take another path on CUDA.
        memory_format: How the maps of the encoder lie in memory.
    """
    kind = torch.device(device).type
    on_cuda = kind == "cuda"
    return Fingerprint(
        torch=torch.__version__,
        device=torch.cuda.get_device_name(device) if on_cuda else f"{kind} {platform.machine()}",
        isa=instruction_set(),
        threads=torch.get_num_threads(),
        flags={
            "statistics": f"{statistics_path(device, top_k)}, {native_build()}",
            "memory_format": str(memory_format).removeprefix("torch."),
            "torch_cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "matmul_tf32": str(torch.backends.cuda.matmul.allow_tf32),
            "cudnn_tf32": str(torch.backends.cudnn.allow_tf32),
            "cudnn_benchmark": str(torch.backends.cudnn.benchmark),
            "cudnn_deterministic": str(torch.backends.cudnn.deterministic),
        },
    )
