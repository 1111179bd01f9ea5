"""From a `RunSpec` back to the command line that gives it."""

from __future__ import annotations

import shlex
from collections.abc import Container, Mapping, Sequence
from typing import Any

from tuiprobe.errors import UsageError
from tuiprobe.options import validated, words_of
from tuiprobe.spec import DEFAULT_DATA, WATCHED, RunSpec, run_option, run_options
from tuiprobe.spec_defaults import filled


def arguments_of(spec: RunSpec, names: Container[str] | None = None) -> list[str]:
    """Returns the fewest arguments of `tuiprobe --headless` that give this spec.

    Args:
        spec: The spec of a run.
        names: The fields that a report holds, which may be of another version; None for all.

    >>> from tuiprobe.spec_defaults import make_spec
    >>> arguments_of(make_spec("mini_clip", "my photos", {"sample": 0, "layers": ("a*",)}))
    ['--model', 'mini_clip', '--data', 'my photos', '--sample', '0', '--layers', 'a*']
    """
    # Each default depends on the ones before.
    unset = {"sample": None, "concepts": None, "concept_sample": None, "target": ()}
    given = {**vars(spec), **unset}
    if spec.embeddings is not None:
        given |= {"model": None, "data": None}
    for name, nothing in unset.items():
        value = getattr(spec, name)
        if spec.embeddings is None and filled(given)[name] != value:
            given[name] = run_option(name).option.typed_none if value == nothing else value
    if given["data"] == DEFAULT_DATA:  # a folder may have this name where the command is run
        given["data"] = None
    known = [option for option in run_options() if names is None or option.name in names]
    return words_of(known, given)


def shown_command(arguments: Sequence[str]) -> str:
    r"""Returns the command line a user can copy: quoted for a shell, always one line.

    >>> shown_command(["--headless", "--data", "imagefolder:my photos"])
    "tuiprobe --headless --data 'imagefolder:my photos'"
    >>> print(shown_command(["open", "a\nb\x1b[31m"]))
    tuiprobe open $'a\x0ab\x1b[31m'
    """
    words = ["tuiprobe", *arguments]
    return " ".join(shlex.quote(word) if word.isprintable() else _as_bytes(word) for word in words)


def _as_bytes(word: str) -> str:
    """Quotes a word for a shell; letters that a terminal obeys or hides are written as bytes."""
    letters = (
        letter
        if letter.isprintable() and letter not in "'\\"
        else "".join(f"\\x{byte:02x}" for byte in letter.encode("utf-8", "surrogateescape"))
        for letter in word
    )
    return f"$'{''.join(letters)}'"


def headless_arguments(spec: Mapping[str, Any]) -> list[str]:
    """Returns the arguments that do what a run did; see `command_of`."""
    if spec.get(WATCHED):
        raise UsageError("it was measured by tuiprobe.watch, and by no command")
    targets = spec.get("target")
    several = targets if isinstance(targets, list | tuple) else []
    if any(map(_is_object, (spec.get("model"), spec.get("data"), *several))):
        raise UsageError("its model or its images were objects of Python, which no command has")
    known = {o.name: spec[o.name] for o in run_options() if o.name in spec}
    return ["--headless", *arguments_of(validated(RunSpec, known), known)]


def command_of(spec: Mapping[str, Any]) -> str:
    r"""Returns the command line that does what a run did.

    Args:
        spec: The spec as in `results.json`; not trusted.

    Raises:
        UsageError: If it is not a spec of this version.

    >>> command_of({"model": "mini_clip", "data": "my photos", "sample": None, "layers": ["a*"]})
    "tuiprobe --headless --model mini_clip --data 'my photos' --sample 0 --layers 'a*'"
    """
    return shown_command(headless_arguments(spec))


def _is_object(name: object) -> bool:
    """Says whether a name in a spec stands for an object that Python code handed over.

    >>> _is_object("py:SmallNet"), _is_object("py:net.py:model"), _is_object("photos")
    (True, False, False)
    """
    return isinstance(name, str) and name.startswith("py:") and name.count(":") == 1
