"""Channel moments on a GPU against a device-to-device copy; run by ``benchmarks/gpu_check.sh``.

Buffers rotate, so that no cache serves the reads. The copy counts bytes read and written, ours
bytes read.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import torch

from benchmarks._common import command, markdown, row
from tuiprobe.stats import ActivationStats, ChannelMoments

BUFFERS, ROWS, CHANNELS, ROUNDS = 8, 50432 * 7, 768, 20


def _event() -> Any:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


def milliseconds(work: Callable[[int], object]) -> float:
    """Median device time of one call; the argument counts the calls."""
    times: list[float] = []
    for number in range(ROUNDS + 3):
        begin, end = (_event() for _ in range(2))
        begin.record()
        work(number)
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return statistics.median(times[3:])


def run(quick: bool = False) -> dict[str, Any]:
    """Returns the bandwidths in GB/s and the card's name."""
    figures: dict[str, Any] = {"card": torch.cuda.get_device_name(), "torch": torch.__version__}
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        x = [torch.randn(ROWS, CHANNELS, device="cuda").to(dtype) for _ in range(BUFFERS)]
        to = torch.empty_like(x[0])
        size = x[0].numel() * x[0].element_size() / 1e6
        moments = ChannelMoments(CHANNELS, device="cuda")

        def copy(n: int, x: Any = x, to: Any = to) -> None:
            to.copy_(x[n % BUFFERS])

        def ours(n: int, x: Any = x, moments: Any = moments) -> None:
            moments.update(x[n % BUFFERS])

        name = str(dtype).removeprefix("torch.")
        figures[f"copy {name}"] = 2 * size / milliseconds(copy)
        figures[f"moments {name}"] = size / milliseconds(ours)
    small = torch.randn(8192, CHANNELS, device="cuda")
    everything = ActivationStats(CHANNELS, device="cuda")
    figures["everything float32"] = (
        small.numel() * 4 / 1e6 / milliseconds(lambda n: everything.update(small))
    )
    return figures


def table(figures: dict[str, Any]) -> str:
    """Returns the ratios as Markdown with the targets."""
    rows = [
        row(f"moments / copy, {name}", figures[f"moments {name}"] / figures[f"copy {name}"], 0.85)
        for name in ("float32", "float16", "bfloat16")
    ]
    ratio = figures["everything float32"] / figures["copy float32"]
    rows.append(row("everything / copy, float32", ratio, 0.60, note="plain torch path"))
    head = (
        f"{figures['card']}, torch {figures['torch']}; copy {figures['copy float32']:.0f} GB/s\n\n"
    )
    return head + markdown(["work", "ratio", "target", "met", ""], rows)


if __name__ == "__main__":
    command(__doc__, run, table)
