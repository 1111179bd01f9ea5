"""The file of `tuiprobe grid`: which models on which sets, with which options."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuiprobe.catalog.presets import presets
from tuiprobe.datasets.registry import SOURCES
from tuiprobe.errors import DataError, UsageError
from tuiprobe.files import read_regular
from tuiprobe.models.registry import runs_foreign_code
from tuiprobe.plaintext import text_of
from tuiprobe.spec import run_options

SHIPPED = Path(__file__).parents[1] / "catalog" / "paper.toml"

MAX_BYTES = 2**16
"""Largest grid file: the parser takes time by the square of a key's length."""

KEYS = ("suite", "data", "output", "models", "options", "checkpoints")

_OWN = {"model", "data", "checkpoint", "offline", "require_weights", "ablate"}
_OPTIONS = tuple(option.name for option in run_options() if option.name not in _OWN)
_FILES = ("classes", "templates", "baseline", "bundle")


@dataclass(frozen=True)
class Grid:
    """The content of a grid file.

    Attributes:
        path: The file.
        data: Data source of every run.
        output: Folder of the run directories.
        models: Presets and specs, in the order of the file.
        options: Further fields of the RunSpec.
        checkpoints: File with the weights, by model.
    """

    path: Path
    data: str
    output: Path
    models: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    checkpoints: dict[str, str] = field(default_factory=dict)


def paper_models() -> tuple[str, ...]:
    """Returns the presets of the paper: all but those that ship with the package."""
    return tuple(name for name, one in presets().items() if not one.shipped)


def read_grid(path: Path | None) -> Grid:
    """Reads a grid file; None takes the one that ships, with paths from the working folder.

    Raises:
        UsageError: Naming file and key.
    """
    base = Path.cwd() if path is None else path.absolute().parent
    path = path or SHIPPED
    content = _read(path)
    _refuse_unknown(path, "", content, KEYS)
    if "suite" in content and "data" in content:
        raise UsageError(f"{path}: data: leave it out, since suite names the sets")
    suite = _text(path, "suite", content.get("suite", "auto"))
    data = f"suite:{suite if suite == 'auto' else _below(base, suite)}"
    if "data" in content:
        data = _source(path, "data", base, _text(path, "data", content["data"]))
    models = _models(path, content)
    checkpoints = _table(path, "checkpoints", content)
    _refuse_unknown(path, "checkpoints.", checkpoints, models)
    return Grid(
        path=path,
        data=data,
        output=Path(_below(base, _text(path, "output", content.get("output", "runs/grid")))),
        models=models,
        options=_options(path, base, _table(path, "options", content)),
        checkpoints={
            name: _below(base, _text(path, f"checkpoints.{name}", file))
            for name, file in checkpoints.items()
        },
    )


def _models(path: Path, content: dict[str, Any]) -> tuple[str, ...]:
    models = content.get("models", list(paper_models()))
    if not isinstance(models, list) or not models:
        raise UsageError(f"{path}: models: write a list of presets or specs")
    for name in models:
        if runs_foreign_code(_text(path, "models", name)):
            raise UsageError(f"{path}: models: {name!r} runs code; name it by --model yourself")
    return tuple(dict.fromkeys(models))


def _options(path: Path, base: Path, options: dict[str, Any]) -> dict[str, Any]:
    _refuse_unknown(path, "options.", options, _OPTIONS)
    for name in _FILES:
        if name in options:
            options[name] = _below(base, _text(path, f"options.{name}", options[name]))
    head = options.get("head")
    if isinstance(head, str) and head not in ("probe", "zero-shot"):
        options["head"] = _below(base, head)
    if isinstance(options.get("concepts"), str):
        options["concepts"] = _source(path, "options.concepts", base, options["concepts"])
    if isinstance(options.get("layers"), list):
        options["layers"] = tuple(options["layers"])
    if isinstance(options.get("target"), list):
        options["target"] = tuple(
            _source(path, "options.target", base, _text(path, "options.target", one))
            for one in options["target"]
        )
    return options


def _source(path: Path, key: str, base: Path, source: str) -> str:
    """Returns a source relative to the working folder; a file may not name other packages' code."""
    kind, colon, rest = source.partition(":")
    if SOURCES.package_of(kind) is not None:
        raise UsageError(
            f"{path}: {key}: {source!r} runs code of another package; a file cannot name it"
        )
    found = SOURCES.builtin(kind)
    if found is not None and found.is_path and "://" not in rest:
        return f"{kind}{colon}{_below(base, rest)}"
    return source


def _below(base: Path, text: str) -> str:
    try:
        return str(base / Path(text).expanduser())
    except RuntimeError as error:  # home folder of an unknown user
        raise UsageError(f"{text!r}: {error}") from error


def _table(path: Path, key: str, content: dict[str, Any]) -> dict[str, Any]:
    found = content.get(key, {})
    if not isinstance(found, dict):
        raise UsageError(f"{path}: {key}: not a table; write [{key}]")
    return dict(found)


def _text(path: Path, key: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise UsageError(f"{path}: {key}: {value!r} is not a text")
    return value


def _refuse_unknown(path: Path, prefix: str, found: dict[str, Any], known: tuple[str, ...]) -> None:
    for key in found:
        if key not in known:
            raise UsageError(f"{path}: {prefix}{key}: no such key; there are {', '.join(known)}")


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text_of(read_regular(path, MAX_BYTES)))
    except OSError as error:
        raise UsageError(f"cannot read the grid {path}: {error.strerror}") from error
    except DataError as error:
        raise UsageError(str(error)) from error
    except (tomllib.TOMLDecodeError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
