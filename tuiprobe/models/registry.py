"""Loaders of encoders by name: the built-in ones are listed here, others come by entry point.

A loader is one file that ends in a `Loader`. A built-in one has a line in `BUILTIN`;
another package has an entry point in the group `tuiprobe.models`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tuiprobe.plugins import MODELS, PluginError, Registry, in_words

if TYPE_CHECKING:
    import torch

    from tuiprobe.catalog.presets import Preset
    from tuiprobe.models.encoder import Encoder


@dataclass(frozen=True)
class Wanted:
    """A model as a user asked for it.

    Attributes:
        name: What the user typed.
        rest: What stands behind the loader's name and the colon; for a preset, that of its spec.
        preset: The preset that was named; None for a spec.
        checkpoint: File whose weights replace the published ones.
        device: Where the encoder goes.
        dtype: Floating point type that it computes in.
    """

    name: str
    rest: str
    preset: Preset | None
    checkpoint: Path | None
    device: str
    dtype: torch.dtype


def _no_models() -> tuple[str, ...]:
    return ()


@dataclass(frozen=True)
class Loader:
    """What a user names as `NAME:REST`.

    Attributes:
        forms: Ways to write it, for messages: `("timm:NAME",)`.
        load: Returns the encoder, with exactly the weights asked for, or raises.
        takes_checkpoint: Whether `--checkpoint` can replace the weights.
        models: Specs that `tuiprobe models` lists beside the catalog's. Called without need for
            a model, so it should import nothing heavy.
        fetch: Caches all files of a spec, given with its REST, and returns them; None where there
            is nothing to fetch by name.
    """

    forms: tuple[str, ...]
    load: Callable[[Wanted], Encoder]
    takes_checkpoint: bool = True
    models: Callable[[], Iterable[str]] = _no_models
    fetch: Callable[[str, str], list[Path]] | None = None


BUILTIN = {
    "open_clip": "tuiprobe.models.from_open_clip:LOADER",
    "timm": "tuiprobe.models.from_timm:LOADER",
    "torchvision": "tuiprobe.models.from_torchvision:LOADER",
    "py": "tuiprobe.models.from_callable:LOADER",
    "miniature": "tuiprobe.miniature.encoder:LOADER",
}
"""All built-in loaders, in the order that messages list them."""

RUNS_CODE = "py"
"""The built-in loader that runs code of the user's: no file may name it."""

LOADERS = Registry(MODELS, "loader", Loader, BUILTIN)


def runs_foreign_code(spec: str) -> bool:
    """Whether a spec may only come from the user's own command line."""
    scheme, colon, _ = spec.partition(":")
    return bool(colon) and (scheme == RUNS_CODE or LOADERS.package_of(scheme) is not None)


def model_forms() -> str:
    """Returns every way to name a model; the loaders of other packages are not loaded."""
    loaders = (LOADERS.builtin(name) for name in LOADERS.builtin_names)
    own = (form for loader in loaders if loader is not None for form in loader.forms)
    others = (f"{one.name}:… ({one.package})" for one in LOADERS.foreign())
    return ", ".join(["a preset", *own, *others])


def foreign_models() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the models that loaders of other packages list, and what is wrong with others."""
    models: list[str] = []
    problems: list[str] = []
    for one in LOADERS.foreign():
        try:
            models += [str(model) for model in LOADERS.load(one).models()]
        except PluginError as error:
            problems.append(str(error))
        except Exception as error:
            problems.append(
                f"the loader {one.name!r} of {one.package} lists no models: {in_words(error)}"
            )
    return tuple(models), tuple(problems)
