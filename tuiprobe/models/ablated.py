"""Replaces channels of an inner layer, for `--ablate TAP:CHANNELS`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from tuiprobe.errors import UsageError
from tuiprobe.models.taps import Extract, Tap, first_tensor
from tuiprobe.spec import FINAL_TAP, AblateMode

SHUFFLE_SEED = 0

_CHANNELS = re.compile(r"[0-9]{1,9}(,[0-9]{1,9})*")


def parse_ablations(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Parses `TAP:CHANNELS`; merges the channels of a tap that is named twice.

    Raises:
        UsageError: If a text has another form, or names the final representation.

    >>> parse_ablations(["layer3:40,17", "layer3:2"])
    {'layer3': (2, 17, 40)}
    """
    channels: dict[str, set[int]] = {}
    for text in texts:
        name, colon, digits = text.rpartition(":")
        if not colon or not name or _CHANNELS.fullmatch(digits) is None:
            raise UsageError(
                f"--ablate: {text!r} is no TAP:CHANNELS, for example layer3:17,40; "
                "`tuiprobe doctor --model MODEL` lists the taps"
            )
        if name == FINAL_TAP:
            raise UsageError(
                "--ablate: channels of the final representation need no new run: "
                f"tuiprobe reprobe RUN --ablate channel:{digits.split(',')[0]}"
            )
        channels.setdefault(name, set()).update(map(int, digits.split(",")))
    return {name: tuple(sorted(numbers)) for name, numbers in sorted(channels.items())}


class LayerAblation:
    """Replaces channels of a layer's output, as a forward hook of its module.

    The output is copied first, because other layers may read the same tensor.

    Args:
        tap: The tap.
        extract: Converts the module's output to the tensor of the tap.
        channels: Channels to replace.
        mode: What replaces them, in every image and at every position: `mean` the values in
            `values`, `zero`, or `shuffle` the channels of another image of the batch.

    Attributes:
        tap: See above.
        channels: See above.
        mode: See above.
        values: float32 [m], what `mean` sets the channels to; None until they are known.
        ids: Sample ids of the batch, which seed the shuffle; without ids (a check of the encoder,
            images of another set) nothing is shuffled.
        paused: Whether the output is left as it is.
        sums: While means are collected, the sum over all positions and their number; None else.

    Raises:
        UsageError: If a channel does not exist.
    """

    def __init__(
        self, tap: Tap, extract: Extract, channels: Sequence[int], mode: AblateMode
    ) -> None:
        strange = [channel for channel in channels if not 0 <= channel < tap.channels]
        if strange:
            raise UsageError(
                f"--ablate: {tap.name} has no channel {strange[0]}: there are 0 to "
                f"{tap.channels - 1}"
            )
        self.tap, self.channels, self.mode = tap, tuple(channels), mode
        self.values: Tensor | None = None
        self.ids: Tensor | None = None
        self.paused = False
        self.sums: tuple[Tensor, int] | None = None
        self._extract = extract

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Leaves the output as it is within the block and sets `values` to its means after it.

        Raises:
            UsageError: If the means are not finite.
        """
        self.sums = (torch.zeros(len(self.channels), dtype=torch.float64), 0)
        try:
            yield
            total, count = self.sums
            values = (total / max(count, 1)).float()
            if not bool(values.isfinite().all()):
                raise UsageError(f"--ablate: a mean of {self.tap.name} is not finite; use zero")
            self.values = values
        finally:
            self.sums = None

    def __call__(self, module: nn.Module, inputs: object, output: object) -> object:
        """Returns the output with the channels replaced."""
        tensor = first_tensor(output)
        if tensor is None:
            raise UsageError(f"--ablate: the output of {self.tap.name} is not one tensor")
        if self.sums is not None:
            total, count = self.sums
            rows = self._channels_last(output)[..., list(self.channels)].double().cpu()
            rows = rows.reshape(-1, len(self.channels))
            self.sums = (total + rows.sum(dim=0), count + rows.shape[0])
            return output
        if self.paused or (self.mode == "shuffle" and self.ids is None):
            return output
        copy = tensor.clone()
        replaced = (copy, *output[1:]) if isinstance(output, tuple) else copy
        place, chosen = self._channels_last(replaced), list(self.channels)
        values = self._replacement(place[..., chosen].clone())
        place[..., chosen] = values
        after = self._channels_last(replaced)[..., chosen]
        if not torch.equal(torch.nan_to_num(after), torch.nan_to_num(values)):
            raise UsageError(
                f"--ablate: {self.tap.name} is derived from its module's output and cannot be "
                "changed there; ablate the layer before it"
            )
        return replaced

    def _channels_last(self, output: object) -> Tensor:
        return self._extract(output).movedim(self.tap.channel_dim, -1)

    def _replacement(self, before: Tensor) -> Tensor:
        """Returns the new values of the channels, `[B, ..., m]`."""
        if self.mode == "zero":
            return torch.zeros_like(before)
        if self.mode == "mean":
            if self.values is None:
                raise UsageError(f"--ablate: the means of {self.tap.name} are not known yet")
            return self.values.to(before.device, before.dtype).expand_as(before).clone()
        assert self.ids is not None
        seed = [SHUFFLE_SEED, *map(int, self.ids)]
        order = np.random.default_rng(seed).permutation(before.shape[0])
        return before[torch.from_numpy(order).to(before.device)]


_IN_WORDS: dict[AblateMode, str] = {
    "mean": "set to their mean",
    "zero": "set to zero",
    "shuffle": "shuffled over the images of a batch",
}


def ablation_in_words(name: str, channels: Sequence[int], mode: AblateMode) -> str:
    """Describes an ablation for the report.

    >>> ablation_in_words("layer3", (17, 40), "zero")
    'layer3 without channels 17, 40 (set to zero)'
    """
    plural = "channel" if len(channels) == 1 else "channels"
    return f"{name} without {plural} {', '.join(map(str, channels))} ({_IN_WORDS[mode]})"
