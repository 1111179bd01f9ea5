"""The cores, the device, the memory and the fingerprint of this process.

A fingerprint holds what bit-equality depends on. Every shard stores it, and a merge compares it.
"""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from threadpoolctl import threadpool_info

from tuiprobe.catalog.model_list import cached_file
from tuiprobe.catalog.published_models import presets, published
from tuiprobe.errors import UsageError
from tuiprobe.limits import available_memory
from tuiprobe.measure.engine.shards import Rank
from tuiprobe.options import OptionError
from tuiprobe.request import RunRequest
from tuiprobe.results import Fingerprint
from tuiprobe.spec import AUTO, RunSpec
from tuiprobe.stats import instruction_set, native_build, statistics_path

BYTES_A_PARAMETER = 16
"""Memory of a model while it is opened: its weights and the file's in float32, and a text tower."""

FILE_SIZES = 4
"""The same memory in sizes of the file with its weights."""

SHARE_OF_MEMORY = 0.5
"""Part of the available memory that models opened together may take; the rest is for images."""


_measuring_process: int | None = None
"""The process that has begun to measure; only this one has the threads that libraries started."""


def refuse_forked_child() -> None:
    """Refuses to measure in a process that was forked from one that has measured.

    Raises:
        UsageError: If this is a forked process, which would wait for threads that it does not have.
    """
    global _measuring_process
    if _measuring_process not in (None, os.getpid()):
        raise UsageError(
            "this process was forked from one that has measured, and would hang: start it with "
            "multiprocessing.get_context('spawn'), or measure only in the parent"
        )
    _measuring_process = os.getpid()


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
        before: Device of an earlier attempt at the same run.

    Raises:
        OptionError: If this machine does not have the device.
    """
    if device == AUTO:
        best = "mps" if torch.backends.mps.is_available() else "cpu"
        device = _earlier_device(before, rank) or ("cuda" if torch.cuda.is_available() else best)
    if device == "cuda":
        device = f"cuda:{rank.local}"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        cause = f"{device} cannot be used here ({str(error).splitlines()[0]}); use cpu"
        raise OptionError("device", cause, f"--device {cause}") from error
    return device


def _earlier_device(before: str | None, rank: Rank) -> str | None:
    """Returns the device of an earlier attempt if this machine has it.

    Where it has not, the run uses what exists: its shards then differ in their
    fingerprint, which is refused without `--mix`.
    """
    if before is None:
        return None
    kind = before.partition(":")[0]
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not available.get(kind, False):
        return None
    return before if rank.world == 1 and kind != "cuda" else kind


def free_memory(device: str) -> int | None:
    """Returns the free memory of host or device, whichever is less.

    Args:
        device: Torch device, as `choose_device` returns it.
    """
    on_host = available_memory()
    if device == "cpu":
        return on_host
    if not device.startswith("cuda"):
        return None
    on_device: int = torch.cuda.mem_get_info(device)[0]
    return on_device if on_host is None else min(on_host, on_device)


def affordable(requests: Sequence[RunRequest], available: int | None) -> list[list[RunRequest]]:
    """Divides requests, in their order, into those whose models fit into memory together.

    Args:
        requests: What to measure, where and how.
        available: Bytes that can be allocated.

    Returns:
        Groups. A model stays alone if its size is not known, every model if `available` is None.
    """
    groups: list[list[RunRequest]] = []
    left = -math.inf
    for request in requests:
        needed = _memory(request.spec)
        if needed <= left:
            groups[-1].append(request)
        else:
            groups.append([request])
            left = SHARE_OF_MEMORY * (available or 0)
        left -= needed
    return groups


def _memory(spec: RunSpec) -> float:
    """Returns the bytes that opening a model takes at most; infinity if that is unknown."""
    preset = presets().get(spec.model)
    if preset is not None:
        return preset.parameters * BYTES_A_PARAMETER
    weights = published(spec.model)
    file = None if weights is None else cached_file(weights)
    file = file if spec.checkpoint is None else Path(spec.checkpoint)
    return math.inf if file is None or not file.is_file() else FILE_SIZES * file.stat().st_size


def statistics_device(device: str) -> str:
    """Returns where statistics of activations on a device are computed: on it, or on the CPU."""
    return device if device.startswith("cuda") else "cpu"


LIBRARIES = ("numpy", "open_clip_torch", "pillow", "timm", "torchvision", "transformers")
"""Libraries, besides torch, that decode, preprocess, build networks or compute figures."""

_INSTRUCTIONS = (
    "avx", "avx2", "fma", "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512_vnni",
    "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16", "amx_fp16",
    "asimd", "bf16", "i8mm", "sve", "sve2",
)  # fmt: skip
"""Flags of processors by which oneDNN chooses its kernels."""

_BFLOAT16 = {"avx512_bf16", "amx_bf16"}

_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")


def current_fingerprint(
    device: str, top_k: int = 0, memory_format: torch.memory_format = torch.contiguous_format
) -> Fingerprint:
    """Returns the library versions, hardware and flags that affect the last bits of a result.

    Args:
        device: Torch device of the encoder.
        top_k: Images stored per channel and end; long lists use another path on CUDA.
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
            **dict(_versions()),
        },
        processor=model,
    )


def _versions() -> Iterator[tuple[str, str]]:
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):  # of an extra
            yield name, version(name)


def has_bfloat16(device: str) -> bool:
    """Returns whether a torch device multiplies in bfloat16, and does not emulate it."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device == "cpu" and not _BFLOAT16.isdisjoint(_processor()[1].split())


@cache
def _processor() -> tuple[str, str]:
    """Returns the model of the processor and its instruction sets; empty if not known."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return platform.processor(), ""
    parts = (line.partition(":") for line in lines)
    fields = {name.strip(): value.strip() for name, _, value in parts}
    flags = set(fields.get("flags", fields.get("Features", "")).split())
    model = fields.get("model name") or fields.get("CPU part", "")
    return model, " ".join(name for name in _INSTRUCTIONS if name in flags)


def _blas() -> str:
    """Returns the kinds of linear algebra that are loaded, each with the core it chose.

    How many copies are loaded depends on what else the process did; NumPy's is always loaded.
    """
    loaded = {
        f"{library['internal_api']} {library.get('architecture', '')}".strip()
        for library in threadpool_info()
        if library["user_api"] == "blas"
    }
    return ", ".join(sorted(loaded))
