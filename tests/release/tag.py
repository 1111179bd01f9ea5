"""Checks that a tag fits version and changelog: `python tag.py v0.2.0`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def problems(tag: str, changelog: str, version: str) -> list[str]:
    """Returns what must change before a tag is a release.

    Args:
        tag: Such as `v0.2.0`.
        changelog: Text of CHANGELOG.md.
        version: `tuiprobe.__version__`.
    """
    result = []
    if tag != f"v{version}":
        result.append(f"the tag is {tag}, tuiprobe/__init__.py says {version}")
    headings = re.findall(r"^## (.+)$", changelog, re.MULTILINE)
    dated = rf"\[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d"
    if headings[:1] != ["[Unreleased]"] or not re.fullmatch(dated, "".join(headings[1:2])):
        result.append(f"CHANGELOG.md must begin with [Unreleased] and [{version}] - YYYY-MM-DD")
    unreleased = changelog.partition("## [Unreleased]")[2].partition("\n## ")[0].strip()
    if unreleased:
        result.append("CHANGELOG.md has entries under [Unreleased]: move them to the release")
    return result


def version_of(source: str) -> str:
    """Returns the version that the text of `tuiprobe/__init__.py` names."""
    (version,) = re.findall(r'^__version__ = "(.+)"$', source, re.MULTILINE)
    return str(version)


if __name__ == "__main__":
    wrong = problems(
        sys.argv[1],
        (ROOT / "CHANGELOG.md").read_text("utf-8"),
        version_of((ROOT / "tuiprobe" / "__init__.py").read_text("utf-8")),
    )
    sys.exit("\n".join(wrong) or None)  # an empty message would be a failure too
