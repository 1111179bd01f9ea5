"""The live view of a running rank: its files, fields and bounds, for writer and readers.

A rank replaces `live/<rank>.json` (progress, running figures, images at both ends of the leading
channels) and `live/<rank>.safetensors` (shares and heights of the channels) while it runs. A run
directory may come from anywhere. The readers here accept only types, signs and ranges that an
engine writes, so the screens check nothing again; anything else makes the live state unreadable.
What other versions write in other fields is ignored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tuiprobe.files import DamagedFileError, Entry, refuse_many_values
from tuiprobe.run.arrays import Arrays, read_unsealed
from tuiprobe.run.directory import RunDir

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_STATE_BYTES = 8 * 2**20
"""Size limit; several times the state of a rank that measures all layers of a large encoder."""
MAX_ARRAY_BYTES = 64 * 2**20
MAX_STATES_BYTES = 32 * 2**20
MAX_ARRAYS_BYTES = 512 * 2**20
"""Size limits of the two kinds of files over all ranks."""

_MOST_VALUES = 200_000
_LARGEST = 1e15
_MOST_TAPS = 10_000
_MOST_PICTURED = 4096
_MOST_CHANNELS = 2**20

_Count = Annotated[int, Field(ge=0, lt=2**53)]
_Number = Annotated[float, Field(ge=-_LARGEST, le=_LARGEST)]
_Text = Annotated[str, Field(max_length=1000)]
_Channel = Annotated[int, Field(ge=0, lt=10**9)]
_MOST_IMAGES = 64
_Images = Annotated[tuple[tuple[_Count, _Number], ...], Field(max_length=_MOST_IMAGES)]


class _Part(BaseModel):
    """A part of a live file; unknown fields of other versions are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)


class TapFigures(_Part):
    """Running figures of one set and tap.

    Attributes:
        kurtosis: Mean kurtosis over images; None before two images.
        low: Lower end of its 95 % interval; None if `kurtosis` is.
        high: Upper end of that interval, likewise.
        persistence: Persistence; None before two images.
        effective_channels: Number of channels that share the fourth moment, likewise.
        n: Number of images.
        scanned: Images whose channels' heights were computed; 0 at inner taps and where the width
            is too small for heights.
    """

    kurtosis: _Number | None = None
    low: _Number | None = None
    high: _Number | None = None
    persistence: _Number | None = None
    effective_channels: _Number | None = None
    n: _Count = 0
    scanned: _Count = 0

    @model_validator(mode="after")
    def _whole_or_none(self) -> TapFigures:
        if len({one is None for one in (self.kurtosis, self.low, self.high)}) != 1:
            raise ValueError("kurtosis and its interval belong together")
        return self


class Ends(_Part):
    """Images at both ends of one channel, as (sample id, value), the most extreme first.

    Attributes:
        largest: Images of the largest values.
        smallest: Images of the smallest values.
    """

    largest: _Images = ()
    smallest: _Images = ()

    @property
    def strongest(self) -> _Images:
        """The end whose first value has the larger magnitude, the largest magnitude first."""
        return self.smallest if self._negative else self.largest

    @property
    def other(self) -> _Images:
        """The other end; the weakest images unless `crosses`."""
        return self.largest if self._negative else self.smallest

    @property
    def crosses(self) -> bool:
        """Whether the ends have opposite signs, so that the other end is not the weakest one."""
        return bool(self.largest and self.smallest) and (
            self.smallest[0][1] < 0 < self.largest[0][1]
        )

    @property
    def _negative(self) -> bool:
        return bool(self.largest and self.smallest) and (
            -self.smallest[0][1] > abs(self.largest[0][1])
        )

    def merged(self, others: Ends) -> Ends:
        """Returns the ends over the images of both."""
        largest = sorted(self.largest + others.largest, key=lambda one: (-one[1], one[0]))
        smallest = sorted(self.smallest + others.smallest, key=lambda one: (one[1], one[0]))
        return Ends(largest=tuple(largest[:_MOST_IMAGES]), smallest=tuple(smallest[:_MOST_IMAGES]))


class Beat(_Part):
    """Shows that a rank is alive.

    Attributes:
        sequence: Grows with every write.
    """

    sequence: _Count = 0


class Progress(_Part):
    """How far a rank is.

    Attributes:
        stage: Current stage of the rank.
        set: Set of images being measured.
        unit: What is counted.
        kept: Images that earlier attempts measured; in none of the other counts.
        done: Images measured.
        skipped: Images skipped.
        total: Images to measure.
        rate: Images per second.
        eta: Seconds left; None if unknown.
    """

    stage: _Text | None = None
    set: _Text | None = None
    unit: _Text = "images"
    kept: _Count = 0
    done: _Count = 0
    skipped: _Count = 0
    total: _Count = 0
    rate: Annotated[_Number, Field(ge=0)] = 0.0
    eta: Annotated[_Number, Field(ge=0)] | None = None


class SetProgress(_Part):
    """How far a rank is with its images of one set.

    Attributes:
        total: Images of this rank.
        kept: Images that were measured before this start.
        done: Images measured since.
        skipped: Images skipped since.
    """

    total: _Count = 0
    kept: _Count = 0
    done: _Count = 0
    skipped: _Count = 0

    @property
    def through(self) -> int:
        """Images that need no more work."""
        return self.kept + self.done + self.skipped

    def plus(self, others: SetProgress) -> SetProgress:
        """Returns the sums of both."""
        pairs = zip(self, others, strict=True)
        return SetProgress(**{name: one + other for (name, one), (_, other) in pairs})


class RankState(Progress, Beat):
    """The JSON file of one rank.

    Attributes:
        sets: Progress by set, in the order of measuring.
        taps: Running figures by `<set>/<tap>`.
        ends: Images at both ends of the leading channels, by set and channel.
    """

    sets: Annotated[dict[_Text, SetProgress], Field(max_length=_MOST_TAPS)] = {}
    taps: Annotated[dict[_Text, TapFigures], Field(max_length=_MOST_TAPS)] = {}
    ends: dict[_Text, Annotated[dict[_Channel, Ends], Field(max_length=_MOST_PICTURED)]] = {}


@dataclass(frozen=True, eq=False)
class LiveTap:
    """One set and tap: its figures (see `TapFigures`) and its channels.

    Attributes:
        shares: float64 `[C]`, mean share of each channel in the fourth moment.
        leads: float64 `[C]`, fraction of images that a channel leads; None if unknown.
        above: float64 `[C]`, fraction of the scanned images in which a channel's height exceeds 6;
            None if none was scanned.
    """

    kurtosis: float | None
    low: float | None
    high: float | None
    n: int
    persistence: float | None
    effective_channels: float | None
    shares: NDArray[np.float64]
    leads: NDArray[np.float64] | None = None
    above: NDArray[np.float64] | None = None
    scanned: int = 0


_AnyPart = TypeVar("_AnyPart", bound=_Part)
_Content = TypeVar("_Content")


def bounded(value: float) -> float | None:
    """Returns a figure if readers accept it, else None."""
    return value if math.isfinite(value) and abs(value) <= _LARGEST else None


def write_state(run: RunDir, rank: int, state: RankState) -> None:
    """Replaces the JSON file of a rank."""
    run.live_file(rank, "json").replace(state.model_dump_json().encode())


def write_rank(
    run: RunDir, rank: int, state: RankState, taps: Mapping[tuple[str, str], LiveTap]
) -> None:
    """Replaces both files of a rank.

    Args:
        run: The run directory.
        rank: Number of the process.
        state: The rank's state, without the tap figures, which come from `taps`.
        taps: Figures and channels by set and tap.
    """
    from safetensors.numpy import save as encode_tensors

    arrays: Arrays = {}
    figures: dict[str, TapFigures] = {}
    for place, tap in taps.items():
        name = "/".join(place)
        figures[name] = TapFigures(**{key: getattr(tap, key) for key in TapFigures.model_fields})
        arrays[_shares_of(name)] = tap.shares
        if tap.leads is not None:
            arrays[_leads_of(name)] = tap.leads
        if tap.above is not None:
            arrays[_above_of(name)] = tap.above
    if arrays:
        run.live_file(rank, "safetensors").replace(encode_tensors(arrays))
    write_state(run, rank, state.model_copy(update={"taps": figures}))


def ranks_of(run: RunDir) -> list[int]:
    """Returns the ranks that have a live file.

    Raises:
        DamagedFileError: If their files are too large together.
    """
    ranks = run.live_ranks()
    for suffix, most in (("json", MAX_STATES_BYTES), ("safetensors", MAX_ARRAYS_BYTES)):
        found = (run.live_file(rank, suffix).status() for rank in ranks)
        size = sum(one.st_size for one in found if one is not None)
        if size > most:
            raise DamagedFileError(
                f"{run.path / 'live'} holds {size:,} bytes of {suffix}, above the limit of {most:,}"
            )
    return ranks


def read_state(run: RunDir, rank: int) -> RankState | None:
    """Returns the state of a rank; None if it has no file any more.

    Raises:
        DamagedFileError: If the file holds anything else.
    """
    return _read_part(RankState, run.live_file(rank, "json"))


def read_taps(
    run: RunDir, rank: int, state: RankState
) -> Iterator[tuple[tuple[str, str], LiveTap]]:
    """Yields the taps of a rank that have both figures and shares, by set and tap.

    Raises:
        DamagedFileError: If the arrays are invalid, or not one value per channel.
    """
    file = run.live_file(rank, "safetensors")
    arrays = _unless_missing(lambda: read_unsealed(file, MAX_ARRAY_BYTES)[0]) or {}
    for name, figures in state.taps.items():
        shares = _channels(file, arrays, _shares_of(name))
        if shares is None:
            continue
        leads = _channels(file, arrays, _leads_of(name))
        above = _channels(file, arrays, _above_of(name)) if figures.scanned else None
        for one in (leads, above):
            if one is not None and one.shape != shares.shape:
                raise DamagedFileError(f"{file} is damaged: {name} has figures of other channels")
        set_name, _, tap = name.partition("/")
        yield (set_name, tap), LiveTap(**dict(figures), shares=shares, leads=leads, above=above)


@dataclass(frozen=True)
class Pulse:
    """What the live files of all ranks say together.

    Attributes:
        beat: Grows while a rank measures: the sum of the sequence numbers.
        through: Images measured or skipped, those of earlier attempts included.
        total: Images to measure, likewise.
    """

    beat: int = 0
    through: int = 0
    total: int = 0


class _Counted(Progress, Beat):
    """What a rank's file counts."""


def pulse(run: RunDir) -> Pulse:
    """Returns the pulse of a run; files that cannot be read count as 0."""
    beat = through = total = 0
    try:
        ranks = ranks_of(run)
    except DamagedFileError:
        ranks = []
    for rank in ranks:
        try:
            one = _read_part(_Counted, run.live_file(rank, "json"))
        except DamagedFileError:
            continue
        if one is not None:
            beat += one.sequence
            through += one.kept + one.done + one.skipped
            total += one.kept + one.total
    return Pulse(beat, through, total)


def _shares_of(name: str) -> str:
    return f"{name}/share"


def _leads_of(name: str) -> str:
    return f"{name}/leads"


def _above_of(name: str) -> str:
    return f"{name}/above"


def _read_part(kind: type[_AnyPart], file: Entry) -> _AnyPart | None:
    content = _unless_missing(lambda: file.read_bytes(MAX_STATE_BYTES))
    if content is None:
        return None
    try:
        refuse_many_values(content, _MOST_VALUES)
    except ValueError as error:
        raise DamagedFileError(f"{file} is damaged: {error}") from error
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:200] or "the file"
        raise DamagedFileError(f"{file} is damaged: {where}: {first['msg'][:200]}") from error


def _unless_missing(read: Callable[[], _Content]) -> _Content | None:
    try:
        return read()
    except DamagedFileError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise


def _channels(file: Entry, arrays: Arrays, name: str) -> NDArray[np.float64] | None:
    import numpy as np

    array = arrays.get(name)
    if array is None:
        return None
    if array.dtype != np.float64 or array.ndim != 1 or not 1 <= len(array) <= _MOST_CHANNELS:
        raise DamagedFileError(
            f"{file} is damaged: {name} is {array.dtype} of shape {array.shape}, not one number "
            "a channel"
        )
    if not ((array >= 0) & (array <= 1 + 1e-9)).all():  # also rejects NaN
        raise DamagedFileError(f"{file} is damaged: {name} holds what is no share")
    return array
