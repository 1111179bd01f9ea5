"""Builds the C++ tests with AddressSanitizer and UBSan and runs them, one set of loops each."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    shutil.which("cmake") is None or (shutil.which("c++") is None and shutil.which("g++") is None),
    reason="no CMake or no C++ compiler",
)


def run(*command, **options):
    result = subprocess.run(command, capture_output=True, text=True, timeout=280, **options)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    return result.stdout


@pytest.fixture(scope="session")
def build(tmp_path_factory):
    folder = tmp_path_factory.mktemp("csrc")
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    options = ["-DTUIPROBE_BUILD_TESTS=ON", "-DTUIPROBE_WERROR=ON"]
    run("cmake", "-S", str(ROOT), "-B", str(folder), *generator, *options)
    run("cmake", "--build", str(folder), "--parallel", "2")
    return folder / "tests" / "csrc"


def test_monoids(build):
    run(build / "test_monoids")


@pytest.mark.parametrize("isa", ["generic", "avx2", "avx512"])
def test_update(build, isa):
    if "skipped" in run(build / "test_update", isa):
        pytest.skip(f"this machine has no {isa}")
