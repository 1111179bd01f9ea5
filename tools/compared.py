"""Compares what two runs hold: ids, counts, bits of measured arrays, and derived figures.

Every value of a run has a path, such as `figures/outliers/kurtosis|val|embedding/value`. Whatever
the first run has must be in the second, and must agree.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

TOLERANCE = 1e-12
"""Largest difference of derived figures, as a part of the larger one."""

PLACED = ("id", "data", "place")
"""Fields that identify a figure or a set of a part."""

COMPARED_APART = ("figures", "facts", "sets", "section", "title", "not_run", "remedy")
"""Fields of a part that are compared in another way, or are texts."""

TEXTS = frozenset(
    (
        *("apart_why", "cause", "detail", "digest", "fix", "head", "head_why", "method", "note"),
        *("reason", "reasons", "remedy", "rule", "source", "strong", "title", "unit", "why"),
    )
)
"""Fields whose texts may be worded better and whose checksums may change; they must be there."""

DERIVED_ARRAYS = "arrays/per_image.safetensors/"
"""Begins the paths of arrays that probes compute; all others are measured."""

ARRAYS = ("*.safetensors", "features/*/*.safetensors", "rows/*.safetensors")
"""Files of arrays that are compared: what is merged, and no shards."""

Leaves = dict[str, Any]
"""Values of a run by path."""


def leaves_of(run: Path) -> Leaves:
    """Returns everything of a run directory that is compared.

    Raises:
        ValueError: If two values have one path, so that one of them would not be compared.
    """
    leaves: Leaves = {}
    for path, value in report_leaves(json.loads((run / "results.json").read_text("utf-8"))):
        if path in leaves:
            raise ValueError(f"{run}: two values are called {path}")
        leaves[path] = value
    for pattern in ARRAYS:
        for file in sorted(run.glob(pattern)):
            name = file.relative_to(run).as_posix()
            leaves |= {f"arrays/{name}/{key}": array for key, array in load_file(file).items()}
    for file in sorted(run.parent.glob(f"{run.name}-*.json")):
        answer = json.loads(file.read_text("utf-8"))
        leaves |= _tree(f"answers/{file.stem.rpartition('-')[2]}", answer)
    return leaves


def report_leaves(report: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yields the values of a `results.json` by path; lists with ids by id, others by index."""
    yield "partial", report["partial"]
    yield from _tree("model", report["model"])
    yield from _tree("data", {data["name"]: data for data in report["data"]})
    for part in report["parts"]:
        probe = part["probe"]
        yield f"probes/{probe}", part["result"] is not None
        yield from _tree(
            f"parts/{probe}", {k: v for k, v in part.items() if k not in COMPARED_APART}
        )
        yield from _tree(f"facts/{probe}", {fact["id"]: fact["value"] for fact in part["facts"]})
        for kind in ("figures", "sets"):
            for named in part[kind]:
                path = f"{kind}/{probe}/" + "|".join(named[name] for name in PLACED)
                yield from _tree(
                    path, {k: v for k, v in named.items() if k not in (*PLACED, "name")}
                )
        for block in (part["section"] or {}).get("content", ()):
            yield from _block_leaves(probe, block)


def _block_leaves(probe: str, block: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yields the figures of a table, chart or strip; words around them are texts for people."""
    if "id" not in block:
        return
    path = f"{block['kind']}s/{probe}/{block['id']}"
    if block["kind"] == "table":
        yield f"{path}/rows", len(block["rows"])
        for place, column in enumerate(block["columns"]):
            cells = [row[place] for row in block["rows"]]
            cells = [None if isinstance(cell, str) else cell for cell in cells]
            yield from _tree(f"{path}/{column['id']}", cells)
    elif block["kind"] == "chart":
        series = [
            {name: line[name] for name in ("x", "y", "low", "high")} for line in block["series"]
        ]
        yield from _tree(f"{path}/series", series)
    else:
        yield from _tree(f"{path}/ends", [end["images"] for end in block["ends"]])


def _tree(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yields the leaves of plain data; a list also yields its length."""
    items = value if isinstance(value, list) else [value]
    if path.rpartition("/")[2] in TEXTS and all(isinstance(item, str) for item in items):
        yield path, "a text"
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _tree(f"{path}/{name}", item)
    elif isinstance(value, list):
        yield f"{path}/#", len(value)
        for index, item in enumerate(value):
            yield from _tree(f"{path}/{index}", item)
    else:
        yield path, value


@dataclass
class RunDifference:
    """How two runs compare.

    Attributes:
        equal: How many paths agree.
        missing: Paths that only the base has.
        differing: Sentences on paths whose values differ.
        new: Paths that only this checkout has; they are reported and no failure.
    """

    equal: int = 0
    missing: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether something is missing or differs."""
        return bool(self.missing or self.differing)


def compare(base: Leaves, now: Leaves) -> RunDifference:
    """Compares what two runs hold; all that the base has must agree."""
    difference = RunDifference(new=[path for path in now if path not in base])
    for path, value in base.items():
        exact = path.startswith("arrays/") and not path.startswith(DERIVED_ARRAYS)
        reason = "" if path not in now else difference_of(value, now[path], exact)
        if path in now and not reason:
            difference.equal += 1
        elif path not in now:
            difference.missing.append(path)
        else:
            difference.differing.append(f"{path}: {reason}")
    return difference


def difference_of(base: Any, now: Any, exact: bool) -> str:
    """Returns how two values differ; empty if they agree.

    Args:
        base: A value of plain data, or an array.
        now: Likewise.
        exact: Whether every bit of an array must agree.
    """
    if isinstance(base, np.ndarray):
        return _arrays_differ(base, now, exact)
    kinds = {type(base), type(now)}
    if float in kinds and kinds <= {int, float}:  # JSON may write 1.0 or 1
        equal = base == now or abs(base - now) <= TOLERANCE * max(abs(base), abs(now))
    else:
        equal = type(base) is type(now) and base == now
    return "" if equal else f"{base!r} was, {now!r} is"


def _arrays_differ(base: NDArray[Any], now: NDArray[Any], exact: bool) -> str:
    if (base.dtype, base.shape) != (now.dtype, now.shape):
        return f"{base.dtype} {base.shape} was, {now.dtype} {now.shape} is"
    if base.tobytes() == now.tobytes():
        return ""
    if exact or not np.issubdtype(base.dtype, np.floating):
        return f"{np.count_nonzero(base != now)} of {base.size} values differ"
    close = np.isclose(now, base, rtol=TOLERANCE, atol=0, equal_nan=True)
    return "" if close.all() else f"{np.count_nonzero(~close)} of {base.size} values moved too far"
