"""Sets channels of an inner layer to zero, for `--ablate TAP:CHANNELS`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from tuiprobe.errors import UsageError
from tuiprobe.models.taps import Extract, Tap, first_tensor
from tuiprobe.spec import FINAL_TAP

_CHANNELS = re.compile(r"[0-9]{1,9}(,[0-9]{1,9})*")


def parse_ablations(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Parses `TAP:CHANNELS`; merges the channels of a tap that is named twice.

    Raises:
        UsageError: If a text has another form, or names the final representation.

    >>> parse_ablations(["layer3:40,17", "layer3:2"])
    {'layer3': (2, 17, 40)}
    """
    found: dict[str, set[int]] = {}
    for text in texts:
        name, colon, numbers = text.rpartition(":")
        if not colon or not name or _CHANNELS.fullmatch(numbers) is None:
            raise UsageError(
                f"--ablate: {text!r} is no TAP:CHANNELS, for example layer3:17,40; "
                "`tuiprobe inspect MODEL` lists the taps"
            )
        if name == FINAL_TAP:
            raise UsageError(
                "--ablate: channels of the final representation need no new run: "
                f"tuiprobe reprobe RUN --ablate channel:{numbers.split(',')[0]}"
            )
        found.setdefault(name, set()).update(map(int, numbers.split(",")))
    return {name: tuple(sorted(channels)) for name, channels in sorted(found.items())}


def ablating_hook(
    tap: Tap, extract: Extract, channels: Sequence[int]
) -> Callable[[nn.Module, object, object], object]:
    """Returns a forward hook that passes on the module's output with these channels set to 0.

    The output is copied first, because other layers may read the same tensor.

    Raises:
        UsageError: If a channel does not exist.
    """
    strange = [channel for channel in channels if not 0 <= channel < tap.channels]
    if strange:
        raise UsageError(
            f"--ablate: {tap.name} has no channel {strange[0]}: there are 0 to {tap.channels - 1}"
        )
    chosen = list(channels)

    def hook(module: nn.Module, inputs: object, output: object) -> object:
        tensor = first_tensor(output)
        if tensor is None:
            raise UsageError(f"--ablate: the output of {tap.name} is not one tensor")
        copy = tensor.clone()
        replaced = (copy, *output[1:]) if isinstance(output, tuple) else copy
        _channels_last(extract(replaced), tap)[..., chosen] = 0
        if bool(_channels_last(extract(replaced), tap)[..., chosen].any()):
            raise UsageError(
                f"--ablate: {tap.name} is derived from its module's output and cannot be changed "
                "there; ablate the layer before it"
            )
        return replaced

    return hook


def _channels_last(x: Tensor, tap: Tap) -> Tensor:
    return x.movedim(tap.channel_dim, -1)


def ablation_in_words(name: str, channels: Sequence[int]) -> str:
    """Describes an ablation for the report.

    >>> ablation_in_words("layer3", (17, 40))
    'layer3 without channels 17, 40 (set to zero)'
    """
    plural = "channel" if len(channels) == 1 else "channels"
    return f"{name} without {plural} {', '.join(map(str, channels))} (set to zero)"
