"""What `pip install tuiprobe` brings is what the program imports.

`installed.py` checks, in an environment that holds nothing else, that the default run uses it.
"""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def plain(name: str) -> str:
    """Returns the normal form of a package's name."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s\[<>=;!]", name)[0]).lower()


def declared(extra: str | None = None) -> set[str]:
    """Returns the packages that an install brings by name."""
    lines = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    return {plain(line) for line in lines}


def packages_of(modules: set[str]) -> set[str]:
    """Returns the packages that modules belong to, without the standard library and our own."""
    packages = packages_distributions()
    return {
        plain(package)
        for module in modules - sys.stdlib_module_names - {"tuiprobe", "tuiprobe_cuda"}
        for package in packages.get(module, [module])
    }


def imported() -> set[str]:
    """Returns the top names of all imports below `tuiprobe/`."""
    result = set()
    for path in (ROOT / "tuiprobe").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                result |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                result.add(node.module.partition(".")[0])
    return result


def test_what_is_imported_is_declared_and_the_other_way_round() -> None:
    optional = declared("hf") | declared("parquet") | declared("remote")
    optional |= declared("transformers") - {"protobuf", "sentencepiece"}  # imported by transformers
    optional |= {"ipython", "pandas"}  # imported where a notebook has loaded it, or for `to_frame`
    used = packages_of(imported())
    assert used - optional == declared()
    assert optional <= used
