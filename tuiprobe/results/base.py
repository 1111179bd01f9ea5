"""The two forms of a figure, the base class of results, and the bounds of numbers.

Reports are not trusted, so the schema bounds every size, length and magnitude: what reads a
report that passed needs no further checks. Pydantic lists every mistake that it finds, which
takes kilobytes each: lists stop at the first, and objects with too many fields are refused at once.
"""

from collections.abc import Iterable
from itertools import islice
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)
from typing_extensions import TypeIs

from tuiprobe import numbers, plaintext

_Item = TypeVar("_Item")

MOST_ITEMS = 2**20
MOST_CHANNELS = 2**16
LONGEST_TEXT = 2**16

Count = Annotated[int, Field(ge=0, le=2**53)]
"""How many, or which one, from 0."""

Channel = Annotated[int, Field(ge=0, lt=MOST_CHANNELS)]
"""Number of a channel or of a direction."""

Unit = Annotated[str, Field(pattern=r"^[\w/%°². ^-]{1,32}$")]
"""What a figure counts: `share`, `points`, `count` or `none`; plugins may use another one.

Shares, and points as differences of shares, are stored as fractions: -0.035 is -3.5 points.
"""

Real = Annotated[float, Field(ge=-1e100, le=1e100)]
"""A number that sums and squares of a report's figures do not carry out of range."""

Many = Annotated[tuple[_Item, ...], Field(max_length=MOST_ITEMS, fail_fast=True)]
"""A list."""


MOST_NAMED = 10_000


def refuse_many_names(value: Any) -> Any:
    """Refuses an object of too many names before pydantic looks at each."""
    if isinstance(value, dict) and len(value) > MOST_NAMED:
        raise ValueError(f"more than {MOST_NAMED:,} names")
    return value


ByName = Annotated[dict[str, _Item], BeforeValidator(refuse_many_names)]
"""Values by name."""


def _finite(value: JsonValue) -> JsonValue:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, float) and not isfinite(item):
            raise ValueError("a number is not finite")
        if isinstance(item, dict | list):
            waiting += item.values() if isinstance(item, dict) else item
    return value


Plain = Annotated[JsonValue, AfterValidator(_finite)]
"""Any value of strict JSON."""

PerChannel = Annotated[tuple[_Item, ...], Field(max_length=MOST_CHANNELS, fail_fast=True)]
"""One entry a channel or direction at most."""


def mistake(error: ValidationError, default: str) -> str:
    """Returns the path of the first mistake, `default` for all of it, and its cause."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])[:200] or default
    return f"{where}: {first['msg'][:200]}"


class Record(BaseModel):
    """An immutable value of a file: unknown fields and texts above `LONGEST_TEXT` are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_max_length=LONGEST_TEXT)
    _most_fields: ClassVar[int] = 0  # counting `model_fields` takes longer than reading a record

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        cls._most_fields = len(cls.model_fields)

    @model_validator(mode="before")
    @classmethod
    def _only_fields(cls, value: Any) -> Any:
        if isinstance(value, dict) and len(value) > cls._most_fields:
            unknown = (str(name) for name in value if name not in cls.model_fields)
            raise ValueError(f"it has unknown fields: {plaintext.first_names(islice(unknown, 7))}")
        return value


class Frozen(Record):
    """An immutable result: NaN and infinity are refused too."""

    model_config = ConfigDict(allow_inf_nan=False)


PROVEN: Final = (
    "what labels prove: pictures without a label are all wrong, or all right; the value is the "
    "middle of the range, and no estimate"
)
"""The method of a figure whose range is certain."""

BOUNDS_ALONE: Final = (
    "bounds from labels: they hold at any time, for all pairs together, with 95 %; most of these "
    "labels wait for others, so the value is the middle of the range, and no estimate"
)
"""The method of a difference of which labels give bounds, and no estimate."""


class Estimate(Frozen):
    """A figure with its 95 % interval.

    Attributes:
        value: The estimate.
        low: Lower end of the 95 % interval; None where `method` says why there is none.
        high: Upper end; None together with `low`.
        unit: What value, low and high count.
        n: How many units (images unless `method` says otherwise) the estimate rests on.
        method: How value and interval were obtained.

    >>> Estimate(value=3.5, low=3.1, high=3.9, n=500, method="bootstrap over images").n
    500
    """

    value: Real
    low: Real | None
    high: Real | None
    unit: Unit = "none"
    n: Count
    method: str

    @property
    def range_alone(self) -> bool:
        """Whether people are shown the range without a value, rounded outward."""
        return self.method in (PROVEN, BOUNDS_ALONE)

    def with_interval(self, signed: bool = False, decimals: int | None = None) -> str:
        """Returns value and interval for people, as `numbers.interval` writes them.

        Args:
            signed: Whether positive numbers get a plus sign.
            decimals: Decimal places instead of those that the interval allows.

        >>> Estimate(value=8.213, low=8.16, high=8.27, n=500, method="bootstrap").with_interval()
        '8.21 (8.16 to 8.27)'
        """
        return numbers.interval(
            self.value, self.low, self.high, self.unit, signed=signed, decimals=decimals,
            outward=self.range_alone,
        )  # fmt: skip

    def point(self, signed: bool = False, bare: bool = False, decimals: int | None = None) -> str:
        """Returns the value for people, with the digits that its interval allows.

        It is the interval where that has no value.

        Args:
            signed: Whether a positive value gets a plus sign.
            bare: Whether the unit is left out.
            decimals: Decimal places instead of these, which a column shares.
        """
        if self.range_alone:
            return numbers.interval(
                self.value, self.low, self.high, self.unit, signed=signed, bare=bare,
                decimals=decimals, outward=True,
            )  # fmt: skip
        return numbers.number(
            self.value, self.unit, self.low, self.high, signed=signed, bare=bare, decimals=decimals
        )

    def ends(self, signed: bool = False) -> str:
        """Returns the ends of the interval for people, for example `92.1 to 94.3`.

        Args:
            signed: Whether positive ends get a plus sign.
        """
        return numbers.ends(
            self.value, self.low, self.high, self.unit, signed=signed, outward=self.range_alone
        )

    @model_validator(mode="after")
    def _both_ends_or_none(self) -> "Estimate":
        if (self.low is None) != (self.high is None):
            raise ValueError("an interval has both ends or none")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"interval is upside down: {self.low} > {self.high}")
        return self


class NotRun(Frozen):
    """A figure that could not be computed.

    Attributes:
        reason: why.
        remedy: What would make it available.

    >>> NotRun(reason="one channel only").reason
    'one channel only'
    """

    reason: str
    remedy: str = ""

    if not TYPE_CHECKING:  # types say that only an `Estimate` has a value

        def __getattr__(self, name: str) -> Any:
            if name in Estimate.model_fields:
                raise AttributeError(f"there is no {name}: {self.with_interval()}")
            return super().__getattr__(name)

    @property
    def why(self) -> str:
        """Reason and remedy in one text.

        >>> NotRun(reason="no concept set", remedy="pass --concepts broden:DIR").why
        'no concept set (pass --concepts broden:DIR)'
        """
        return f"{self.reason} ({self.remedy})" if self.remedy else self.reason

    def with_interval(self, signed: bool = False) -> str:
        """Returns why there is no figure; reason and remedy are text from outside.

        >>> NotRun(reason="no concept set", remedy="pass --concepts broden:DIR").with_interval()
        'not run: no concept set; pass --concepts broden:DIR'
        """
        return f"not run: {self.reason}{f'; {self.remedy}' if self.remedy else ''}"

    def point(self, signed: bool = False, bare: bool = False, decimals: int | None = None) -> str:
        """Returns the text in place of a number."""
        return numbers.MISSING

    def ends(self, signed: bool = False) -> str:
        """Returns no interval."""
        return ""


class Failed(NotRun):
    """A result that is missing because its probe raised an error."""


class Inapplicable(NotRun):
    """A result that this model or these data do not ask for; the card does not mention it."""


Figure = Estimate | NotRun
"""A figure in a unit that it says itself; without one it is a plain number."""


class OfTap(Frozen):
    """What belongs to one set at one tap.

    Attributes:
        data: Name of the data set.
        tap: Name of the layer; `embedding` (`FINAL_TAP`) for the final representation.
        final: Whether this is the final representation.
    """

    data: str
    tap: str
    final: bool

    @property
    def place(self) -> str:
        """The layer."""
        return self.tap

    @property
    def inner(self) -> bool:
        """Whether it is a layer before the final representation."""
        return not self.final


def in_unit(unit: str) -> tuple[Any, Any]:
    """Returns annotations for figures of one unit: `Annotated[Figure, *in_unit("ms")]`.

    A figure that says no unit gets it; one that says another unit is refused.
    """

    def checked(figure: Figure) -> Figure:
        if isinstance(figure, NotRun) or figure.unit == unit:
            return figure
        if figure.unit != "none":
            raise ValueError(f"a figure says {figure.unit} where {unit} belongs")
        return figure.model_copy(update={"unit": unit})

    return Field(json_schema_extra={"unit": unit}), AfterValidator(checked)


Share = Annotated[Figure, *in_unit("share")]
"""A part of something, like an accuracy; stored as a fraction."""

Points = Annotated[Figure, *in_unit("points")]
"""A difference of shares, stored as a fraction."""

Counted = Annotated[Figure, *in_unit("count")]
"""How many; a mean count may lie between whole numbers."""


def is_known(figure: Figure) -> TypeIs[Estimate]:
    """Returns whether the figure is an `Estimate`, so that its value may be read."""
    return isinstance(figure, Estimate)


def decimals_of(column: Iterable[Figure | float], unit: str = "none") -> int | None:
    """Returns the decimal places that the numbers of a column share; others are left out.

    Args:
        column: Figures of one unit, or plain numbers.
        unit: Of the plain numbers.

    >>> known = [Estimate(value=v, low=None, high=None, n=1, method="m") for v in (4.4, 5.72)]
    >>> [figure.point(decimals=decimals_of(known)) for figure in known]
    ['4.40', '5.72']
    """
    spans: list[numbers.Span] = []
    for cell in column:
        if isinstance(cell, Estimate):
            spans, unit = [*spans, (cell.value, cell.low, cell.high)], cell.unit
        elif not isinstance(cell, NotRun):
            spans.append((cell, None, None))
    return numbers.same_decimals(spans, unit)
