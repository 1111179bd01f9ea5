"""Runs the C++ tests, which are built with sanitizers; the CUDA kernels run on host threads."""

import os
import shutil
import subprocess

import pytest

from tests.csrc.conftest import ROOT, built, run

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(1200)]  # building takes minutes


@pytest.fixture(scope="session")
def build():
    return built("test_monoids", "test_update", "test_cuda_address")


def test_monoids(build):
    run(build / "test_monoids")


@pytest.mark.parametrize("isa", ["generic", "avx2", "avx512"])
def test_update(build, isa):
    if "skipped" in run(build / "test_update", isa):
        pytest.skip(f"this machine has no {isa}")


def test_cuda_kernels_on_the_host(build):
    run(build / "test_cuda_address")


@pytest.fixture(scope="session")
def racing():
    """The CUDA kernels on host threads, built to find races."""
    return built("test_cuda_thread") / "test_cuda_thread"


def test_cuda_kernels_on_the_host_have_no_race(racing):
    run(racing)


@pytest.mark.parametrize("bug", ["b1", "b2", "b3", "b4", "b5", "b6", "w1", "exchange", "atomic"])
def test_sown_bugs_are_noticed(racing, bug):
    first = {**os.environ, "TSAN_OPTIONS": "halt_on_error=1"}
    result = subprocess.run([racing, bug], capture_output=True, text=True, timeout=900, env=first)
    assert result.returncode != 0
    assert "data race" in result.stderr or "failed" in result.stdout


CROSS, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64-static"


@pytest.mark.skipif(not shutil.which(CROSS) or not shutil.which(EMULATOR), reason="no cross tools")
def test_update_on_aarch64(tmp_path):
    """The NEON loops; packages g++-aarch64-linux-gnu and qemu-user-static."""
    core = [f for f in (ROOT / "csrc" / "cpu").glob("*.cpp") if "avx" not in f.name]
    tests = [ROOT / "tests" / "csrc" / f"{name}.cpp" for name in ("test_update", "test_monoids")]
    cached = ["ccache"] if shutil.which("ccache") else []
    flags = ["-std=c++20", "-O3", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"]
    for source in (*core, *tests):
        compiled = str(tmp_path / f"{source.stem}.o")
        run(*cached, CROSS, *flags, "-c", str(source), "-o", compiled)
    for test in tests:
        program = str(tmp_path / test.stem)
        objects = [str(tmp_path / f"{source.stem}.o") for source in (*core, test)]
        run(CROSS, "-static", *objects, "-o", program, "-ldl")
        run(EMULATOR, program, *(["generic"] if test.stem == "test_update" else []))
