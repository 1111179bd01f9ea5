"""What keeps the project in order is itself in order: hooks, templates, lanes, the version."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from graphlib import TopologicalSorter
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

import pytest
import yaml

import tuiprobe

ROOT = Path(__file__).resolve().parent.parent
HOOKS: list[dict[str, Any]] = [
    hook
    for repo in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    for hook in repo["hooks"]
]
COMMANDS = [hook for hook in HOOKS if hook["language"] == "system"]


def extra(name: str) -> set[str]:
    """Returns the packages of an extra of this project."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {
        re.split(r"[^\w-]", line, maxsplit=1)[0] for line in project["optional-dependencies"][name]
    }


def test_all_hooks_work_without_a_network() -> None:
    assert {hook["language"] for hook in HOOKS} == {"system", "pygrep"}
    for hook in HOOKS:
        if hook["language"] == "pygrep":
            re.compile(hook["entry"].encode())


@pytest.mark.parametrize("hook", COMMANDS, ids=lambda hook: hook["id"])
def test_the_command_of_a_hook_comes_with_the_extra_for_development(hook: dict[str, Any]) -> None:
    command, *_ = hook["entry"].split()
    folder, _, name = command.rpartition("/")
    assert folder == ".venv/bin"
    installed = {one.name.replace("_", "-"): one for one in distributions()}
    missing = extra("dev") - installed.keys()
    if missing:
        pytest.skip(f"needs the extra dev: {', '.join(sorted(missing))}")
    scripts = {
        Path(file).name for package in extra("dev") for file in installed[package].files or ()
    }
    assert name in scripts


@pytest.mark.parametrize(
    "form", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda f: f.name
)
def test_a_form_has_what_github_asks_for(form: Path) -> None:
    found = yaml.safe_load(form.read_text())
    assert {"name", "description", "body"} <= found.keys()
    assert [one["type"] for one in found["body"] if one["type"] != "markdown"]
    ids = [one["id"] for one in found["body"] if "id" in one]
    assert len(ids) == len(set(ids))


def test_the_version_stands_in_one_file() -> None:
    assert version("tuiprobe") == tuiprobe.__version__
    code = "import sys, tuiprobe; print('importlib.metadata' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


@pytest.mark.parametrize("script", sorted((ROOT / ".ci").iterdir()), ids=lambda path: path.name)
def test_scripts_can_be_run_and_name_files_that_exist(script: Path) -> None:
    assert script.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", script], check=True)
    named = re.findall(r"(?<![\w/-])(?:tests|packages)/[\w/.]+", script.read_text())
    assert [one for one in named if not (ROOT / one).exists()] == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports inside functions count, and those for type checkers; `prepare` names a circle."""
    grimp = pytest.importorskip("grimp", reason="comes with import-linter, of the extra dev")
    graph = grimp.build_graph("tuiprobe", cache_dir=None)
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    imports["tuiprobe"] = set()  # its public names, imported when they are asked for
    assert len(imports) > 100
    TopologicalSorter(imports).prepare()


def test_the_name_of_a_public_class_means_one_thing() -> None:
    """But for what each probe calls by the word of the protocol."""
    places = defaultdict(list)
    for file in sorted((ROOT / "tuiprobe").rglob("*.py")):
        for node in ast.parse(file.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(file.relative_to(ROOT)))
    assert len(places) > 300
    shared = {name: files for name, files in places.items() if len(files) > 1}
    assert shared.keys() <= {"Inputs", "Options", "Result"}, shared
