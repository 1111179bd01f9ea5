"""What keeps the project in order: hooks, the version, imports without circles, names."""

import ast
import re
import tomllib
from collections import defaultdict
from functools import cache
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


@cache
def package() -> dict[Path, ast.Module]:
    """Returns the syntax trees of all modules of the program."""
    return {
        file: ast.parse(file.read_text("utf-8"))
        for file in sorted((ROOT / "tuiprobe").rglob("*.py"))
    }


def test_hooks_work_without_a_network_by_the_extra_for_development() -> None:
    assert {hook["language"] for hook in HOOKS} == {"system", "pygrep"}
    commands = {hook["entry"].split()[0] for hook in HOOKS if hook["language"] == "system"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extra = {re.split(r"[^\w-]", line)[0] for line in project["optional-dependencies"]["dev"]}
    installed = {
        distribution.name.replace("_", "-"): distribution for distribution in distributions()
    }
    if missing := extra - installed.keys():
        pytest.skip(f"needs the extra dev: {', '.join(sorted(missing))}")
    files = [Path(file) for package in extra for file in installed[package].files or ()]
    assert commands <= {f".venv/bin/{file.name}" for file in files}


def test_the_version_stands_in_one_file() -> None:
    assert version("tuiprobe") == tuiprobe.__version__


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports inside functions count, and those for type checkers; `prepare` names a circle."""
    grimp = pytest.importorskip("grimp", reason="comes with import-linter, of the extra dev")
    graph = grimp.build_graph("tuiprobe", cache_dir=None)
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    imports["tuiprobe"] = set()  # its public names, imported when they are asked for
    assert len(imports) > 100
    TopologicalSorter(imports).prepare()


def test_a_public_type_name_means_one_thing() -> None:
    """Classes and aliases of types, but for what each probe calls by the word of the protocol."""
    places = defaultdict(list)
    for file, tree in package().items():
        for node in () if file.name.startswith("_") else tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", 0)]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            for name in [node.name] if isinstance(node, ast.ClassDef) else names:
                if re.match(r"[A-Z]\w*[a-z]", name):
                    places[name].append(str(file.relative_to(ROOT)))
    assert len(places) > 300
    shared = {name: files for name, files in places.items() if len(files) > 1}
    assert shared.keys() <= {"Inputs", "Options", "Result"}, shared


def test_what_tests_share_is_annotated() -> None:
    """mypy knows the types of all that tests call; pytest alone calls the tests."""
    files = [file for file in (ROOT / "tests").rglob("*.py") if not file.name.startswith("test_")]
    assert len(files) > 50
    missing = [
        f"{file.relative_to(ROOT)}:{node.lineno} {node.name}"
        for file in files
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for given in [[*node.args.args, *node.args.kwonlyargs]]
        if node.returns is None
        or any(one.annotation is None for one in given if one.arg not in ("self", "cls"))
    ]
    assert missing == []


def test_functions_say_what_they_do() -> None:
    """The first line of a docstring is in the indicative: "Returns …"; ruff checks the rest.

    Commands are an exception: their first line is help text, which tells the user what to do.
    """
    strange = [
        f"{file.relative_to(ROOT)}:{node.lineno} {node.name}: {text.split()[0]}"
        for file, tree in package().items()
        if file.parent.name != "cli"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not {"property", "cached_property"} & {*map(ast.unparse, node.decorator_list)}
        and (text := ast.get_docstring(node))
        and not re.fullmatch(r"[A-Z][a-z-]*s[,.:;]?", text.split()[0])
    ]
    assert strange == []


def test_every_benchmark_has_a_title_of_its_own() -> None:
    titles = [
        re.findall(r'^TITLE(?:: Final)? = "(.+)"$', path.read_text(), re.MULTILINE)
        for path in (ROOT / "benchmarks").glob("[!_]*.py")
        if path.stem != "gpu"
    ]
    assert all(len(title) == 1 for title in titles)
    assert len({*map(tuple, titles)}) == len(titles)
    headings = re.findall(r"^## (.+)$", (ROOT / "benchmarks/RESULTS.md").read_text(), re.MULTILINE)
    assert len({*headings}) == len(headings)


HABITS = re.compile(
    r"such (?:ranges|figures|estimates)|\b(?:held|holds) the truth|\b(?:likewise|anew|whoever)\b|"
    r"\b(?:however often|what is left|nothing is left|is there twice|no dearer|would tell)\b|"
    r"\bminus it\b|\b(?:lies?|stands?|column|folders?|class|weights|labels) beside\b|"
    r"\bone a (?:line|row|class)\b",
    re.IGNORECASE,
)
"""Words that readers had to read twice."""


def test_what_users_read_has_none_of_the_habits_that_make_them_read_twice() -> None:
    """Pages without their code, and the strings of the package without its docstrings."""
    texts = {
        f"{page.relative_to(ROOT)}:{number}": line
        for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
        for number, line in enumerate(_prose(page.read_text("utf-8")), 1)
    }
    for file, tree in package().items():
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        texts |= {
            f"{file.relative_to(ROOT)}:{node.lineno}:{node.col_offset}": node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
            if id(node) not in docstrings
        }
    assert len(texts) > 5_000
    found = {place: HABITS.findall(text) for place, text in texts.items() if HABITS.search(text)}
    assert found == {}


def _prose(page: str) -> list[str]:
    """Returns the lines of a page; those of code are empty."""
    return re.sub(r"(?ms)^```.*?^```", lambda code: "\n" * code[0].count("\n"), page).splitlines()
