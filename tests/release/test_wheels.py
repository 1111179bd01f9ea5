"""What users download: which wheels, what is in them, which module a process takes."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest
import torch

import tuiprobe
from tuiprobe.errors import TuiprobeError
from tuiprobe.models.checks import doctor
from tuiprobe.stats import _native

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PROJECTS = {"tuiprobe": ROOT, "tuiprobe-cuda": ROOT / "packages" / "cuda"}
EVERY = pytest.mark.parametrize("name", PROJECTS)
INSTALLED = {distribution.name.replace("_", "-") for distribution in distributions()}


def settings(name: str) -> dict[str, Any]:
    """Returns the pyproject.toml of one of the two packages."""
    return tomllib.loads((PROJECTS[name] / "pyproject.toml").read_text("utf-8"))


@EVERY
def test_wheels_are_built_for_every_python_that_is_supported(name: str) -> None:
    package = settings(name)
    tags = [f"cp{version.replace('.', '')}-*" for version in PYTHONS]
    assert package["tool"]["cibuildwheel"]["build"].split() == tags
    assert package["project"]["requires-python"] == ">=3.11,<3.15"
    prefix = "Programming Language :: Python :: "
    classifiers = settings("tuiprobe")["project"]["classifiers"]
    assert [classifier for classifier in classifiers if classifier.startswith(prefix)] == [
        prefix + v for v in PYTHONS
    ]


def test_the_description_of_the_wheel_has_no_relative_link() -> None:
    from tests.release.wheel_contents import dead_links

    hook = settings("tuiprobe")["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    (part,) = hook["fragments"]
    text = (ROOT / part["path"]).read_text("utf-8")
    assert len([*dead_links(text)]) > 20
    for one in hook["substitutions"]:
        text = re.sub(one["pattern"], one["replacement"], text)
    assert [*dead_links(text)] == []
    urls = settings("tuiprobe")["project"]["urls"]
    repository = urls["Source"].removeprefix("https://github.com/")
    ours = [url for name, url in urls.items() if name != "Paper"]
    assert {"/".join(url.split("/")[3:5]) for url in ours} == {repository}
    version = r"v\$HFPR_VERSION"
    pages = re.findall(rf"\]\(https://github\.com/{repository}/blob/{version}/([^)#]+)", text)
    pages += re.findall(
        rf"https://raw\.githubusercontent\.com/{repository}/{version}/([^)]+)", text
    )
    assert len(pages) > 20
    assert [page for page in pages if not (ROOT / page).is_file()] == []


def write_wheel(path: Path, members: dict[str, Path | bytes]) -> Path:
    """Writes a wheel with these members."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content if isinstance(content, bytes) else content.read_bytes())
    return path


MODULE = Path(_native.native.__file__)
TORCH = Path(torch.__file__).parent / "lib" / "libshm.so"
"""A small library of torch, which links the others."""
LINKED = ["needs libc10.so", "needs libgomp", "needs the symbol _ZN3c10"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads ELF files")
@pytest.mark.skipif("pyelftools" not in INSTALLED, reason="needs the extra dev: pyelftools")
@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"tuiprobe/_native.so": MODULE}, []),
        ({"tuiprobe/_native.so": TORCH}, LINKED),
        ({"tuiprobe/_native.so": MODULE, "a.libs/libgomp-1.so.1": b""}, ["folders", "shared"]),
        ({"tuiprobe/__init__.py": b""}, ["shared libraries: none"]),
        (
            {"tuiprobe/_native.so": MODULE, "a.dist-info/METADATA": b"[see](docs/a.md)"},
            ["relative link docs/a.md"],
        ),
        ({"tuiprobe/_native.so": MODULE, "tuiprobe/big": bytes(25_000_000)}, ["MB, limit 25 MB"]),
    ],
    ids=["good", "torch", "vendored", "pure", "links", "big"],
)  # fmt: skip
def test_a_wheel_that_is_not_as_it_should_be_is_refused(members, words, tmp_path):
    from tests.release.wheel_contents import problems

    result = list(problems(write_wheel(tmp_path / "a.whl", members)))
    assert bool(result) == bool(words)
    for word in words:
        assert any(word in line for line in result), result


def cuda_package(folder: Path, module: str) -> Path:
    """Writes a package `tuiprobe_cuda` with a native module in Python."""
    package = folder / "tuiprobe_cuda"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "_native.py").write_text(module, "utf-8")
    return package


def test_a_module_of_another_version_is_refused(tmp_path, monkeypatch):
    for name in ("tuiprobe_cuda", "tuiprobe_cuda._native"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert tuiprobe.__version__ == _native.load_native().VERSION
    cuda_package(tmp_path, "VERSION = '0.0.1'")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TuiprobeError, match=r"of version 0\.0\.1, tuiprobe of .*tuiprobe-cuda=="):
        _native.load_native()


@pytest.mark.slow
def test_the_module_of_the_extra_is_used_where_it_is_installed(tmp_path: Path) -> None:
    package = cuda_package(tmp_path, "")
    (package / "_native.py").unlink()
    shutil.copy(MODULE, package / MODULE.name)
    code = "from tuiprobe.stats import _native; print(_native.native.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.split() == ["tuiprobe_cuda._native"]


@pytest.mark.parametrize(("reason", "status"), [("no kernels", "warn"), ("", "pass")])
def test_doctor_says_how_a_gpu_without_kernels_gets_them(reason, status, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(_native.native, "cuda_reason", lambda device: reason)
    core, kernels = doctor.check_native()
    assert (core.status, kernels.status, reason in kernels.detail) == ("pass", status, True)
    assert "pip install 'tuiprobe[cuda]'" in (kernels.fix or "")
