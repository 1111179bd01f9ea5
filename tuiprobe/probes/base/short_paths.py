"""Reports hold the last part of each path; `spec.json` and `plan.json` keep paths whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tuiprobe.datasets.registry import last_part
from tuiprobe.results import Report
from tuiprobe.spec import path_options

_PATTERN: Final = re.compile(r"[*?\[{]")


def without_folders(report: Report, places: Iterable[str]) -> Report:
    """Returns the report with the last part of each path, in every text that it holds.

    Args:
        report: Of a run as it was specified and planned.
        places: Further paths and data sources of the run.
    """
    fields = report.model_dump(mode="json")
    paths = [text for name in path_options() for text in _texts(fields["spec"].get(name))]
    paths += [data["source"] for data in fields["data"]]
    if report.model.weights.kind in ("checkpoint", "unknown", "answers"):
        paths.append(report.model.weights.source)
    shorter = {text: last_part(text) for text in paths}
    for text in (*places, *paths, *_texts(fields["spec"])):
        for folder in _folders(text):
            shorter |= {f"{folder}/": "", folder: Path(folder).name}
    replace = _replacement({text: short for text, short in shorter.items() if text != short})
    return Report.model_validate(_changed(fields, replace))


def _folders(text: str) -> Iterator[str]:
    """Yields the folder of each absolute path in an option or a data source.

    >>> list(_folders("torchvision:CIFAR10:/home/me/data:test")), list(_folders("open_clip:a/b"))
    (['/home/me'], [])
    """
    for part in re.split(r"[:=](?=[/~])", text):
        for path in {part, str(Path(part).expanduser())} if part.startswith(("/", "~/")) else ():
            folder = str(Path(_PATTERN.split(path)[0] + "x").parent)
            if folder not in ("/", "~"):
                yield folder


def _replacement(shorter: Mapping[str, str]) -> Callable[[str], str]:
    """Returns a function that shortens paths in a text, neither within words nor longer paths."""
    # Longest first, so that a folder goes before the folder that it lies in.
    ordered = sorted(shorter, key=len, reverse=True)
    ends = {
        text: re.escape(text) + ("" if text.endswith("/") else r"(?![\w-])") for text in ordered
    }
    absolute = "|".join(ends[text] for text in ordered if text.startswith(("/", "~")))
    relative = "|".join(ends[text] for text in ordered if not text.startswith(("/", "~")))
    patterns = [rf"(?<![\w.-])(?=[/~])(?:{absolute})"] if absolute else []
    patterns += [rf"(?<![\w./-])(?:{relative})"] if relative else []
    if not patterns:
        return lambda text: text
    replace = re.compile("|".join(patterns)).sub
    return lambda text: replace(lambda match: shorter[match[0]], text) if "/" in text else text


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    """Returns plain data with every text changed."""
    if isinstance(value, dict):
        return {name: _changed(item, change) for name, item in value.items()}
    if isinstance(value, list):
        return [_changed(item, change) for item in value]
    return change(value) if isinstance(value, str) else value
