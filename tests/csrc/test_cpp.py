"""Builds the C++ tests with sanitizers and runs them; the CUDA kernels run on host threads."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),  # the first run builds
    pytest.mark.skipif(
        shutil.which("cmake") is None
        or (shutil.which("c++") is None and shutil.which("g++") is None),
        reason="no CMake or no C++ compiler",
    ),
]


def run(*command, **options):
    result = subprocess.run(command, capture_output=True, text=True, timeout=900, **options)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    return result.stdout


@pytest.fixture(scope="session")
def build():
    """Builds once for all test processes, in a folder kept between runs."""
    folder = ROOT / "build" / "csrc-tests"
    folder.mkdir(parents=True, exist_ok=True)
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    options = ["-DTUIPROBE_BUILD_TESTS=ON", "-DTUIPROBE_WERROR=ON"]
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run("cmake", "-S", str(ROOT), "-B", str(folder), *generator, *options)
        run("cmake", "--build", str(folder), "--parallel", "2")
    return folder / "tests" / "csrc"


def test_monoids(build):
    run(build / "test_monoids")


@pytest.mark.parametrize("isa", ["generic", "avx2", "avx512"])
def test_update(build, isa):
    if "skipped" in run(build / "test_update", isa):
        pytest.skip(f"this machine has no {isa}")


@pytest.mark.parametrize("sanitizer", ["address", "thread"])
@pytest.mark.parametrize("kernels", ["moments", "stats"])
def test_cuda_kernels_on_the_host(build, kernels, sanitizer):
    run(build / f"test_cuda_{kernels}_{sanitizer}")


def must_be_noticed(test, bug):
    first = {**os.environ, "TSAN_OPTIONS": "halt_on_error=1"}
    result = subprocess.run([test, bug], capture_output=True, text=True, timeout=900, env=first)
    assert result.returncode != 0
    assert "data race" in result.stderr or "failed" in result.stdout


@pytest.mark.parametrize(
    ("kernels", "barrier"),
    [("moments", k) for k in range(1, 5)] + [("stats", k) for k in range(1, 8)],
)
def test_a_missing_barrier_is_noticed(build, kernels, barrier):
    must_be_noticed(build / f"test_cuda_{kernels}_thread", str(barrier))


@pytest.mark.parametrize("bug", ["wait", "exchange", "atomic", "overflow", "floor"])
def test_other_bugs_are_noticed(build, bug):
    must_be_noticed(build / "test_cuda_stats_thread", bug)


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc")
@pytest.mark.parametrize("name", sorted(f.name for f in ROOT.glob("csrc/cuda/*.cu")))
def test_nvcc_compiles_the_kernels_without_a_warning(tmp_path, name):
    source = ROOT / "csrc" / "cuda" / name
    flags = ["-std=c++17", "-Werror=all-warnings", "-Xcompiler=-Wall,-Wextra,-Werror"]
    targets = ["-gencode=arch=compute_80,code=sm_80", "-gencode=arch=compute_90,code=sm_90"]
    run("nvcc", *flags, *targets, "-c", str(source), "-o", str(tmp_path / "kernels.o"))
