"""Statistics on a GPU against a device-to-device copy and a forward pass; run by `gpu_check.sh`.

Buffers rotate, so that no cache serves the reads. The copy counts bytes read and written, ours
bytes read. The forward pass is that of a ViT-B/16 with random weights at batch 256 in bfloat16.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import timm
import torch

from benchmarks._common import command, markdown, row
from tuiprobe.stats import ActivationStats, ChannelMoments, cuda_reason

BUFFER_BYTES, BUFFERS, CHANNELS, ROUNDS = 2**30, 3, 768, 20
MODEL, BATCH = "vit_base_patch16_224", 256
KINDS = {"moments": ChannelMoments, "everything": ActivationStats}


def _event() -> Any:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


def milliseconds(work: Callable[[int], object], rounds: int) -> float:
    """Median device time of one call; the argument counts the calls."""
    times: list[float] = []
    for number in range(rounds + 3):
        begin, end = (_event() for _ in range(2))
        begin.record()
        work(number)
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return statistics.median(times[3:])


def bandwidths(dtype: torch.dtype, rounds: int) -> dict[str, float]:
    """Returns GB/s of the copy and of each kind of statistics, rows of one position."""
    rows = BUFFER_BYTES // (CHANNELS * dtype.itemsize)
    x = [torch.randn(rows, CHANNELS, device="cuda").to(dtype) for _ in range(BUFFERS)]
    to = torch.empty_like(x[0])
    size = x[0].numel() * dtype.itemsize / 1e6
    name = str(dtype).removeprefix("torch.")
    copied = milliseconds(lambda n: to.copy_(x[n % BUFFERS]), rounds)
    figures = {f"copy {name}": 2 * size / copied}
    for kind, make in KINDS.items():
        stats = make(CHANNELS, device="cuda")
        taken = milliseconds(lambda n, stats=stats: stats.update(x[n % BUFFERS]), rounds)  # type: ignore[misc]
        figures[f"{kind} {name}"] = size / taken
    return figures


SMALL = {
    "32 x 197 x 768 tokens": ((32, 197, 768), -1),
    "256 x 197 x 768 tokens": ((256, 197, 768), -1),
    "256 x 768 vectors": ((256, 768), -1),
    "64 x 7 x 7 x 2048 maps": ((64, 7, 7, 2048), -1),
    "64 x 2048 x 7 x 7 maps": ((64, 2048, 7, 7), 1),
}
"""Batches as the engine sends them."""


def small_batches(rounds: int) -> dict[str, float]:
    """Returns microseconds of everything on one batch in bfloat16, and the bytes of the batch."""
    figures = {}
    for name, (shape, channel_dim) in SMALL.items():
        x = [torch.randn(shape, device="cuda").bfloat16() for _ in range(BUFFERS)]
        stats = ActivationStats(shape[channel_dim], k=8, device="cuda")
        taken = milliseconds(
            lambda n, stats=stats, x=x, d=channel_dim: stats.update(x[n % BUFFERS], channel_dim=d),  # type: ignore[misc]
            rounds,
        )
        figures[name] = 1000 * taken
        figures[f"{name}: bytes"] = float(x[0].nbytes)
    return figures


def taps(rounds: int) -> dict[str, float]:
    """Returns milliseconds of a forward pass and what taps add to it."""
    model = timm.create_model(MODEL, pretrained=False, num_classes=0)
    model = model.eval().to("cuda", torch.bfloat16)
    images = torch.randn(BATCH, 3, 224, 224, device="cuda", dtype=torch.bfloat16)

    def forward(final: ActivationStats | None) -> None:
        with torch.inference_mode():
            out = model(images)
        if final is not None:
            final.update(out)

    def everywhere() -> float:
        handles = []
        for block in model.blocks:
            stats = ActivationStats(CHANNELS, k=8, device="cuda")
            handles.append(block.register_forward_hook(lambda _m, _i, o, s=stats: s.update(o)))
        taken = milliseconds(lambda _: forward(None), rounds)
        for handle in handles:
            handle.remove()
        return taken

    bare = milliseconds(lambda _: forward(None), rounds)
    final = ActivationStats(CHANNELS, device="cuda")
    with_final = milliseconds(lambda _: forward(final), rounds)
    with_taps = everywhere()
    bare = statistics.mean((bare, milliseconds(lambda _: forward(None), rounds)))
    return {
        "forward ms": bare,
        "taps on every block, %": 100 * (with_taps / bare - 1),
        "final representation, %": 100 * (with_final / bare - 1),
    }


def run(quick: bool = False) -> dict[str, Any]:
    """Returns bandwidths in GB/s, the cost of taps in per cent and what they were measured on."""
    if cuda_reason():
        raise SystemExit(f"native kernels do not serve this machine: {cuda_reason()}")
    rounds = 5 if quick else ROUNDS
    figures: dict[str, Any] = {"card": torch.cuda.get_device_name(), "torch": torch.__version__}
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        figures |= bandwidths(dtype, rounds)
    return figures | small_batches(rounds) | taps(rounds)


def table(figures: dict[str, Any]) -> str:
    """Returns the ratios as Markdown with the targets."""
    rows = [
        row(f"{kind} / copy, {name}", figures[f"{kind} {name}"] / figures[f"copy {name}"], target)
        for kind, target in (("moments", 0.85), ("everything", 0.60))
        for name in ("float32", "float16", "bfloat16")
    ]
    everything = {
        name: figures[f"everything {name}"] / size
        for name, size in (("float32", 4), ("float16", 2), ("bfloat16", 2))
    }
    for name in ("float16", "bfloat16"):
        rows.append(
            row(
                f"everything, elements/s: float32 / {name}",
                everything["float32"] / everything[name],
                1.3,
                at_most=True,
                note=f"{everything[name]:.0f} G elements/s",
            )
        )
    for name in SMALL:
        reading = figures[f"{name}: bytes"] / figures["copy bfloat16"] / 1e3
        ratio = reading / figures[name]
        rows.append([f"everything, {name}", f"{ratio:.2f}", "", "", f"{figures[name]:.0f} us"])
    note = f"of a forward pass of {figures['forward ms']:.1f} ms"
    for work, target in (("taps on every block, %", 3.0), ("final representation, %", 0.3)):
        rows.append(row(work, figures[work], target, at_most=True, note=note))
    head = (
        f"{figures['card']}, torch {figures['torch']}; copy {figures['copy float32']:.0f} GB/s\n\n"
    )
    return head + markdown(["work", "ratio", "target", "met", ""], rows)


if __name__ == "__main__":
    command(__doc__, run, table)
