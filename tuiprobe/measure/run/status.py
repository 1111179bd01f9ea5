"""The status of a rank: its two files, their fields and bounds, for the writer and all readers.

A rank replaces `status/<rank>.json` (phase, shard, speed, warnings, unreadable images, answers so
far, running figures, images at both ends of the leading channels) and, while it measures,
`status/<rank>.safetensors` (shares and heights of the channels). A run directory may come from
anywhere. The readers here accept only types, signs and ranges that an engine writes, so the screens
check nothing again; anything else makes a status unreadable. What other versions write in other
fields is ignored.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tuiprobe import limits
from tuiprobe.files import DamagedFileError, refuse_many_values
from tuiprobe.measure.run.arrays import Arrays, read_unsealed
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.locks import this_host
from tuiprobe.plaintext import encodable
from tuiprobe.results.base import mistake

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tuiprobe.measure.run.arrays import CheckedArrays
    from tuiprobe.results.accuracy import Accuracy

MOST_MESSAGES = 100
"""Messages, and names of unreadable images, that a status holds: the last ones."""

_WRITE_SECONDS = 0.2  # between two writes of unreadable images
_LARGEST = 1e15

Phase = Literal[
    "load", "compare", "concepts", "preflight", "extract", "merge", "head", "probe",
    "measured", "done", "interrupted", "failed",
]  # fmt: skip
"""What a rank does; the last four are ends. `measured`: shards of other ranks are missing."""
ENDS: Final[tuple[Phase, ...]] = ("failed", "interrupted", "done", "measured")
"""The ends; of several ranks, the first in this order tells how the run ended."""

_Count = Annotated[int, Field(ge=0, lt=2**53)]
_Number = Annotated[float, Field(ge=-_LARGEST, le=_LARGEST)]
_Positive = Annotated[float, Field(ge=0, le=_LARGEST)]
_Share = Annotated[float, Field(ge=0, le=1)]
_Text = Annotated[str, Field(max_length=1000)]
_Channel = Annotated[int, Field(ge=0, lt=10**9)]
_MOST_IMAGES = 64
_Channels = Annotated[Any, Field(exclude=True)]  # an array, which the text of a status leaves out
_Images = Annotated[tuple[tuple[_Count, _Number], ...], Field(max_length=_MOST_IMAGES)]


EventKind = Literal["stage", "progress", "warning", "skipped", "interrupted", "failed", "done"]


@dataclass(frozen=True)
class Event:
    """One thing that happened.

    Attributes:
        kind: `stage`: a part of the run began; `progress`: images were processed; `warning`:
            something a reader should know; `skipped`: an image was left out; `interrupted`,
            `failed`, `done`: the end.
        message: One sentence for a person. May quote file names, so never treat it as markup.
        data: Figures and names behind the sentence.
    """

    kind: EventKind
    message: str
    data: dict[str, Any] = field(default_factory=dict)


Listener = Callable[[Event], None]
"""Receives the events of a run."""


class _Part(BaseModel):
    """A part of a status; unknown fields of other versions are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)


class LiveTap(_Part):
    """Running figures of one set and tap, and of its channels, which a file of arrays holds.

    Attributes:
        kurtosis: Mean kurtosis over images; None before two images.
        low: Lower end of its 95 % interval.
        high: Upper end of that interval.
        n: Number of images.
        scanned: Images whose channels' heights were computed; 0 at inner taps and where the width
            is too small for heights.
        shares: float64 `[C]`, mean share of each channel in the fourth moment.
        leads: float64 `[C]`, fraction of images that a channel leads.
        above: float64 `[C]`, fraction of the scanned images in which a channel's height exceeds 6.
    """

    kurtosis: _Number | None = None
    low: _Number | None = None
    high: _Number | None = None
    n: _Count = 0
    scanned: _Count = 0
    shares: _Channels = None
    leads: _Channels = None
    above: _Channels = None

    @model_validator(mode="after")
    def _all_or_none(self) -> LiveTap:
        if len({figure is None for figure in (self.kurtosis, self.low, self.high)}) != 1:
            raise ValueError("kurtosis and its interval belong together")
        return self


class SetAnswers(_Part):
    """What the head answers on the images of one set so far.

    Attributes:
        images: Images with a finite representation.
        right: Right answers.
        empty: Images without an answer.
        value: Estimated accuracy of a set without labels; None before there is one.
        low: Lower end of its range.
        high: Upper end of its range.
        estimated: Images that the estimate rests on.
        calibrated: Whether it is the estimate of the results; if not, it is the mean confidence.
        most_right: The most that can be right if classes are as frequent as in distribution, where
            the estimate is above it.
    """

    images: _Count
    right: _Count | None = None
    empty: _Count = 0
    value: _Share | None = None
    low: _Share | None = None
    high: _Share | None = None
    estimated: _Count = 0
    calibrated: bool = False
    most_right: _Share | None = None

    @model_validator(mode="after")
    def _right_of_all(self) -> SetAnswers:
        if (self.right or 0) + self.empty > self.images:
            raise ValueError("more right answers than images")
        return self

    def accuracy(self, data: str) -> Accuracy | None:
        """Returns how right a model is on this set so far; None before that is known."""
        from tuiprobe.results.accuracy import Accuracy, accuracy_from
        from tuiprobe.results.base import is_known
        from tuiprobe.results.proportions import share_right

        if self.right is not None:
            figure = share_right(self.right, self.images, self.empty)
            return accuracy_from(figure, data, "measured") if is_known(figure) else None
        if self.value is None:
            return None
        return Accuracy(
            data=data, value=self.value, low=self.low, high=self.high, range="estimates",
            evidence="estimate" if self.calibrated else "confidence", n=self.estimated,
            most_right=self.most_right,
        )  # fmt: skip


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


class Message(_Part):
    """A milestone, a warning or the end of a rank, for people."""

    kind: _Text
    message: _Text


class Status(_Part):
    """The status of one rank.

    Attributes:
        sequence: Grows with every write of this attempt.
        host: Name of its host.
        world: Number of ranks of the command.
        begun: When this attempt began, in seconds since the epoch by the clock of the rank.
        time: When this was written, in seconds since the epoch by the same clock.
        phase: What it does, or how it ended.
        message: The sentence of the phase; of a failure, the reason.
        stopped: Whether it was asked to stop; results of a part may follow.
        messages: The last milestones and warnings.
        unreadable: Names of the last unreadable images, with the reason.
        skipped: Number of unreadable images of this attempt.
        set: Set of images that it measures.
        shard: Number of the shard that it measures; None between shards.
        images: Images of that shard that are measured or skipped.
        rate: Images per second; what else is counted while the head is built.
        eta: Seconds until this rank has measured its shards, or built the head.
        built: Classes or images that the head is built from so far.
        to_build: All of them; 0 if no head is built.
        answers: What the head answers so far, by set.
        unanswered: Why there are no answers while images are measured; empty if there are.
        taps: Running figures by `<set>/<tap>`.
        ends: Images at both ends of the leading channels, by set and channel.
    """

    sequence: _Count = 0
    host: Annotated[str, Field(max_length=256)] = ""
    world: Annotated[int, Field(ge=1, le=limits.WORLD)] = 1
    begun: _Positive = 0.0
    time: _Positive = 0.0
    phase: Phase = "load"
    message: Annotated[str, Field(max_length=4000)] = ""
    stopped: bool = False
    messages: Annotated[tuple[Message, ...], Field(max_length=MOST_MESSAGES)] = ()
    unreadable: Annotated[tuple[_Text, ...], Field(max_length=MOST_MESSAGES)] = ()
    skipped: _Count = 0
    set: _Text | None = None
    shard: _Count | None = None
    images: _Count = 0
    rate: _Positive = 0.0
    eta: _Positive | None = None
    built: _Count = 0
    to_build: _Count = 0
    answers: Annotated[dict[_Text, SetAnswers], Field(max_length=limits.TAPS)] = {}
    unanswered: _Text = ""
    taps: Annotated[dict[_Text, LiveTap], Field(max_length=limits.TAPS)] = {}
    ends: dict[
        _Text, Annotated[dict[_Channel, Ends], Field(max_length=limits.PICTURED_CHANNELS)]
    ] = {}

    @property
    def shard_id(self) -> tuple[str, int] | None:
        """Set and number of the shard that is measured."""
        return None if self.set is None or self.shard is None else (self.set, self.shard)

    @property
    def ended(self) -> bool:
        """Whether the rank recorded how it ended."""
        return self.phase in ENDS

    @property
    def here(self) -> bool:
        """Whether it is of this host."""
        return self.host == this_host()


_Content = TypeVar("_Content")


def bounded(value: float) -> float | None:
    """Returns a figure if readers accept it, else None."""
    return value if math.isfinite(value) and abs(value) <= _LARGEST else None


class StatusWriter:
    """Writes the status of this rank.

    Phases, warnings and ends are written at once, unreadable images at most five times a second.

    Args:
        run: The run directory.
        rank: Number of this process.
        world: Number of processes that share the run.

    Attributes:
        status: As it is written next.
        rank: Number of this process.
    """

    def __init__(self, run: RunDir, rank: int = 0, world: int = 1) -> None:
        self._run, self._world = run, world
        self.rank, self.status = rank, Status(world=world)
        self._due, self._pending = 0.0, False

    def begin(self) -> None:
        """Replaces the status of an earlier attempt, and removes those of ranks beyond this one."""
        for number in self._run.status_ranks():
            if number == self.rank or number >= self._world:
                self._run.status_file(number, "safetensors").unlink()
            if number >= self._world:
                self._run.status_file(number).unlink()
        self.status = Status(host=this_host()[:256], world=self._world, begun=_now())
        self.write()

    def update(self, **changes: object) -> None:
        """Changes fields; they are written with the next write."""
        self.status = self.status.model_copy(update=changes)

    def record(self, event: Event) -> None:
        """Adds an event, and writes the status."""
        text = encodable(event.message)[:1000]
        if event.kind == "progress":
            self._note_head(event)
            return
        if event.kind == "skipped":
            names = (*self.status.unreadable, text)[-MOST_MESSAGES:]
            self.update(unreadable=names, skipped=self.status.skipped + 1)
        else:
            message = Message(kind=event.kind, message=text)
            self.update(messages=(*self.status.messages, message)[-MOST_MESSAGES:])
        if event.kind == "stage" and event.data.get("stage") in get_args(Phase):
            self._enter(event.data["stage"], text)
        elif event.kind in ("failed", "done"):
            stopped = event.kind == "done" and self.status.stopped
            self._enter("interrupted" if stopped else event.kind, encodable(event.message))
        elif event.kind == "interrupted":
            self.update(stopped=True)
        self._pending = True
        if event.kind == "skipped":
            self.flush()
        else:
            self.write()

    def end(self, phase: Phase, message: str = "") -> None:
        """Records how this rank ended."""
        self._enter(phase, message or self.status.message)
        self.write()

    def flush(self) -> None:
        """Writes recorded events, if the last write is long enough ago."""
        if self._pending and time.monotonic() >= self._due:
            self.write()

    def write(self, taps: Mapping[tuple[str, str], LiveTap] | None = None) -> None:
        """Writes the status, and the figures and channels of taps by set and tap if given."""
        if taps is not None:
            self._write_arrays(taps)
        self.update(sequence=self.status.sequence + 1, time=_now())
        self._run.status_file(self.rank).replace(self.status.model_dump_json().encode())
        self._due, self._pending = time.monotonic() + _WRITE_SECONDS, False

    def _write_arrays(self, taps: Mapping[tuple[str, str], LiveTap]) -> None:
        from safetensors.numpy import save as encode_tensors

        arrays: Arrays = {}
        for tap_key, tap in taps.items():
            name = "/".join(tap_key)
            for kind in ("shares", "leads", "above"):
                if (array := getattr(tap, kind)) is not None:
                    arrays[f"{name}/{kind}"] = array
        if arrays:
            file = self._run.status_file(self.rank, "safetensors")
            file.replace(encode_tensors(arrays))
        self.update(taps={"/".join(tap_key): tap for tap_key, tap in taps.items()})

    def _enter(self, phase: Phase, message: str) -> None:
        none = {"shard": None, "images": 0, "rate": 0.0, "eta": None, "built": 0, "to_build": 0}
        self.update(phase=phase, message=message[:4000], **none)

    def _note_head(self, event: Event) -> None:
        if event.data.get("stage") == "head":
            done, total = event.data["done"], event.data["total"]
            rate, eta = event.data["rate"], event.data["eta"]
            self.update(phase="head", built=done, to_build=total, rate=rate, eta=eta)
            self._pending = True
            self._due *= done < total  # the last one is written at once
            self.flush()


def _now() -> float:
    return max(time.time(), 0.0)


def read_status(run: RunDir, rank: int) -> Status | None:
    """Returns the status of a rank.

    Raises:
        DamagedFileError: If the file holds anything else.
    """
    file = run.status_file(rank)
    content = _unless_missing(lambda: file.read_bytes(limits.STATUS_BYTES))
    if content is None:
        return None
    try:
        refuse_many_values(content, limits.STATUS_VALUES)
        return Status.model_validate_json(content)
    except ValidationError as error:
        raise file.damaged(mistake(error, "the file")) from error
    except ValueError as error:
        raise file.damaged(error) from error


def read_taps(run: RunDir, rank: int, status: Status) -> Iterator[tuple[tuple[str, str], LiveTap]]:
    """Yields the taps of a rank that have both figures and shares, by set and tap.

    Raises:
        DamagedFileError: If the arrays are invalid, or not one value per channel.
    """
    from tuiprobe.measure.run.arrays import CheckedArrays  # loads numpy

    file = run.status_file(rank, "safetensors")
    arrays = _unless_missing(lambda: read_unsealed(file, limits.STATUS_ARRAY_BYTES)[0]) or {}
    checked = CheckedArrays(file, arrays)
    for name, figures in status.taps.items():
        shares = _channels(checked, f"{name}/shares")
        if shares is None:
            continue
        leads = _channels(checked, f"{name}/leads", len(shares))
        above = _channels(checked, f"{name}/above", len(shares)) if figures.scanned else None
        set_name, _, tap = name.partition("/")
        arrays_of_tap = {"shares": shares, "leads": leads, "above": above}
        yield (set_name, tap), figures.model_copy(update=arrays_of_tap)


def _unless_missing(read: Callable[[], _Content]) -> _Content | None:
    try:
        return read()
    except DamagedFileError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise


def _channels(
    checked: CheckedArrays, name: str, width: int | None = None
) -> NDArray[np.float64] | None:
    if name not in checked.arrays:
        return None
    array = checked.shaped(name, "f8", width)
    if not 1 <= len(array) <= limits.STATUS_CHANNELS:
        raise checked.damaged(f"{name} is of {len(array):,} channels")
    if not ((array >= 0) & (array <= 1 + 1e-9)).all():  # also rejects NaN
        raise checked.damaged(f"{name} holds what is no share")
    return array
