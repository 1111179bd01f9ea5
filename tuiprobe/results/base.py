"""The two shapes a figure can have, the base of every result, and what a number may be.

A report may come from anywhere, so its schema bounds every size, length and magnitude: what reads a
report that passed needs no checks of its own.
"""

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import TypeIs

_Item = TypeVar("_Item")

MOST_ITEMS = 2**20
MOST_CHANNELS = 2**16
LONGEST_TEXT = 2**16
NORMAL_95 = 1.959963984540054
"""The 97.5 % quantile of the normal distribution: half the width of a 95 % interval, in sigma."""

Count = Annotated[int, Field(ge=0, le=2**53)]
"""How many, or which one, from 0."""

Channel = Annotated[int, Field(ge=0, lt=MOST_CHANNELS)]
"""Number of a channel or of a direction."""

Real = Annotated[float, Field(ge=-1e100, le=1e100)]
"""A number that sums and squares of a report's figures do not carry out of range."""

Many = Annotated[tuple[_Item, ...], Field(max_length=MOST_ITEMS)]
"""A list."""

PerChannel = Annotated[tuple[_Item, ...], Field(max_length=MOST_CHANNELS)]
"""One entry a channel or direction at most."""


class Frozen(BaseModel):
    """An immutable result: unknown fields, NaN and infinity are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, str_max_length=LONGEST_TEXT
    )


class Estimate(Frozen):
    """A figure with its 95 % interval.

    Attributes:
        value: the estimate, in the unit the field that holds it names.
        low: lower end of the 95 % interval; None where `method` says why there is none.
        high: upper end; None together with `low`.
        n: how many units (images unless `method` says otherwise) the estimate rests on.
        method: how value and interval were obtained.

    >>> Estimate(value=3.5, low=3.1, high=3.9, n=500, method="bootstrap over images").n
    500
    """

    value: Real
    low: Real | None
    high: Real | None
    n: Count
    method: str

    @model_validator(mode="after")
    def _both_ends_or_none(self) -> "Estimate":
        if (self.low is None) != (self.high is None):
            raise ValueError("an interval has both ends or none")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"interval is upside down: {self.low} > {self.high}")
        return self


class NotRun(Frozen):
    """A figure that could not be given.

    Attributes:
        reason: why.
        remedy: what would give it; empty where nothing would.

    >>> NotRun(reason="one channel only").reason
    'one channel only'
    """

    reason: str
    remedy: str = ""


Figure = Estimate | NotRun


def given(figure: Figure) -> TypeIs[Estimate]:
    """Whether the figure is there, so that its value may be read."""
    return isinstance(figure, Estimate)
