"""Installs the package of a stranger into a scratch path, as pip would, without pip."""

import shutil
import subprocess
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.prepared import Prepared

PACKAGE = Path(__file__).with_name("package")

Typed = Callable[..., subprocess.CompletedProcess[str]]


def register(site: Path, name: str, version: str, groups: Mapping[str, Mapping[str, str]]) -> None:
    """Writes what makes a folder on the path an installed package with entry points."""
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = []
    for group, entries in groups.items():
        lines += [f"[{group}]", *(f"{key} = {target}" for key, target in entries.items()), ""]
    (info / "entry_points.txt").write_text("\n".join(lines))


def install(site: Path) -> Path:
    """Installs the stranger's package below a folder."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    shutil.copytree(PACKAGE / project["name"], site / project["name"])
    register(site, project["name"], project["version"], project["entry-points"])
    return site


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder in which the package of a stranger is installed."""
    return install(tmp_path_factory.mktemp("site"))


@pytest.fixture
def typed(prepared: Prepared, tmp_path: Path) -> Typed:
    """Returns a function that runs a command line with a folder on the path."""

    def run(site: Path | None, *arguments: str) -> subprocess.CompletedProcess[str]:
        before = [] if site is None else [("tests.hooks:on_the_path", [str(site)])]
        return prepared.run(*arguments, cwd=tmp_path, before=before)

    return run
