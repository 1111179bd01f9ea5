"""Encoders built by a user's own Python function: `py:module:function`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from tuiprobe.errors import RunError, UsageError
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.registry import Loader, Wanted


def load(wanted: Wanted) -> Encoder:
    """Imports the module, calls the function without arguments, and checks what it returns.

    This runs code. Callers must pass only names from the user's own command line, never from a
    suite, a spec.json or someone else's run directory.

    Raises:
        UsageError: If there is no such function, or it returns something else.
        RunError: If the function fails.
    """
    name = wanted.name
    module_name, _, function_name = wanted.rest.partition(":")
    if not module_name or not function_name:
        raise UsageError(f"cannot tell module and function of {name!r}; write py:MODULE:FUNCTION")
    here = str(Path.cwd())
    sys.path.insert(0, here)  # As python -m does; console scripts do not.
    try:
        module = importlib.import_module(module_name)
        function = getattr(module, function_name, None)
        if not callable(function):
            raise UsageError(f"{module_name} has no function {function_name!r}")
        encoder = function()
    except UsageError:
        raise
    except ModuleNotFoundError as error:
        raise UsageError(f"cannot import {module_name!r} for {name}: {error}") from error
    except Exception as error:
        raise RunError(f"{name} failed: {type(error).__name__}: {error}") from error
    finally:
        if here in sys.path:
            sys.path.remove(here)
    if not isinstance(encoder, Encoder):
        raise UsageError(
            f"{name} returned a {type(encoder).__name__}; it must return a tuiprobe.models.Encoder"
        )
    encoder.name = name
    encoder.move(wanted.device, wanted.dtype)
    return encoder


LOADER = Loader(forms=("py:MODULE:FUNCTION",), load=load, takes_checkpoint=False)
