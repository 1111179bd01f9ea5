"""Options of a class of fields as options of the command line."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypeVar

import typer
from typer.models import OptionInfo

from tuiprobe.options import OptionField
from tuiprobe.spec import run_option

Callback = TypeVar("Callback", bound=Callable[..., Any])


_HARMLESS = re.compile(r"[A-Za-z0-9_./:@%+,=-]+")


def model_names() -> list[str]:
    """Returns completions for a model: names that a shell inserts without quoting."""
    from tuiprobe.catalog.published_models import all_published, presets

    return [name for name in (*presets(), *all_published()) if _HARMLESS.fullmatch(name)]


def option_info(field: OptionField, default: str) -> OptionInfo:
    """Returns the typer declaration of an option, with its default in words."""
    names = model_names if field.name == "model" else lambda: list(field.choices)
    info = typer.Option(
        field.flag,
        *filter(None, (field.option.short,)),
        help=f"{field.help}  [default: {default}]" if default else field.help,
        metavar=field.metavar or None,
        show_default=False,
        autocompletion=names if field.name == "model" or field.choices else None,
    )
    assert isinstance(info, OptionInfo)
    return info


def of_run(name: str, *, change: bool = False) -> OptionInfo:
    """Returns an option of a run for another command that takes the same one.

    Args:
        name: Name of the field.
        change: Whether a missing option keeps the run's value instead of the default.
    """
    field = run_option(name)
    return option_info(field, "as in the run" if change else field.shown_default)


def with_options(fields: Iterable[OptionField]) -> Callable[[Callback], Callback]:
    """Returns a decorator: the command gets these options by name, besides its typer.Context.

    Repeatable and required ones are None where they are left out.
    """
    parameters = [
        inspect.Parameter(
            "context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
        )
    ]
    for field in fields:
        default = None if field.required or field.repeatable else field.default
        kind: Any = list[field.kind] if field.repeatable else field.kind  # type: ignore[name-defined]
        kind = kind if default is not None else kind | None
        parameters.append(
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=default,
                annotation=Annotated[kind, option_info(field, field.shown_default)],
            )
        )

    def decorate(command: Callback) -> Callback:
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return command

    return decorate
