"""Options: each is declared once, as a field with help, group and default.

The command line, the screens and the reference are built from these declarations. This module is
imported before `--help` is printed, so it loads neither pydantic nor numpy.
"""

from __future__ import annotations

import math
import operator
import re
import types
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args, get_origin

from tuiprobe.errors import UsageError
from tuiprobe.plaintext import did_you_mean, undecodable

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")

Changes = Literal["measurement", "bits", "answers", "nothing"]
"""What a different value changes: what is measured, its last bits, only the answers, or nothing."""

Kind = Literal["images", "vectors"]
"""What samples are: images, or vectors that an encoder made of them."""

PROBE_GROUP = "tuiprobe.probes"
"""Entry point group in which installed packages register their probes."""


@dataclass(frozen=True)
class Option:
    """Describes a field as an option, in its annotation: `Annotated[int, Option(...)] = 32`.

    Attributes:
        help: Help text; forms show the first sentence only.
        group: Heading in `--help-all` and in docs/options.md.
        common: Whether `--help` shows it too.
        metavar: Placeholder of the value in help texts; empty for the name of its type.
        unset: What the run uses if the value is None, in words.
        typed_none: What a user types for None, as 0 in `--sample 0` for all images; None if
            leaving the option out means None.
        several: Whether several values on one command line start several runs.
        changes: What a different value changes.
        fits: The kind of data that alone has a use for it; empty for any.
        stands_for: The field of which it is a short form.
        term: Id of the entry of the glossary that a form shows for it.
        ge, le: Bounds of a number.
        min_length: Least length of a text.
        pattern: Regular expression that a form asks for, said in words by the help; where the
            command line is given something else, the engine finds out.
        short: Its short flag, for example `-q`.
    """

    help: str
    group: str = "Options"
    common: bool = False
    metavar: str = ""
    unset: str = ""
    typed_none: int | str | None = None
    several: bool = False
    changes: Changes = "measurement"
    fits: Kind | Literal[""] = ""
    stands_for: str = ""
    term: str = ""
    ge: float | None = None
    le: float | None = None
    min_length: int = 0
    pattern: str = ""
    short: str = ""

    # pydantic reads the bounds through the annotated_types protocol, imported only when needed.
    __is_annotated_types_grouped_metadata__ = True

    def __iter__(self) -> Iterator[object]:
        """Yields the bounds in the form pydantic expects."""
        import annotated_types as known

        for kind, bound in ((known.Ge, self.ge), (known.Le, self.le)):
            if bound is not None:
                yield kind(bound)
        if self.min_length:
            yield known.MinLen(self.min_length)


@dataclass(frozen=True)
class OptionField:
    """One field of a class of options.

    Attributes:
        name: Name of the field.
        kind: Type of one value, without None: `bool`, `int`, `float` or `str`.
        default: Value if the user gives none; `MISSING` if one is required.
        many: Whether the field holds a tuple of values; the option is then repeated.
        choices: The allowed values of a text; empty if any is allowed.
        option: Help, group and bounds.
    """

    name: str
    kind: type
    default: Any
    many: bool
    choices: tuple[str, ...]
    option: Option

    @property
    def flag(self) -> str:
        """The option on the command line, for example `--batch-size`."""
        return flag(self.name)

    @property
    def label(self) -> str:
        """The option in a form, for example `batch size`."""
        return self.name.replace("_", " ")

    @property
    def values(self) -> tuple[str, ...]:
        """The texts of which a form offers one; empty where the value is, or several are, typed."""
        if self.many:
            return ()
        return ("no", "yes") if self.kind is bool else self.choices

    @property
    def first_text(self) -> str:
        """What a form shows at first; empty means the default."""
        if self.kind is bool:
            return "yes" if self.default else "no"
        if self.required:
            return self.option.unset
        return self.default if isinstance(self.default, str) else ""

    @property
    def required(self) -> bool:
        """Whether a value must be given."""
        return self.default is MISSING

    @property
    def metavar(self) -> str:
        """The placeholder of the value in help texts."""
        return self.option.metavar or "|".join(self.choices) or _METAVARS[self.kind]

    @property
    def repeatable(self) -> bool:
        """Whether the option may be given several times."""
        return self.many or self.option.several

    @property
    def help(self) -> str:
        """The help text; says so if the option may be given several times."""
        return f"{self.option.help} Repeatable." if self.repeatable else self.option.help

    @property
    def summary(self) -> str:
        """What the option does: the first sentence of its help, without a full stop."""
        return self.option.help.partition(". ")[0].rstrip(".")

    @property
    def shown_default(self) -> str:
        """The default in words."""
        if self.option.unset:
            return self.option.unset
        nothing = self.required or self.default is None or self.many or self.kind is bool
        return "" if nothing else str(self.default)

    def problem(self, text: str) -> str:
        """Returns why `text` is not a valid value, in one sentence."""
        if self.choices and text not in self.choices:
            return f"give one of {', '.join(self.choices)}"
        if self.option.pattern and not re.fullmatch(self.option.pattern, text):
            return f"give {self.summary}"
        if self.kind not in (int, float):
            return ""
        if self.option.typed_none is not None and text == str(self.option.typed_none):
            return ""
        known = (("at least", operator.ge), ("at most", operator.le))
        limits = (self.option.ge, self.option.le)
        pairs = zip(known, limits, strict=True)
        bounds = [(word, holds, at) for (word, holds), at in pairs if at is not None]
        try:
            number = float(self.kind(text))
        except (ValueError, OverflowError):
            number = math.nan
        if not math.isnan(number) and all(holds(number, at) for _, holds, at in bounds):
            return ""
        words = " and".join(f" {word} {at:g}" for word, _, at in bounds)
        more = "" if self.option.typed_none is None else f", or {self.option.typed_none} for all"
        wanted = "whole number" if self.kind is int else "number"
        return f"give a {wanted}{words}{more}"


_METAVARS = {bool: "", int: "N", float: "X", str: "TEXT"}


def flag(name: str) -> str:
    """Returns the name of a field as an option of the command line.

    >>> flag("batch_size")
    '--batch-size'
    """
    return "--" + name.replace("_", "-")


def options_of(kind: type) -> tuple[OptionField, ...]:
    """Returns the options that a dataclass declares, in order.

    A field without an `Option` in its annotation becomes an option without help; this happens in
    probes of other packages.
    """
    hints = typing.get_type_hints(kind, include_extras=True)
    options = []
    for field in fields(kind):
        make = field.default_factory
        default = field.default if make is MISSING else make()
        options.append(_field(field.name, hints[field.name], default))
    return tuple(options)


def _field(name: str, hint: Any, default: Any) -> OptionField:
    option = Option("")
    if get_origin(hint) is Annotated:
        hint, *marks = get_args(hint)
        option = next((mark for mark in marks if isinstance(mark, Option)), option)
    if get_origin(hint) in (typing.Union, types.UnionType):
        hint = next(arg for arg in get_args(hint) if arg is not types.NoneType)
    many = get_origin(hint) is tuple
    if many:
        hint = get_args(hint)[0]
    choices = get_args(hint) if get_origin(hint) is Literal else ()
    kind = type(choices[0]) if choices else hint
    return OptionField(name, kind, default, many, choices, option)


def words_of(options: Iterable[OptionField], values: Mapping[str, Any]) -> list[str]:
    """Returns the command-line arguments for some values; values equal to the default are left out.

    Args:
        options: The options, in the order of the arguments.
        values: Values by field name; missing ones are left out.

    >>> seed = OptionField("seed", int, 0, False, (), Option("Seed."))
    >>> words_of([seed], {"seed": 7}), words_of([seed], {"seed": 0}), words_of([seed], {"seed": -1})
    (['--seed', '7'], [], ['--seed=-1'])
    """
    words: list[str] = []
    for option in options:
        value = values.get(option.name)
        if value is None or value == option.default:
            continue
        if option.kind is bool:
            words += [option.flag] if value else []
            continue
        for text in map(str, value if isinstance(value, list | tuple) else [value]):
            # A value with a leading dash would be parsed as an option.
            dashed = text.startswith("-")
            words += [f"{option.flag}={text}"] if dashed else [option.flag, text]
    return words


class OptionError(UsageError):
    """An option has an invalid value.

    Attributes:
        name: The field.
        cause: What is wrong.
    """

    def __init__(self, name: str, cause: str, message: str) -> None:
        super().__init__(message)
        self.name, self.cause = name, cause


def validated(kind: type[T], values: Any, called: Callable[[str], str] = flag) -> T:
    """Returns an instance of an options class, with every value checked.

    Args:
        kind: A dataclass.
        values: Values by field name.
        called: Turns a field name into its name in errors.

    Raises:
        OptionError: If a value is invalid; names the option and the problem.
    """
    from pydantic import ValidationError

    try:
        return _adapter(kind).validate_python(values)  # type: ignore[arg-type, no-any-return]
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        cause = first["msg"]
        if first["type"].endswith("than_equal"):
            (option,) = (field for field in options_of(kind) if field.name == name)
            cause = option.problem(str(first["input"]))
        if odd := undecodable(str(first["input"])):
            cause = f"a name that is not UTF-8 ({odd}), and reports are; rename the file or folder"
        message = f"{called(name)}: {cause} (got {first['input']!r})"
        raise OptionError(name, cause, message) from error


@cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def refuse_unknown(beginning: str, name: str, known: Iterable[str]) -> None:
    """Refuses an unknown name.

    Args:
        beginning: Beginning of the error message.
        name: The name that was asked for.
        known: All known names.

    Raises:
        UsageError: Always; suggests the nearest known name.
    """
    names = list(known)
    if name not in names:
        others = f"; there are {', '.join(names)}" if names else "; none is installed"
        raise UsageError(f"{beginning} {name!r}{did_you_mean(name, names, most=1) or others}")


def installed_probes() -> dict[str, Callable[[], type]]:
    """Returns, by probe id, a function that loads the options class of a foreign probe."""
    from tuiprobe.plugins import Foreign, Registry

    probes = Registry(PROBE_GROUP, "probe", type, {})

    def options_class(probe: Foreign) -> type:
        return typing.cast(type, probes.load(probe).Options)  # type: ignore[attr-defined]

    return {probe.name: partial(options_class, probe) for probe in probes.foreign()}


def probe_options(
    texts: Iterable[str], probes: Mapping[str, Callable[[], type]] | None = None
) -> dict[str, Any]:
    """Parses and checks `--probe ID.KEY=VALUE`; returns the options by probe.

    Args:
        texts: Texts like `blur.radius=3`; a key that takes several values is repeated.
        probes: Loads the options class of each probe; None uses the installed probes. A class is
            loaded only if its probe is named.

    Raises:
        UsageError: If a text is invalid; names the text and the problem.
    """
    known = installed_probes() if probes is None else probes
    given: dict[str, dict[str, list[str]]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        probe, dot, key = name.rpartition(".")
        if not (equals and dot and probe and key):
            raise UsageError(f"--probe {text}: write ID.KEY=VALUE")
        refuse_unknown(f"--probe {text}: no probe with options is called", probe, known)
        given.setdefault(probe, {}).setdefault(key.replace("-", "_"), []).append(value)
    return {probe: _probe(probe, known[probe](), keys) for probe, keys in given.items()}


def with_options(texts: Iterable[str], changes: Collection[str]) -> list[str]:
    """Returns options of probes with others in place of those of the same name.

    >>> with_options(["blur.radius=3", "blur.edge=1"], ["blur.radius=5"])
    ['blur.edge=1', 'blur.radius=5']
    """
    names = {text.partition("=")[0].replace("-", "_") for text in changes}
    others = (text for text in texts if text.partition("=")[0].replace("-", "_") not in names)
    return [*others, *changes]


def _probe(probe: str, kind: type, keys: Mapping[str, list[str]]) -> Any:
    options = {option.name: option for option in options_of(kind)}
    values: dict[str, Any] = {}
    for key, texts in keys.items():
        refuse_unknown(f"--probe {probe}.{key}: {probe} has no option", key, options)
        if len(texts) > 1 and not options[key].many:
            raise UsageError(f"--probe {probe}.{key}: given {len(texts)} times, it takes one value")
        values[key] = tuple(texts) if options[key].many else texts[0]
    return validated(kind, values, lambda name: f"--probe {probe}.{name}")
