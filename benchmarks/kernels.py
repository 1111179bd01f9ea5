"""The native statistics against a plain read of the same memory and against their peers.

Run with `python -m benchmarks.kernels`. Everything is timed in turn within one run; figures are
ratios of medians. The read is the fastest of three loops of the core's own, on the same threads.
All of it is repeated on fresh memory, since the bandwidth itself may differ from one place in
memory to another: the median of the repetitions is judged, and their range stands beside it.
"""

from __future__ import annotations

import math
import statistics
from itertools import cycle
from typing import Any

import numpy as np
import torch

from benchmarks._common import command, fastest_read, interleaved, machine, markdown, reads, row
from benchmarks._distributions import DISTRIBUTIONS
from tuiprobe.stats import ActivationStats, ChannelMoments, ChannelTopK

TITLE = "Statistics on the CPU"
ROWS, CHANNELS, ROUNDS, REPETITIONS = 50432, 768, 7, 7
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
DEAD, SORTED = "a quarter of channels dead", "class-sorted"


def run(quick: bool = False) -> dict[str, Any]:
    """Returns seconds of every piece of work in each repetition, and what they ran on."""
    about = machine()
    repetitions = [_once(3 if quick else ROUNDS) for _ in range(2 if quick else REPETITIONS)]
    return {"machine": about, "bytes": ROWS * CHANNELS * 4, "repetitions": repetitions}


def _once(rounds: int) -> dict[str, float]:
    x = torch.randn(ROWS, CHANNELS, generator=torch.Generator().manual_seed(0))
    seconds = interleaved(reads(x) | _batches(x), rounds)
    seconds |= interleaved(_peers(x), 1)
    seconds |= _threads(x, rounds)
    seconds |= interleaved(_halves(x) | _maps(), rounds)
    seconds |= interleaved(_engine(), 3 * rounds)
    for name in DISTRIBUTIONS:
        seconds |= _distribution(name, x, rounds)
    return seconds | _small()


def _batches(x: torch.Tensor) -> dict[str, Any]:
    """Work on the reference batch; accumulators that are reused are in their steady state."""
    moments, everything = ChannelMoments(CHANNELS), ActivationStats(CHANNELS)
    top = ChannelTopK(CHANNELS)
    for accumulator in (moments, everything, everything, top):
        accumulator.update(x)
    dead, by_class = (DISTRIBUTIONS[name](x) for name in (DEAD, SORTED))
    return {
        "moments": lambda: moments.update(x),
        "everything": lambda: everything.update(x),
        "fresh": lambda: ActivationStats(CHANNELS).update(x),
        "dead": lambda: ActivationStats(CHANNELS).update(dead),
        "sorted": lambda: ActivationStats(CHANNELS).update(by_class),
        "top": lambda: top.update(x),
    }


def _distribution(name: str, z: torch.Tensor, rounds: int) -> dict[str, float]:
    """Seconds of everything on a distribution in each element type, warm, and of the read."""
    x = DISTRIBUTIONS[name](z)
    work: dict[str, Any] = reads(x)
    for dtype in DTYPES:
        stats, batch = ActivationStats(CHANNELS), x.to(dtype)
        stats.update(batch)
        work[str(dtype)] = lambda stats=stats, batch=batch: stats.update(batch)
    seconds = interleaved(work, rounds)
    kept = {str(dtype): seconds[str(dtype)] for dtype in DTYPES} | {"read": fastest_read(seconds)}
    return {f"{name}, {key}": value for key, value in kept.items()}


def eager_moments(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The peers' way: mean, variance, skewness, kurtosis and maximum from whole tensors."""
    mean = x.mean(0)
    d = x - mean
    var = (d**2).mean(0)
    return mean, var, (d**3).mean(0) / var**1.5, (d**4).mean(0) / var**2, x.amax(0)


def _numpy_moments(x: np.ndarray[Any, Any]) -> tuple[Any, ...]:
    mean = x.mean(0)
    d = x - mean
    d2 = d * d
    var = d2.mean(0)
    return mean, var, (d2 * d).mean(0) / var**1.5, (d2 * d2).mean(0) / var**2, x.max(0)


def _peers(x: torch.Tensor) -> dict[str, Any]:
    array = x.numpy()
    peers: dict[str, Any] = {
        "torch eager": lambda: eager_moments(x),
        "NumPy": lambda: _numpy_moments(array),
        "torch.topk": lambda: torch.topk(x, 32, dim=0),
    }
    try:
        compiled = torch.compile(eager_moments)
        compiled(x)
    except Exception as error:  # no compiler at run time, or one that torch cannot use
        print(f"torch.compile left out: {type(error).__name__}")
    else:
        peers["torch.compile"] = lambda: compiled(x)
    return peers


def _halves(x: torch.Tensor) -> dict[str, Any]:
    work: dict[str, Any] = {}
    for dtype in DTYPES:
        stats, batch = ChannelMoments(CHANNELS), x.to(dtype)
        work[str(dtype)] = lambda stats=stats, batch=batch: stats.update(batch)
    return work


def _maps() -> dict[str, Any]:
    x = torch.randn(64, 2048, 7, 7)
    last = x.contiguous(memory_format=torch.channels_last)
    first_stats, last_stats = ChannelMoments(2048), ChannelMoments(2048)
    return {
        "NCHW": lambda: first_stats.update(x, channel_dim=1),
        "channels last": lambda: last_stats.update(last, channel_dim=1),
    }


ENGINE: dict[str, tuple[tuple[int, ...], int, float | None]] = {
    "tokens 64 x 197 x 768, k 8": ((64, 197, CHANNELS), 8, 0.55),
    "vectors 2,048 x 768, k 32": ((2048, CHANNELS), 32, None),
    "vectors 256 x 768, k 32": ((256, CHANNELS), 32, None),
    "vectors 256 x 768, k 8": ((256, CHANNELS), 8, 0.10),
    "maps 64 x 2,048 x 7 x 7, k 8": ((64, 2048, 7, 7), 8, None),
}
"""Updates as the engine sends them: shape, k, and the wanted share of the read."""


def _engine() -> dict[str, Any]:
    """Everything on batches of the engine: warm, and tokens with a fresh object."""
    work: dict[str, Any] = {}
    for name, (shape, k, _) in ENGINE.items():
        dim = 1 if len(shape) == 4 else -1
        batches = cycle([torch.randn(shape) for _ in range(4 if len(shape) > 2 else 16)])
        stats = ActivationStats(shape[dim], k)
        for _ in range(16):
            stats.update(next(batches), channel_dim=dim)
        work[name] = lambda stats=stats, batches=batches, dim=dim: stats.update(
            next(batches), channel_dim=dim
        )
    tokens = torch.randn(64, 197, CHANNELS)
    work["fresh tokens"] = lambda: ActivationStats(CHANNELS, 8).update(tokens)
    return work


def _threads(x: torch.Tensor, rounds: int) -> dict[str, float]:
    """Seconds of moments on one thread and on two."""
    before = torch.get_num_threads()
    stats = ChannelMoments(CHANNELS)

    def on(threads: int) -> Any:
        def work() -> None:
            torch.set_num_threads(threads)
            stats.update(x)

        return work

    seconds = interleaved({"1 thread": on(1), "2 threads": on(2)}, rounds)
    torch.set_num_threads(before)
    return seconds


def _small() -> dict[str, float]:
    """One warm call on a small batch, alone and right after an operation of torch."""
    stats, x = ChannelMoments(512), torch.randn(256, 512)
    y = torch.randn(512, 512)
    alone = interleaved({"small": lambda: stats.update(x)}, 300)
    after: dict[str, float] = {}
    for name in ("op", "op and small"):

        def work(name: str = name) -> None:
            torch.mm(y, y)
            if name != "op":
                stats.update(x)

        after |= interleaved({name: work}, 200)
    return alone | {"small after op": after["op and small"] - after["op"]}


TARGETS: dict[str, float | None] = {
    "moments / read": 0.85,
    "everything, third update / read": 0.50,
    "everything, fresh object / read": 0.30,
    "everything, a quarter dead ReLU channels / read": 0.30,
    "everything, class-sorted rows / read": 0.30,
    "moments / torch eager": 25,
    "moments / torch.compile": 3,
    "moments / NumPy": 20,
    "top 32 / torch.topk": 20,
    "float16 / float32, elements/s": 1.3,
    "bfloat16 / float32, elements/s": 1.3,
    "NCHW map / channels last": 0.8,
    "2 threads / 1": 1.7,
    "256 x 512 batch, microseconds": 40,
    "the same after a torch op, microseconds": 400,
    **{f"everything, {name} / read": wanted for name, (_, _, wanted) in ENGINE.items()},
}


LEAST, LEAST_OF = 0.42, {"sigma 1": 0.50, "mean 30 sigma": 0.38}
"""The wanted share of the read in each row of the table of distributions, and its exceptions."""


def _by_distribution(repetitions: list[dict[str, float]]) -> str:
    """Returns everything, third update and later, over the read of as many float32 values."""
    rows = []
    for name in DISTRIBUTIONS:
        ratios = [
            statistics.median(s[f"{name}, read"] / s[f"{name}, {dtype}"] for s in repetitions)
            for dtype in DTYPES
        ]
        target = LEAST_OF.get(name, LEAST)
        met = "yes" if min(ratios) >= target else "**missed**"
        rows.append([name, *(f"{ratio:.2f}" for ratio in ratios), f">= {target:g}", met])
    return markdown(["everything / read", "float32", "float16", "bfloat16", "target", "met"], rows)


def _ratios(s: dict[str, float]) -> dict[str, float]:
    """What is judged, from the seconds of one repetition."""
    read = fastest_read(s)
    ratios = {
        "moments / read": read / s["moments"],
        "everything, third update / read": read / s["everything"],
        "everything, fresh object / read": read / s["fresh"],
        "everything, a quarter dead ReLU channels / read": read / s["dead"],
        "everything, class-sorted rows / read": read / s["sorted"],
        "moments / torch eager": s["torch eager"] / s["moments"],
        "moments / torch.compile": s.get("torch.compile", math.nan) / s["moments"],
        "moments / NumPy": s["NumPy"] / s["moments"],
        "top 32 / torch.topk": s["torch.topk"] / s["top"],
        "float16 / float32, elements/s": s["torch.float32"] / s["torch.float16"],
        "bfloat16 / float32, elements/s": s["torch.float32"] / s["torch.bfloat16"],
        "NCHW map / channels last": s["channels last"] / s["NCHW"],
        "2 threads / 1": s["1 thread"] / s["2 threads"],
        "256 x 512 batch, microseconds": s["small"] * 1e6,
        "the same after a torch op, microseconds": s["small after op"] * 1e6,
    }
    for name, (shape, *_) in ENGINE.items():
        share = math.prod(shape) / (ROWS * CHANNELS)  # of the bytes that the read took
        ratios[f"everything, {name} / read"] = read * share / s[name]
    ratios["tokens, fresh object / warm, seconds"] = (
        s["fresh tokens"] / s["tokens 64 x 197 x 768, k 8"]
    )
    return {name: ratio for name, ratio in ratios.items() if not math.isnan(ratio)}


def _regime(speed: float) -> str:
    """Says which targets a read of this speed can be held to: those of fast memory are harder."""
    return "fast memory" if speed >= 50 else "slow memory: ratios to the read are flattered"


def table(figures: dict[str, Any]) -> str:
    """Returns the ratios as Markdown, with targets and whether they are met."""
    repetitions = [_ratios(seconds) for seconds in figures["repetitions"]]
    rows = []
    for name in repetitions[0]:
        values = [ratios[name] for ratios in repetitions]
        spread = f"{min(values):.2f} to {max(values):.2f}"
        at_most = name.endswith("microseconds")
        middle, target = statistics.median(values), TARGETS.get(name)
        if target is None:
            rows.append([name, f"{middle:.2f}", "", "", spread])
        else:
            rows.append(row(name, middle, target, at_most, spread))
    about, size = figures["machine"], figures["bytes"]
    speeds = [size / fastest_read(seconds) / 1e9 for seconds in figures["repetitions"]]
    head = (
        f"float32 [{ROWS}, {CHANNELS}], {about['cpu']}, {about['threads']} threads, "
        f"{about['instruction_set']}, torch {about['torch']}; read {min(speeds):.1f} to "
        f"{max(speeds):.1f} GB/s in {len(speeds)} repetitions ({_regime(min(speeds))}); load "
        f"average before: {about['load_before']:.1f}\n\n"
    )
    work = markdown(["work", "median ratio", "target", "met", "range"], rows)
    return head + work + "\n" + _by_distribution(figures["repetitions"])


if __name__ == "__main__":
    command(__doc__, run, table)
