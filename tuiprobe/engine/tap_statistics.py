"""Measures statistics at each tap of the encoder while a shard runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from tuiprobe.datasets.order import hash_ids
from tuiprobe.engine.plan import Plan
from tuiprobe.models.taps import Tap
from tuiprobe.spec import FINAL_TAP, RunSpec
from tuiprobe.stats import ActivationStats, ChannelStats

INNER_TOP_K = 8
MAX_ROWS = 4096
"""Rows stored per set and inner tap: one seeded position of each of the first images."""


def accumulators(plan: Plan) -> dict[str, ActivationStats]:
    """Returns empty statistics of each tap, into which those of shards are loaded and merged."""
    inner = {tap.name: ActivationStats(tap.channels, k=INNER_TOP_K) for tap in plan.taps}
    return {FINAL_TAP: ActivationStats(plan.encoder.width, k=plan.spec.top_k), **inner}


Sampled: TypeAlias = Callable[[NDArray[np.int64], int], NDArray[np.bool_] | None]
"""Returns which samples are kept with their representation under a seed; None for all."""


class TapMeasure:
    """Statistics and sampled rows of one tap over one shard.

    Where a set keeps a sample of its representations, moments and both ends of every channel are
    of all samples, and figures of single samples of those that are kept.

    Args:
        tap: The measured tap.
        spec: Which tokens are used, how many images are stored per channel and end, and the seed.
        device: Device of the statistics; activations elsewhere are copied.
        rows_wanted: Number of images of this shard that contribute one row each.
        sampled: Which samples are kept with their representation; None for all.

    Attributes:
        kept: Which samples of the last batch are kept with their representation.
    """

    def __init__(
        self,
        tap: Tap,
        spec: RunSpec,
        device: str,
        rows_wanted: int = 0,
        sampled: Sampled = lambda ids, seed: None,
    ) -> None:
        self.tap = tap
        self.kept: torch.Tensor | slice = slice(None)
        top_k = spec.top_k if tap.name == FINAL_TAP else INNER_TOP_K
        self.stats = ActivationStats(tap.channels, k=top_k, device=device)
        self._every: ChannelStats | None = None  # of all samples, where some are kept
        self._spec, self._rows_wanted, self._sampled = spec, rows_wanted, sampled
        self._device = torch.device(device)
        self._rows: list[torch.Tensor] = []

    def update(
        self, activations: torch.Tensor, ids: torch.Tensor, there: torch.Tensor | None = None
    ) -> None:
        """Adds the activations of one batch.

        Args:
            activations: `[B, C]`, tokens `[B, T, C]`, or a map with channels at the tap's
                `channel_dim`.
            ids: int64 `[B]`, sample ids, on the CPU.
            there: The same on the device of the statistics, where they are copied once for all
                taps; None to copy them.
        """
        x = select_tokens(activations, self.tap, self._spec.tokens)
        if x.device.type != self._device.type:  # no kernels there
            x = x.to(self._device)
        ids_there = ids if there is None else there
        if (sampled := self._sampled(ids.numpy(), self._spec.seed)) is not None:
            self._every = self._every or ChannelStats(x.shape[1], k=self.stats.k)
            self._every.update(x, ids_there)
            self.kept = torch.from_numpy(sampled)
            x, ids_there = x[self.kept], ids_there[self.kept]
        if len(x):
            self.stats.update(x, ids_there, channel_dim=self.tap.channel_dim)
        if self._rows_wanted > 0:
            rows = sampled_rows(x, ids, self.tap.channel_dim, self._spec.seed)
            rows = rows[: self._rows_wanted]
            self._rows.append(rows.float())  # stays there, so that nothing waits
            self._rows_wanted -= len(rows)

    def state(self) -> dict[str, NDArray[Any]]:
        """Returns the mergeable state by field."""
        state = self.stats.state_dict()
        if self._every is not None:
            state |= self._every.state_dict()
        return {name: tensor.numpy() for name, tensor in state.items()}

    def rows(self) -> NDArray[np.float32] | None:
        """Returns float32 `[m, C]`, one position of each of the first images; None if none."""
        return torch.cat(self._rows).cpu().numpy() if self._rows else None


Measures: TypeAlias = Mapping[str, TapMeasure]
"""What measures a shard, by tap."""


def select_tokens(x: torch.Tensor, tap: Tap, tokens: str) -> torch.Tensor:
    """Selects the tokens of a token tap to use; returns other kinds unchanged.

    Args:
        x: Activations; `[B, T, C]` for a token tap.
        tap: The tap; gives the kind and the number of prefix tokens (class, registers).
        tokens: `all`, `class` (the first token) or `mean` over all.
    """
    if tap.kind != "token" or tokens == "all":
        return x
    return x[:, 0] if tokens == "class" else x.mean(dim=1)


def sampled_rows(x: torch.Tensor, ids: torch.Tensor, channel_dim: int, seed: int) -> torch.Tensor:
    """Returns the channels at one seeded position of every image.

    The position depends only on the seed and the sample id, so it does not change with batches,
    processes or attempts.

    Args:
        x: Activations with the images along the first dimension.
        ids: int64 `[B]`, sample ids.
        channel_dim: Dimension of the channels.
        seed: Any integer.

    Returns:
        `[B, C]`.
    """
    if x.ndim == 2:
        return x
    places = x.movedim(channel_dim, -1)
    shape = places.shape[1:-1]
    chosen = (hash_ids(ids.cpu().numpy(), seed) % np.uint64(np.prod(shape))).astype(np.int64)
    index = [torch.from_numpy(i).to(x.device) for i in np.unravel_index(chosen, shape)]
    return places[(torch.arange(len(x), device=x.device), *index)]
