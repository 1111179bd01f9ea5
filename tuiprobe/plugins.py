"""Registries: parts by name, built in or from another package.

Built-in parts are listed as import strings; parts of other packages are found by entry point.
Nothing is imported before it is needed. A part that cannot be loaded is reported in one sentence
that names its package, and does not affect other parts.
"""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Collection, Container, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from tuiprobe.errors import RunError, TuiprobeError, UsageError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint, EntryPoints

Plugin = TypeVar("Plugin")


class PluginError(RunError):
    """A part that another package registered cannot be used."""


@dataclass(frozen=True)
class Foreign:
    """A part that another package registered, not loaded yet.

    Attributes:
        name: What a user types.
        package: Name and version of the package.
        entry: Entry point of the part.
    """

    name: str
    package: str
    entry: EntryPoint


def _entries(group: str) -> EntryPoints:
    """Returns the entry points of a group."""
    from importlib.metadata import entry_points  # the first paint does without its 30 modules

    return entry_points(group=group)


DATASETS, MODELS = "tuiprobe.datasets", "tuiprobe.models"
"""Entry point groups of sources and loaders."""


RUNS_CODE = "py"
"""The built-in loader that runs the user's code; no file may name it."""


def foreign_names(group: str) -> frozenset[str]:
    """Returns the names of a group that run code that is not tuiprobe's; loads nothing.

    A built-in name that another package registers too is among them.
    """
    return frozenset((RUNS_CODE, *(entry.name for entry in _entries(group))))


def is_foreign(source: str, foreign: Container[str]) -> bool:
    """Returns whether a name that stands in a file would run code that is not tuiprobe's.

    Args:
        source: The name, for example `timm:resnet50.a1_in1k`.
        foreign: The `foreign_names` of its group, which look at all installed packages.

    >>> foreign = foreign_names(MODELS)
    >>> is_foreign("py:my.module:build", foreign), is_foreign("timm:resnet50.a1_in1k", foreign)
    (True, False)
    """
    return source.partition(":")[0] in foreign


def is_extended(group: str) -> bool:
    """Returns whether another package registers a part in a group; loads nothing."""
    return bool(_entries(group))


class Registry(Generic[Plugin]):
    """All parts of one kind by name.

    Args:
        group: Entry point group of other packages, for example `tuiprobe.datasets`.
        noun: Name of a part in messages.
        kind: Class of the parts.
        builtin: Import string `module:ATTRIBUTE` of each built-in part, by name.
    """

    def __init__(
        self, group: str, noun: str, kind: type[Plugin], builtin: Mapping[str, str]
    ) -> None:
        self.group = group
        self._noun, self._kind, self._builtin = noun, kind, dict(builtin)

    @property
    def builtin_names(self) -> tuple[str, ...]:
        """Names of the built-in parts, in their order."""
        return tuple(self._builtin)

    def builtin(self, name: str) -> Plugin | None:
        """Returns a built-in part.

        Use only this for a name that does not come from the user's command line: it never runs
        code of another package.
        """
        target = self._builtin.get(name)
        if target is None:
            return None
        module, _, attribute = target.partition(":")
        part = getattr(import_module(module), attribute)
        assert isinstance(part, self._kind), target
        return part

    def get(self, name: str) -> Plugin | None:
        """Returns the part with this name, built-in ones first.

        Raises:
            UsageError: If several packages register the name.
            PluginError: If the part of another package cannot be loaded.
        """
        builtin = self.builtin(name)
        if builtin is not None:
            return builtin
        parts = [part for part in self.foreign() if part.name == name]
        if len(parts) > 1:
            packages = " and ".join(part.package for part in parts)
            raise UsageError(
                f"the {self._noun} {name!r} is registered by {packages}; uninstall all but one"
            )
        return self.load(parts[0]) if parts else None

    def package_of(self, name: str) -> str | None:
        """Returns the package that provides a name, unless it is built in or unknown."""
        if name in self._builtin:
            return None
        return next((part.package for part in self.foreign() if part.name == name), None)

    def foreign(self) -> tuple[Foreign, ...]:
        """Returns the parts of other packages that no built-in part hides; loads nothing."""
        return tuple(part for part in self._registered() if part.name not in self._builtin)

    def warnings(self, names: Collection[str]) -> tuple[str, ...]:
        """Returns a warning for each of these names that a built-in part hides from a package."""
        return tuple(
            f"the {self._noun} {part.name!r} of {part.package} is not used: tuiprobe has one of "
            "that name"
            for part in self._registered()
            if part.name in self._builtin and part.name in names
        )

    def load(self, foreign: Foreign) -> Plugin:
        """Imports a part of another package.

        Raises:
            PluginError: If the import fails, or the part is of the wrong kind.
        """
        try:
            part = foreign.entry.load()
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"the {self._noun} {foreign.name!r} of {foreign.package} cannot be loaded: "
                f"{in_words(error)}"
            ) from error
        if not isinstance(part, self._kind):
            raise PluginError(
                f"the {self._noun} {foreign.name!r} of {foreign.package} is a "
                f"{type(part).__name__}; it must be a {self._kind.__module__}.{self._kind.__name__}"
            )
        return part

    def _registered(self) -> Iterator[Foreign]:
        parts = []
        for entry in _entries(self.group):
            package = "an unnamed package"
            if entry.dist is not None:
                package = f"package {entry.dist.name} {entry.dist.version}"
            parts.append(Foreign(entry.name, package, entry))
        yield from sorted(parts, key=lambda part: (part.name, part.package))


def in_words(error: BaseException) -> str:
    """Describes an error of foreign code in one line.

    >>> in_words(KeyError("x"))
    "KeyError: 'x'"
    """
    if isinstance(error, TuiprobeError):
        return str(error)
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def in_code(error: BaseException) -> str:
    """Describes an error of foreign code in one line, with the last line of that code."""
    frames = [
        f"{Path(frame.f_code.co_filename).name}, line {line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not _LIBRARIES.search(frame.f_code.co_filename)
    ]
    return in_words(error) + (f" ({frames[-1]})" if frames else "")


_LIBRARIES = re.compile(
    "site-packages|^<|^" + "|^".join(map(re.escape, (os.__file__[:-5], str(Path(__file__).parent))))
)
"""Files of installed packages, of generated code, of Python, and of this package."""
