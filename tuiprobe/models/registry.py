"""Loaders of encoders by name: built-in ones are listed here, others are found by entry point.

A loader is one file that defines a `Loader`. Built-in loaders have a line in `BUILTIN`; other
packages have an entry point in the group `tuiprobe.models`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tuiprobe.plugins import MODELS, PluginError, Registry, in_words

if TYPE_CHECKING:
    import torch

    from tuiprobe.catalog.published_models import Preset
    from tuiprobe.models.encoder import Encoder


@dataclass(frozen=True)
class ModelRequest:
    """A model as the user requested it.

    Attributes:
        name: What the user typed.
        rest: The part after the loader's name and the colon; for a preset, that of its spec.
        preset: The requested preset; None for a spec.
        checkpoint: File whose weights replace the published ones.
        device: Device of the encoder.
        dtype: Floating point type of the encoder.
        untrained: Whether to build random weights, from a fixed seed, in place of published ones.
        classes: Names of the classes of the pictures, for a model that answers by name.
    """

    name: str
    rest: str
    preset: Preset | None
    checkpoint: Path | None
    device: str
    dtype: torch.dtype
    untrained: bool = False
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Loader:
    """A kind of model, named as `NAME:REST`.

    Attributes:
        forms: Ways to write it, for messages: `("timm:NAME",)`.
        load: Returns the encoder with exactly the requested weights, or raises.
        takes_checkpoint: Whether `--checkpoint` can replace the weights.
        models: Specs that `tuiprobe models` lists in addition to the catalog. Should import nothing
            heavy, because it is called even if no model is needed.
        fetch: Caches all files of a spec, given with its REST, and returns them; None if there is
            nothing to fetch by name.
    """

    forms: tuple[str, ...]
    load: Callable[[ModelRequest], Encoder]
    takes_checkpoint: bool = True
    models: Callable[[], Iterable[str]] = tuple
    fetch: Callable[[str, str], list[Path]] | None = None


BUILTIN = {
    "open_clip": "tuiprobe.models.loaders.from_open_clip:LOADER",
    "timm": "tuiprobe.models.loaders.from_timm:LOADER",
    "torchvision": "tuiprobe.models.loaders.from_torchvision:LOADER",
    "transformers": "tuiprobe.models.loaders.from_transformers:LOADER",
    "py": "tuiprobe.models.loaders.from_python:LOADER",
    "answers": "tuiprobe.models.loaders.from_answers:LOADER",
    "miniature": "tuiprobe.miniature.encoder:LOADER",
}
"""All built-in loaders, in the order that messages list them."""

LOADERS = Registry(MODELS, "loader", Loader, BUILTIN)


def model_forms() -> str:
    """Returns every way to name a model; does not load the loaders of other packages."""
    loaders = (LOADERS.builtin(name) for name in LOADERS.builtin_names)
    builtin = (form for loader in loaders if loader is not None for form in loader.forms)
    foreign = (f"{plugin.name}:… ({plugin.package})" for plugin in LOADERS.foreign())
    return ", ".join(["a preset", *builtin, *foreign])


def foreign_models() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the models listed by other packages' loaders, and messages on broken ones."""
    models: list[str] = []
    problems: list[str] = []
    for plugin in LOADERS.foreign():
        try:
            models += [str(model) for model in LOADERS.load(plugin).models()]
        except PluginError as error:
            problems.append(str(error))
        except Exception as error:
            problems.append(
                f"the loader {plugin.name!r} of {plugin.package} lists no models: {in_words(error)}"
            )
    return tuple(models), tuple(problems)
