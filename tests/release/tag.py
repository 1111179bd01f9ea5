"""Checks that a tag fits version, changelog, citation and address: `python tag.py v0.2.0`."""

import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def problems(tag: str, changelog: str, version: str) -> list[str]:
    """Lists the changes that a tag needs before it is a release.

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


def citation_problems(citation: str, changelog: str, version: str) -> list[str]:
    """Returns the fields of CITATION.cff that differ from version and date of the release."""
    dates = re.findall(rf"^## \[{re.escape(version)}\] - (.+)$", changelog, re.MULTILINE)
    expected = {"version": version, "date-released": "".join(dates)}
    fields = dict(re.findall(r'^([a-z-]+): "?([^"\n]+)"?$', citation, re.MULTILINE))
    return [
        f"CITATION.cff has {field}: {fields.get(field)}, the release {value or 'none'}"
        for field, value in expected.items()
        if fields.get(field) != value
    ]


def address_problems(project: str, repository: str) -> list[str]:
    """Lists the links of pyproject.toml to another repository than this, OWNER/NAME."""
    bases = re.findall(r"https://(?:github|raw\.githubusercontent)\.com/([\w.-]+/[\w.-]+)", project)
    others = sorted({base for base in bases if base != repository})
    return [
        f"pyproject.toml names the repository {other}, this is {repository}" for other in others
    ]


def version_of(source: str) -> str:
    """Returns the version that the text of `tuiprobe/__init__.py` names."""
    (version,) = re.findall(r'^__version__ = "(.+)"$', source, re.MULTILINE)
    return str(version)


if __name__ == "__main__":
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    version = version_of((ROOT / "tuiprobe" / "__init__.py").read_text("utf-8"))
    wrong = problems(sys.argv[1], changelog, version)
    wrong += citation_problems((ROOT / "CITATION.cff").read_text("utf-8"), changelog, version)
    if repository := os.environ.get("GITHUB_REPOSITORY"):
        project = (ROOT / "pyproject.toml").read_text("utf-8")
        wrong += address_problems(project, repository)
    sys.exit("\n".join(wrong) or None)  # an empty message would be a failure too
