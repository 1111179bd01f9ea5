"""Globs over dotted layer names."""

from __future__ import annotations

import fnmatch


def matches(name: str, pattern: str) -> bool:
    """Says whether a layer's name matches a glob: `*` stops at a dot, `**` does not.

    >>> matches("layer1", "layer*"), matches("layer1.0", "layer*"), matches("layer1.0", "layer*.*")
    (True, False, True)
    >>> matches("blocks.3.attn.qkv", "blocks.**.qkv"), matches("blocks.3", "**")
    (True, True)
    """
    return _matches(name.split("."), pattern.split("."))


def _matches(names: list[str], patterns: list[str]) -> bool:
    if not patterns:
        return not names
    if patterns[0] == "**":
        return any(_matches(names[i:], patterns[1:]) for i in range(len(names) + 1))
    return (
        bool(names)
        and fnmatch.fnmatchcase(names[0], patterns[0])
        and _matches(names[1:], patterns[1:])
    )
