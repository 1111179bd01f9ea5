"""The two shapes a figure can have, and the base of every result."""

from pydantic import BaseModel, ConfigDict, model_validator
from typing_extensions import TypeIs


class Frozen(BaseModel):
    """An immutable result: unknown fields, NaN and infinity are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


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

    value: float
    low: float | None
    high: float | None
    n: int
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

    >>> NotRun(reason="one channel only").reason
    'one channel only'
    """

    reason: str


Figure = Estimate | NotRun


def given(figure: Figure) -> TypeIs[Estimate]:
    """Whether the figure is there, so that its value may be read."""
    return isinstance(figure, Estimate)
