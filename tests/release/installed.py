"""Runs the main job from an installed wheel without CUDA kernels, in a folder of its own.

    python installed.py

Uses the interpreter's own environment; this file's folder holds nothing of the program.
"""

import re
import subprocess
import sys
import sysconfig
import tempfile
from importlib.metadata import packages_distributions, requires, version
from pathlib import Path

import threadpoolctl
import torch

import tuiprobe
from tuiprobe import stats

LATE = {"huggingface-hub", "open-clip-torch", "textual", "timm", "torchvision"}
"""Imported by the screens, or by the loader of a model that is named."""

MAIN_JOB = """
import sys
from tuiprobe.show.cli.app import run_cli
code = run_cli(["--headless", "--sample", "64"])
with open("modules.txt", "w") as file:
    print(*{name.partition(".")[0] for name in sys.modules}, file=file)
sys.exit(code)
"""


def check_native() -> None:
    """Checks where the module is from, its threads, and what it says of CUDA."""
    installed = Path(sysconfig.get_path("platlib"))
    assert Path(tuiprobe.__file__).is_relative_to(installed), tuiprobe.__file__
    assert version("tuiprobe") == tuiprobe.__version__
    accumulator = stats.ActivationStats(64, k=4)
    accumulator.update(torch.randn(512, 49, 64))
    assert accumulator.compute().moments is not None
    runtimes = [
        item["filepath"] for item in threadpoolctl.threadpool_info() if item["user_api"] == "openmp"
    ]
    assert len(runtimes) == 1, f"OpenMP runtimes in one process: {runtimes}"
    assert Path(stats.openmp_runtime()).samefile(runtimes[0])
    print(f"one OpenMP runtime: {runtimes[0]}")
    reason = stats.cuda_reason(torch.device("cuda", 0))
    assert "pip install 'tuiprobe[cuda]'" in reason, reason
    assert stats.statistics_path("cuda:0") == "torch"
    print(f"CUDA: {reason}")


def run_main_job() -> None:
    """Runs the installed program as a user does, and checks that it uses what was installed."""
    program = Path(sysconfig.get_path("scripts")) / "tuiprobe"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([program, "--version"], cwd=folder, check=True)
        subprocess.run([sys.executable, "-c", MAIN_JOB], cwd=folder, check=True)
        assert list(Path(folder).glob("runs/*/results.json"))
        modules = set((Path(folder) / "modules.txt").read_text("utf-8").split())
    unused = required() - packages_of(modules) - LATE
    assert unused == set(), f"installed, and not used by the default run: {unused}"


def plain(name: str) -> str:
    """Returns the normal form of a package's name."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s\[<>=;!]", name)[0]).lower()


def required() -> set[str]:
    """Returns the packages that tuiprobe requires without an extra."""
    return {plain(line) for line in requires("tuiprobe") or () if "extra ==" not in line}


def packages_of(modules: set[str]) -> set[str]:
    """Returns the packages that bring modules."""
    result = packages_distributions()
    return {plain(package) for module in modules for package in result.get(module, ())}


if __name__ == "__main__":
    check_native()
    run_main_job()
