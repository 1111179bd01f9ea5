"""Measures statistics at each tap of the encoder while a shard runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from tuiprobe.datasets.order import hash_ids
from tuiprobe.datasets.vectors import RowSet
from tuiprobe.engine.plan import Plan
from tuiprobe.models.taps import Tap
from tuiprobe.spec import FINAL_TAP
from tuiprobe.stats import ActivationStats, ChannelStats

INNER_TOP_K = 8
MAX_ROWS = 4096
"""Rows stored per set and inner tap: one seeded position of each of the first images."""


def accumulators(plan: Plan) -> dict[str, ActivationStats]:
    """Returns empty statistics of each tap, into which those of shards are loaded and merged."""
    inner = {tap.name: ActivationStats(tap.channels, k=INNER_TOP_K) for tap in plan.taps}
    return {FINAL_TAP: ActivationStats(plan.encoder.width, k=plan.spec.top_k), **inner}


class TapMeasure:
    """Statistics and sampled rows of one tap over one shard.

    Args:
        tap: The measured tap.
        tokens: Tokens of a token tap to use: `all`, `class` or `mean`.
        top_k: Images stored per channel and end.
        device: Device of the statistics; activations elsewhere are copied.
        rows_wanted: Number of images of this shard that contribute one row each.
        seed: Seed of the position of a row.

    Attributes:
        kept: Which images of the last batch are kept with their representation: all.
    """

    def __init__(
        self, tap: Tap, tokens: str, top_k: int, device: str, rows_wanted: int, seed: int
    ) -> None:
        self.tap = tap
        self.stats = ActivationStats(tap.channels, k=top_k, device=device)
        self.kept = slice(None)
        self._tokens, self._seed, self._rows_wanted = tokens, seed, rows_wanted
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
        x = select_tokens(activations, self.tap, self._tokens)
        if x.device.type != self._device.type:  # no kernels there
            x = x.to(self._device)
        self.stats.update(x, ids if there is None else there, channel_dim=self.tap.channel_dim)
        if self._rows_wanted > 0:
            rows = sampled_rows(x, ids, self.tap.channel_dim, self._seed)[: self._rows_wanted]
            self._rows.append(rows.float())  # stays there, so that nothing waits
            self._rows_wanted -= len(rows)

    def state(self) -> dict[str, NDArray[Any]]:
        """Returns the mergeable state by field."""
        return {name: tensor.numpy() for name, tensor in self.stats.state_dict().items()}

    def rows(self) -> NDArray[np.float32] | None:
        """Returns float32 `[m, C]`, one position of each of the first images; None if none."""
        return torch.cat(self._rows).cpu().numpy() if self._rows else None


class RowMeasure:
    """Statistics of stored vectors over one shard, with the attributes of `TapMeasure`.

    Moments and both ends of every channel are of all rows, figures of single rows of the sampled
    ones.

    Args:
        tap: The final representation.
        top_k: Rows stored per channel and end.
        rows: The set of the shard.

    Attributes:
        kept: bool `[B]`, the sampled rows of the last batch.
    """

    def __init__(self, tap: Tap, top_k: int, rows: RowSet) -> None:
        self.tap = tap
        self.stats = ActivationStats(tap.channels, k=top_k)  # of the sampled rows
        self._all = ChannelStats(tap.channels, k=top_k)
        self._set = rows
        self.kept = torch.empty(0, dtype=torch.bool)

    def update(
        self, vectors: torch.Tensor, ids: torch.Tensor, there: torch.Tensor | None = None
    ) -> None:
        """Adds rows `[B, C]`; see `TapMeasure.update`."""
        self._all.update(vectors, ids)
        self.kept = torch.from_numpy(self._set.keeps(ids.numpy()))
        if self.kept.any():
            self.stats.update(vectors[self.kept], ids[self.kept])

    def state(self) -> dict[str, NDArray[Any]]:
        """Returns the mergeable state by field."""
        state = {**self.stats.state_dict(), **self._all.state_dict()}
        return {name: tensor.numpy() for name, tensor in state.items()}

    def rows(self) -> None:
        """Returns None: there is no inner tap."""


Measures: TypeAlias = Mapping[str, TapMeasure | RowMeasure]
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
