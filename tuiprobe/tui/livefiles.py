"""What a rank leaves in its live files, checked once when they are read.

A run directory may come from anywhere. What passes here has the types, signs and ranges that an
engine writes, so the screens check nothing again; anything else makes the live state unreadable.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tuiprobe.files import DamagedFileError, Entry
from tuiprobe.rundir import MAX_LIVE_BYTES, MAX_LIVE_TENSOR_BYTES, Arrays, RunDir, decode_arrays

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOST_TAPS = 10_000
_MOST_PICTURED = 4096
_MOST_CHANNELS = 2**20

_Count = Annotated[int, Field(ge=0, lt=2**53)]
_Number = Annotated[float, Field(ge=-1e15, le=1e15)]
_Text = Annotated[str, Field(max_length=1000)]
_Channel = Annotated[str, Field(pattern="^[0-9]{1,9}$")]
_Ids = Annotated[tuple[_Count, ...], Field(max_length=64)]


class _Part(BaseModel):
    """A part of a live file; fields of other versions are skipped."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)


class TapFigures(_Part):
    """Running figures of one set and tap; None before two images."""

    kurtosis: _Number | None = None
    low: _Number | None = None
    high: _Number | None = None
    persistence: _Number | None = None
    effective_channels: _Number | None = None
    n: _Count = 0

    @model_validator(mode="after")
    def _whole_or_none(self) -> TapFigures:
        if len({one is None for one in (self.kurtosis, self.low, self.high)}) != 1:
            raise ValueError("kurtosis and its interval belong together")
        return self


class RankState(_Part):
    """What one rank says of its progress.

    Attributes:
        sequence: Grows with every writing.
        set: Set of images that is measured.
        done: Images measured.
        skipped: Images left out.
        total: Images to measure.
        rate: Images a second.
        eta: Seconds left; None if unknown.
        taps: Running figures by ``<set>/<tap>``.
        top: Ids of the strongest images by set and channel.
    """

    sequence: _Count = 0
    set: _Text | None = None
    done: _Count = 0
    skipped: _Count = 0
    total: _Count = 0
    rate: Annotated[_Number, Field(ge=0)] = 0.0
    eta: Annotated[_Number, Field(ge=0)] | None = None
    taps: Annotated[dict[_Text, TapFigures], Field(max_length=_MOST_TAPS)] = {}
    top: dict[_Text, Annotated[dict[_Channel, _Ids], Field(max_length=_MOST_PICTURED)]] = {}


@dataclass(frozen=True, eq=False)
class LiveTap:
    """One set and tap, over all ranks.

    Attributes:
        kurtosis: Running mean over images; None before two images.
        low: Lower end of its 95 % interval; None together with it.
        high: Upper end; likewise.
        n: Images.
        persistence: Running persistence; None before two images.
        effective_channels: Over how many channels the fourth moment spreads; likewise.
        shares: float64 ``[C]``, mean share of each channel in the fourth moment.
        leads: float64 ``[C]``, fraction of images that a channel leads; None if unknown.
    """

    kurtosis: float | None
    low: float | None
    high: float | None
    n: int
    persistence: float | None
    effective_channels: float | None
    shares: NDArray[np.float64]
    leads: NDArray[np.float64] | None = None


def read_state(run: RunDir, rank: int) -> RankState | None:
    """Returns what a rank says of its progress; None if it has no file any more.

    Raises:
        DamagedFileError: If the file holds anything else.
    """
    file = run.live_file(rank, "json")
    content = _content(file, MAX_LIVE_BYTES)
    if content is None:
        return None
    try:
        return RankState.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:200] or "the file"
        raise DamagedFileError(f"{file} is damaged: {where}: {first['msg'][:200]}") from error


def read_taps(run: RunDir, rank: int, state: RankState) -> Iterator[tuple[str, LiveTap]]:
    """Yields the taps of a rank that have both figures and shares, by ``<set>/<tap>``.

    Raises:
        DamagedFileError: If the arrays are none, or not those of channels.
    """
    file = run.live_file(rank, "safetensors")
    content = _content(file, MAX_LIVE_TENSOR_BYTES)
    arrays = {} if content is None else decode_arrays(file, content)
    for name, figures in state.taps.items():
        shares = _shares(file, arrays, f"{name}/share")
        if shares is None:
            continue
        leads = _shares(file, arrays, f"{name}/leads")
        if leads is not None and leads.shape != shares.shape:
            raise DamagedFileError(f"{file} is damaged: {name} has leads of other channels")
        yield name, LiveTap(**dict(figures), shares=shares, leads=leads)


def _content(file: Entry, limit: int) -> bytes | None:
    try:
        return file.read_bytes(limit)
    except DamagedFileError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise


def _shares(file: Entry, arrays: Arrays, name: str) -> NDArray[np.float64] | None:
    import numpy as np

    array = arrays.get(name)
    if array is None:
        return None
    if array.dtype != np.float64 or array.ndim != 1 or not 1 <= len(array) <= _MOST_CHANNELS:
        raise DamagedFileError(
            f"{file} is damaged: {name} is {array.dtype} of shape {array.shape}, not one number "
            "a channel"
        )
    if not ((array >= 0) & (array <= 1 + 1e-9)).all():  # NaN too
        raise DamagedFileError(f"{file} is damaged: {name} holds what is no share")
    return array
