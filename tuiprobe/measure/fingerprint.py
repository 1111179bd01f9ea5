"""Fingerprints: what bit-equality depends on. Stored in every shard, compared in a merge."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch
from threadpoolctl import threadpool_info

from tuiprobe.results import Fingerprint
from tuiprobe.stats import instruction_set, native_build, statistics_path

LIBRARIES = ("numpy", "open_clip_torch", "pillow", "timm", "torchvision")
"""Libraries beside torch that decode, preprocess, build networks or compute figures."""

_INSTRUCTIONS = (
    "avx", "avx2", "fma", "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512_vnni",
    "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16", "amx_fp16",
    "asimd", "bf16", "i8mm", "sve", "sve2",
)  # fmt: skip
"""Flags of processors by which oneDNN chooses its kernels."""

_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")


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
    model, instructions = _processor()
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
            "onednn": next((os.environ[name] for name in _LIMITS if name in os.environ), "")
            or instructions,
            "blas": _blas(),
            **{name: version(name) for name in LIBRARIES},
        },
        processor=model,
    )


@cache
def _processor() -> tuple[str, str]:
    """Returns the model of the processor and its instruction sets; empty where nothing tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return platform.processor(), ""
    parts = (line.partition(":") for line in lines)
    fields = {name.strip(): value.strip() for name, _, value in parts}
    there = set(fields.get("flags", fields.get("Features", "")).split())
    model = fields.get("model name") or fields.get("CPU part", "")
    return model, " ".join(name for name in _INSTRUCTIONS if name in there)


def _blas() -> str:
    """Returns the kinds of linear algebra that are loaded, each with the core it chose.

    How many copies are loaded depends on what else the process did; NumPy's is always there.
    """
    loaded = {
        f"{library['internal_api']} {library.get('architecture', '')}".strip()
        for library in threadpool_info()
        if library["user_api"] == "blas"
    }
    return ", ".join(sorted(loaded))
