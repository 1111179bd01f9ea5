"""The command line that does what a run did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuiprobe.spec import RunSpec
from tuiprobe.tui.child import shown_command

_NOT_ASKED = ("shard_batches", "top_k")  # chosen by the engine, not on the command line


def command_of(spec: Mapping[str, Any]) -> str:
    r"""The command line of a run's specification: one line, quoted for a shell.

    Args:
        spec: As `results.json` holds it; may come from anywhere.

    >>> command_of({"model": "mini_clip", "data": "my photos", "sample": None, "layers": ["a*"]})
    "tuiprobe --headless --model mini_clip --data 'my photos' --layers 'a*' --sample 0"
    """
    words = ["--headless"]
    for name, field in RunSpec.model_fields.items():
        if name not in spec or name in _NOT_ASKED:
            continue
        value, option = spec[name], "--" + name.replace("_", "-")
        if name == "sample":
            words += [option, str(value or 0)]
        elif isinstance(value, list | tuple):
            words += [word for one in value for word in (option, str(one))]
        elif isinstance(value, bool):
            words += [option] * value
        elif value is not None and value != field.default:
            words += [option, str(value)]
    return shown_command(words)
