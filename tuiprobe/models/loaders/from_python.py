"""Loads an object of a user's Python code: `py:FILE.py:NAME`, `py:MODULE:NAME`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from torch import nn

from tuiprobe.errors import RunError, TuiprobeError, UsageError
from tuiprobe.files import expand_home
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.registry import Loader, ModelRequest
from tuiprobe.plaintext import did_you_mean
from tuiprobe.plugins import in_words


def load(request: ModelRequest) -> Encoder:
    """Loads the object of this name in a file or a Python module, as an encoder.

    It is an `Encoder`, a torch module, or a function without arguments that returns one of them.
    This runs code. Callers must pass only names from the user's command line, never from a
    suite, a spec.json or someone else's run directory.

    Raises:
        UsageError: If the name does not exist, or stands for something else.
        RunError: If the user's code fails.
    """
    source, _, name = request.rest.rpartition(":")
    if not source or not name:
        raise UsageError(
            f"{request.name!r} names no object of a file; write py:FILE.py:NAME or py:MODULE:NAME"
        )
    file = expand_home(source) if source.endswith(".py") else None
    folder = Path.cwd() if file is None else file.absolute().parent
    sys.path.insert(0, str(folder))  # as `python FILE` does
    try:
        module = importlib.import_module(source) if file is None else _run(file)
        names = [public for public in vars(module) if not public.startswith("_")]
        if not hasattr(module, name):
            raise UsageError(f"{source} has no {name!r}{did_you_mean(name, names)}")
        model = getattr(module, name)
        if isinstance(model, type):
            raise UsageError(f"{request.name} is a class; name an object of it with its weights")
        if callable(model) and not isinstance(model, nn.Module):
            model = model()
        encoder = Encoder.from_module(model) if isinstance(model, nn.Module) else model
    except TuiprobeError:
        raise
    except (FileNotFoundError, ModuleNotFoundError) as error:
        raise UsageError(f"cannot import {source!r} for {request.name}: {error}") from error
    except (Exception, SystemExit) as error:  # a script may end itself
        raise RunError(f"{request.name} failed: {in_words(error)}") from error
    finally:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))
    if not isinstance(encoder, Encoder):
        raise UsageError(
            f"{request.name} gives a {type(encoder).__name__}; it must be a torch.nn.Module, a "
            "tuiprobe.Encoder, or a function that returns one"
        )
    encoder.name = request.name
    encoder.move(request.device, request.dtype)
    return encoder


def _run(file: Path) -> ModuleType:
    """Runs a file of Python as a new module."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None, "its name ends in .py"
    assert spec.loader is not None, "its name ends in .py"
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(file.stem, module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


LOADER = Loader(forms=("py:FILE.py:NAME", "py:MODULE:NAME"), load=load, takes_checkpoint=False)
