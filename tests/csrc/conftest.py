"""Builds the C++ tests, once for all test processes."""

import fcntl
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, **options: Any) -> str:
    """Runs a program that must succeed; returns what it printed."""
    result = subprocess.run(command, capture_output=True, text=True, timeout=900, **options)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    printed: str = result.stdout
    return printed


def built(*targets: str) -> Path:
    """Builds in a folder kept between runs; returns the folder of the programs."""
    if not shutil.which("cmake") or not (shutil.which("c++") or shutil.which("g++")):
        pytest.skip("no CMake or no C++ compiler")
    folder = ROOT / "build" / "csrc-tests"
    folder.mkdir(parents=True, exist_ok=True)
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    options = ["-DTUIPROBE_BUILD_TESTS=ON", "-DTUIPROBE_WERROR=ON"]
    if shutil.which("ccache"):
        options.append("-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run("cmake", "-S", str(ROOT), "-B", str(folder), *generator, *options)
        run("cmake", "--build", str(folder), "--parallel", "2", "--target", *targets)
    return folder / "tests" / "csrc"
