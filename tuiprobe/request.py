"""RunRequest: what a user asks for. From options to a request, and back to a command line."""

from __future__ import annotations

import os
import shlex
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Final

from tuiprobe.errors import DataError, TuiprobeError, UsageError, WeightsError
from tuiprobe.files import DamagedFileError, open_regular
from tuiprobe.options import (
    Changes,
    Option,
    OptionError,
    OptionField,
    flag,
    options_of,
    probe_options,
    refuse_unknown,
    validated,
    words_of,
)
from tuiprobe.plaintext import plain
from tuiprobe.spec import (
    AUTO,
    DEFAULT_DATA,
    DEFAULT_MODEL,
    DEFAULT_SAMPLE,
    MINIATURE_CONCEPT_SAMPLE,
    NO_TARGET,
    VECTORS,
    WATCHED,
    RunSpec,
    kind_of,
    run_option,
    run_options,
)

DIRECTORY = "Run directory"
"""Group of the options that say where a run goes, and how an earlier attempt is treated."""

MINIATURE_TARGET = "miniature:street"
"""The target set that the miniature brings."""

FILES: Final[dict[str, type[TuiprobeError]]] = {
    "checkpoint": WeightsError,
    "head": WeightsError,
    "classes": UsageError,
    "templates": UsageError,
    "labels": DataError,
    "baseline": UsageError,
}
"""Options that name a file, with the error of a run that cannot open it."""

_OWN_WEIGHTS: Final = {
    "answers": "a table of answers has none",
    "py": "py: brings its weights",
    "transformers": "transformers: brings its weights",
}
"""Built-in loaders that take no checkpoint, with the reason; the others are known once loaded."""

_NO_FILES: Final = ("probe", "zero-shot")  # values of --head that are no file


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What to measure, where the run goes, and how an earlier attempt there is treated.

    Attributes:
        spec: What to measure.
        output: The run directory; None makes one under `runs`, named by content.
        runs: Folder of run directories.
        fresh: Whether to delete what an earlier attempt left.
        mix: Whether to accept shards with another fingerprint.
    """

    spec: RunSpec
    output: Annotated[
        Path | None,
        Option(
            "The run directory. Of several models, the folder of their run directories.",
            DIRECTORY,
            common=True,
            metavar="DIR",
            unset="below runs/, by content",
            changes="nothing",
        ),
    ] = None
    runs: Path = Path("runs")
    fresh: Annotated[
        bool, Option("Start again, do not resume.", DIRECTORY, common=True, changes="nothing")
    ] = False
    mix: Annotated[
        bool,
        Option("Resume although hardware or libraries changed.", DIRECTORY, changes="bits"),
    ] = False


@cache
def directory_options() -> tuple[OptionField, ...]:
    """Returns the options of a request besides those of its spec."""
    return tuple(option for option in options_of(RunRequest) if option.option.help)


def make_spec(model: str | None, data: str | None, options: Mapping[str, Any]) -> RunSpec:
    """Returns the spec that the options describe.

    Args:
        model: Encoder; None for the embedded one, or where the data are vectors.
        data: Data source; None for the miniature.
        options: Further fields of `RunSpec`. None means the default. In `sample` and
            `concept_sample`, 0 means all images.

    Raises:
        UsageError: If an option is unknown or invalid; names the option and the problem.
    """
    names = [option.name for option in run_options() if not option.required]
    for name in (name for name in options if name not in names):
        refuse_unknown("there is no option", name, names)
    values = {name: value for name, value in options.items() if value is not None}
    values = {name: typed(name, value) for name, value in values.items()}
    model, data = typed("model", model), typed("data", data)
    if (vectors := values.pop("embeddings", None)) is not None:
        if model is not None or data is not None:
            cause = "--embeddings takes the place of --model, --data and --suite: choose one"
            raise OptionError("data" if model is None else "model", cause, cause)
        data = f"{VECTORS}{vectors}"
    targets = [f"{VECTORS}{target}" for target in values.pop("target_embeddings", ())]
    if targets:
        values["target"] = (*values.get("target", ()), *targets)
    values["data"] = data = data or DEFAULT_DATA
    _refuse_unfit(model, data, values)
    of_vectors = kind_of(data) == "vectors"
    values["model"] = rows_name(data) if of_vectors else model or DEFAULT_MODEL
    spec = validated(RunSpec, {**values, **filled(values)})
    try:
        probe_options(spec.probe)
    except UsageError as error:
        raise OptionError("probe", str(error), str(error)) from error
    return spec


def typed(name: str, value: Any) -> Any:
    """Returns a value from Python as the command line gives it: paths as text, one as several.

    Raises:
        OptionError: If it is neither text nor a path where the option is text.
    """
    option = run_option(name)
    if value is None:
        return None
    if option.many and isinstance(value, str | os.PathLike):
        value = (value,)
    if option.many and isinstance(value, list | tuple):
        return tuple(_text(option, item) for item in value)
    return _text(option, value)


def _text(option: OptionField, value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if option.kind is str and not isinstance(value, str):
        kind = type(value).__name__
        cause = f"takes text ({option.summary}), not a {kind}"
        raise OptionError(option.name, cause, f"{option.flag} {cause}")
    return value


def _refuse_unfit(model: str | None, data: str, values: Mapping[str, Any]) -> None:
    """Refuses options that do not apply to these data, unless they have their default.

    Raises:
        OptionError: If an option is of another kind of data.
    """
    kind = kind_of(data)
    causes = {
        "images": "belongs to --embeddings FILE",
        "vectors": "is about images; --embeddings has none",
    }
    for option in run_options():
        value = values.get(option.name, option.default)
        unset = value == option.default or (option.name, value) == ("sample", 0)
        if option.option.fits not in ("", kind) and not unset:
            raise OptionError(option.name, causes[kind], f"{option.flag} {causes[kind]}")
    for target in values.get("target", ()):
        if target != NO_TARGET and kind_of(target) != kind:
            cause = f"{target} is of {kind_of(target)}, and the data are {kind}"
            raise OptionError("target", cause, f"--target {cause}")
    scheme = (model or "").partition(":")[0]
    if scheme in _OWN_WEIGHTS and values.get("checkpoint") is not None:
        cause = f"replaces the weights of a network, and {_OWN_WEIGHTS[scheme]}: leave it out"
        raise OptionError("checkpoint", cause, f"--checkpoint {cause}")
    if scheme == "answers" and values.get("dtype") not in (None, RunSpec.dtype):
        cause = "belongs to a network, and answers have none: leave it out"
        raise OptionError("dtype", cause, f"--dtype {cause}")
    if kind == "vectors" and model is not None:
        cause = "the data are vectors, which have an encoder already: leave out --model"
        raise OptionError("model", cause, cause)
    if kind == "vectors" and values.get("head") == "zero-shot":
        cause = "zero-shot needs an encoder: pass --head FILE or --head probe"
        raise OptionError("head", cause, f"--head {cause}")


def unreadable_files(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields the options whose file cannot be opened, with the reason.

    Args:
        values: Values of options by name; those that name no file are ignored.
    """
    for name in FILES:
        path = values.get(name)
        names = name == "classes" and "," in str(path) and not os.path.exists(str(path))  # noqa: PTH110
        if path is None or names or (name == "head" and path in _NO_FILES):
            continue
        try:
            open_regular(path).close()
        except OSError as error:
            yield name, error.strerror or str(error)
        except (DamagedFileError, ValueError) as error:
            yield name, str(error)


def refuse_unreadable(values: Mapping[str, Any]) -> None:
    """Refuses options whose file cannot be opened, before anything is loaded.

    Raises:
        TuiprobeError: If there is one; of the kind that `FILES` names.
    """
    for name, reason in unreadable_files(values):
        raise FILES[name](f"{flag(name)} {plain(str(values[name])[:200])}: {reason}")


def rows_name(source: str) -> str:
    """Returns a name for the encoder of `vectors:FILE`: the last part of it that is no pattern.

    >>> rows_name("vectors:/data/vitb32.npy"), rows_name("vectors:img_emb/img_emb_*.npy")
    ('vitb32', 'img_emb')
    >>> rows_name("vectors:store.npz::train")
    'store-train'
    """
    source = source.removeprefix(VECTORS)
    file, colons, member = source.rpartition("::")
    path = PurePosixPath(file if colons else source)
    while path.name and any(letter in path.name for letter in "*?["):
        path = path.parent
    stem = path.stem or "vectors"
    return f"{stem}-{member}" if colons else stem


def filled(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields whose default depends on other fields, with defaults filled in.

    The miniature is a demonstration: with its models it brings concepts and a target set and
    takes under a minute; a full-size encoder gets fewer images and no concepts. Other concept sets
    are measured whole, because a concept needs 30 positives in each split.
    """
    model, data, sample = values["model"], values["data"], values.get("sample")
    if kind_of(data) == "vectors":
        targets = values.get("target") or ()
        return {"sample": None, "concepts": None, "concept_sample": None, "target": targets}
    concepts, concept_sample = values.get("concepts"), values.get("concept_sample")
    is_miniature = model.startswith("mini_")
    demonstration = is_miniature and data == DEFAULT_DATA
    if concepts is None and demonstration:
        concepts = "miniature"
    if concept_sample is None:  # an explicit --sample applies to every set
        concept_sample = sample
    if concept_sample is None and concepts == "miniature":
        concept_sample = MINIATURE_CONCEPT_SAMPLE
    if sample is None and data.partition(":")[0] == "miniature":
        sample = 2000 if is_miniature else 64
    return {
        "sample": DEFAULT_SAMPLE if sample is None else sample or None,
        "concepts": concepts,
        "concept_sample": concept_sample or None,
        "target": values.get("target") or ((MINIATURE_TARGET,) if demonstration else ()),
    }


def differing_options(spec: RunSpec, before: RunSpec, *changes: Changes) -> list[OptionField]:
    """Returns the options whose values differ from those of an earlier run.

    Device and batch size that a user leaves to the run are those that it chose.

    Args:
        spec: What is asked now.
        before: The spec of the earlier run, as it was recorded.
        changes: What another value of the options must change.
    """
    left = spec.device in (AUTO, before.device.partition(":")[0])
    settled = replace(
        spec,
        device=before.device if left else spec.device,
        batch_size=spec.batch_size or before.batch_size,
        require_weights=before.require_weights,  # decided by the report
    )
    return [
        option
        for option in run_options()
        if option.option.changes in changes
        and not option.option.stands_for
        and getattr(settled, option.name) != getattr(before, option.name)
    ]


def arguments_of(spec: RunSpec, names: Container[str] | None = None) -> list[str]:
    """Returns the fewest arguments of `tuiprobe --headless` that give this spec.

    Args:
        spec: The spec of a run.
        names: The fields that a report holds, which may be of another version; None for all.

    >>> arguments_of(make_spec("mini_clip", "my photos", {"sample": 0, "layers": ("a*",)}))
    ['--model', 'mini_clip', '--data', 'my photos', '--sample', '0', '--layers', 'a*']
    """
    # Each default depends on the ones before.
    unset = {"sample": None, "concepts": None, "concept_sample": None, "target": ()}
    given = {**vars(spec), **unset}
    for name, nothing in unset.items():
        value = getattr(spec, name)
        if filled(given)[name] != value:
            given[name] = run_option(name).option.typed_none if value == nothing else value
    if spec.kind == "vectors":
        given["model"] = None
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
    """Returns the arguments of a run's command; see `command_of`."""
    if spec.get(WATCHED):
        raise UsageError("it was measured by tuiprobe.watch, and by no command")
    targets = spec.get("target")
    several = targets if isinstance(targets, list | tuple) else []
    if any(map(_is_object, (spec.get("model"), spec.get("data"), *several))):
        raise UsageError("its model or its images were objects of Python, which no command has")
    known = {o.name: spec[o.name] for o in run_options() if o.name in spec}
    return ["--headless", *arguments_of(validated(RunSpec, known), known)]


def command_of(spec: Mapping[str, Any]) -> str:
    r"""Returns the command line of a run.

    Args:
        spec: The spec as in `results.json`; not trusted.

    Raises:
        UsageError: If it is not a spec of this version.

    >>> command_of({"model": "mini_clip", "data": "my photos", "sample": None, "layers": ["a*"]})
    "tuiprobe --headless --model mini_clip --data 'my photos' --sample 0 --layers 'a*'"
    """
    return shown_command(headless_arguments(spec))


def _is_object(name: object) -> bool:
    """Returns whether a name in a spec stands for an object that Python code handed over.

    >>> _is_object("py:SmallNet"), _is_object("py:net.py:model"), _is_object("photos")
    (True, False, False)
    """
    return isinstance(name, str) and name.startswith("py:") and name.count(":") == 1
