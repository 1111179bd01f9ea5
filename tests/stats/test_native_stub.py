"""`_native.pyi` says of the native module what pybind11 says of it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import tuiprobe
from tuiprobe.stats._native import native

STUB = Path(tuiprobe.__file__).with_name("_native.pyi")
CUDA_ONLY = {"DeviceState.update"}


def kind(annotation: str) -> str:
    """Reduces a type, as pybind11 or the stub writes it, to what must agree."""
    dtype = re.search(r"(?:np|numpy)\.((?:u?int|float)\d+)", annotation)
    if dtype:
        return f"array of {dtype[1]}"
    for words, result in (("FixedSize|Sequence", "ints"), ("Supports", "int")):
        if re.search(words, annotation):
            return result
    return annotation.removeprefix("tuiprobe._native.").partition("[")[0]


def signature(text: str) -> tuple[list[tuple[str, str]], str]:
    """Returns name and kind of every argument but self, and what comes back.

    A name starts with `*` if it must be used and is `/` if it cannot be; a default follows it.
    """
    (function,) = ast.parse(f"def {text}: ...").body
    assert isinstance(function, ast.FunctionDef)
    given = function.args
    plain = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(plain) - len(given.defaults)) + given.defaults
    result = []
    for argument, default in zip(plain, defaults, strict=True):
        nameless = argument in given.posonlyargs or argument.arg.startswith("arg")
        name = "/" if nameless else argument.arg
        result.append((f"{name}={ast.unparse(default)}" if default else name, argument))
    result += [(f"*{argument.arg}", argument) for argument in given.kwonlyargs]
    assert function.returns is not None
    return [
        (name, kind(ast.unparse(argument.annotation or ast.Name("object"))))
        for name, argument in result
        if argument.arg != "self"
    ], ast.unparse(function.returns).partition("[")[0]


def stubbed() -> Iterator[tuple[str, str]]:
    """Yields each function and method of the stub with its signature."""

    def of(body: list[ast.stmt], owner: str) -> Iterator[tuple[str, str]]:
        for node in body:
            if isinstance(node, ast.ClassDef):
                yield from of(node.body, f"{node.name}.")
            elif isinstance(node, ast.FunctionDef):
                returns = ast.unparse(node.returns) if node.returns else ""
                yield f"{owner}{node.name}", f"{node.name}({ast.unparse(node.args)}) -> {returns}"

    yield from of(ast.parse(STUB.read_text()).body, "")


def built() -> Iterator[tuple[str, str]]:
    """Yields each function and method of the module with the signature that pybind11 wrote."""
    for name, thing in vars(native).items():
        if isinstance(thing, type):
            for method, function in vars(thing).items():
                if method == "__init__" or not method.startswith("_"):
                    yield f"{name}.{method}", function.__doc__.splitlines()[0]
        elif callable(thing) and not name.startswith("_"):
            yield name, thing.__doc__.splitlines()[0]


def test_the_stub_names_what_the_module_has() -> None:
    in_stub, in_module = dict(stubbed()), dict(built())
    assert in_stub.keys() - CUDA_ONLY == in_module.keys() - CUDA_ONLY
    assert in_stub.keys() >= CUDA_ONLY
    constants = [
        node.target.id
        for node in ast.parse(STUB.read_text()).body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    ]
    assert sorted(constants) == sorted(name for name in vars(native) if name.isupper())


@pytest.mark.parametrize(("name", "written"), stubbed(), ids=lambda value: value.split("(")[0])
def test_signatures_agree(name: str, written: str) -> None:
    true = dict(built()).get(name)
    if true is None:
        assert name in CUDA_ONLY
        pytest.skip("built without CUDA")
    (theirs, returned), (ours, promised) = signature(true), signature(written)
    assert promised == returned
    assert [argument for argument, _ in ours] == [argument for argument, _ in theirs]
    for (argument, stub), (_, module) in zip(ours, theirs, strict=True):
        assert module in (stub, "object"), argument  # pybind11 checks an object in C++
