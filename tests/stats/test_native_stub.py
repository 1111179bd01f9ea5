"""`_native.pyi` says of the native module what pybind11 says of it, which stubtest cannot read."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import tuiprobe
from tuiprobe.stats._native import native

STUB = ast.parse(Path(tuiprobe.__file__).with_name("_native.pyi").read_text())
CUDA_ONLY = {"DeviceState.update"}


def kind(annotation: str) -> str:
    """Reduces a type, as pybind11 or the stub writes it, to what must agree."""
    if annotation.endswith("| None"):
        return "object"  # pybind11 checks it in C++
    dtype = re.search(r"(?:np|numpy)\.((?:u?int|float)\d+)", annotation)
    if dtype:
        return f"array of {dtype[1]}"
    for words, result in (("FixedSize|Sequence", "ints"), ("Supports", "int")):
        if re.search(words, annotation):
            return result
    return annotation.removeprefix("tuiprobe._native.").partition("[")[0]


def signature(function: ast.stmt) -> str:
    """Returns the arguments with their kinds and defaults, and what comes back."""
    assert isinstance(function, ast.FunctionDef)
    given = function.args
    for number, argument in enumerate(given.posonlyargs[1:]):
        argument.arg = f"arg{number}"  # as pybind11 calls them
    given.args[:0], given.posonlyargs = given.posonlyargs, []
    for argument in (*given.args, *given.kwonlyargs):
        written = ast.unparse(argument.annotation or ast.Name("self"))
        argument.annotation = ast.Name("self" if argument.arg == "self" else kind(written))
    returned = ast.unparse(function.returns or ast.Name("None")).partition("[")[0]
    return f"({ast.unparse(given)}) -> {returned}"


def stubbed(body: list[ast.stmt], owner: str = "") -> Iterator[tuple[str, str]]:
    """Yields each function and method of the stub with its signature."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from stubbed(node.body, f"{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            yield f"{owner}{node.name}", signature(node)


def built(names: Mapping[str, object], owner: str = "") -> Iterator[tuple[str, str]]:
    """Yields each function and method of the module with the signature that pybind11 wrote."""
    for name, thing in names.items():
        if isinstance(thing, type):
            yield from built(vars(thing), f"{name}.")
        elif callable(thing) and (name == "__init__" or not name.startswith("_")):
            (function,) = ast.parse(f"def {thing.__doc__.splitlines()[0]}: ...").body
            yield f"{owner}{name}", signature(function)


def test_the_stub_says_what_the_module_has() -> None:
    in_stub, in_module = dict(stubbed(STUB.body)), dict(built(vars(native)))
    assert in_stub.keys() - CUDA_ONLY == in_module.keys() - CUDA_ONLY
    assert in_stub | in_module == in_stub  # without CUDA the module has less
    constants = [node.target.id for node in STUB.body if isinstance(node, ast.AnnAssign)]
    assert sorted(constants) == sorted(name for name in vars(native) if name.isupper())
