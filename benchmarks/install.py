"""What an install into an empty environment takes: seconds, megabytes, packages.

Run with `python -m benchmarks.install`. Needs a package index; caches are empty. torch
without CUDA libraries is found by the arguments in `TUIPROBE_CPU_TORCH`, by default
`--extra-index-url https://download.pytorch.org/whl/cpu`.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks._common import command, machine, markdown

TITLE = "Install"
CLONE = Path(__file__).resolve().parents[1]
CPU_TORCH = shlex.split(
    os.environ.get("TUIPROBE_CPU_TORCH", "--extra-index-url https://download.pytorch.org/whl/cpu")
)
CASES = {
    "pip, from a clone": ("pip", True, CPU_TORCH),
    "pip, the wheel": ("pip", False, CPU_TORCH),
    "uv, the wheel": ("uv", False, CPU_TORCH),
    "pip, the wheel, torch with CUDA": ("pip", False, []),
    "uv, the wheel, torch with CUDA": ("uv", False, []),
}
"""Program, whether it compiles, and where torch is from."""


def run(quick: bool = False) -> dict[str, Any]:
    """Returns seconds, megabytes and packages of each case; quick leaves out torch with CUDA."""
    about = machine()
    with tempfile.TemporaryDirectory() as folder:
        wheels = Path(folder) / "wheels"
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(wheels)),
                *("-C", "cmake.define.TUIPROBE_CUDA=OFF", str(CLONE)),
            ],
            check=True,
        )
        (wheel,) = wheels.glob("*.whl")
        cases = {
            name: once(program, str(CLONE if compiled else wheel), arguments)
            for name, (program, compiled, arguments) in CASES.items()
            if arguments or not quick
        }
        size = wheel.stat().st_size / 1e6
    return {"machine": about, "wheel_mb": size, "cases": cases}


def once(program: str, what: str, arguments: list[str]) -> dict[str, Any]:
    """Installs into a new environment with an empty cache; returns what that took."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", f"{folder}/venv"], check=True)
        python = f"{folder}/venv/bin/python"
        calls = {
            "pip": [python, "-m", "pip", "install", "-q", "--no-cache-dir"],
            "uv": [
                sys.executable,
                "-m",
                "uv",
                "pip",
                "install",
                "-q",
                "--no-cache",
                "--python",
                python,
            ],
        }
        packages = Path(folder) / "venv/lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
        before = megabytes(packages)
        begin = time.perf_counter()
        subprocess.run([*calls[program], *arguments, what], check=True, env=environment())
        seconds = time.perf_counter() - begin
        torch = megabytes(packages, r"(torch|functorch|nvidia|triton|torchgen)")
        return {
            "seconds": seconds,
            "megabytes": megabytes(packages) - before,
            "torch_megabytes": torch,
            "packages": len(list(packages.glob("site-packages/*.dist-info"))) - 2,
        }


def environment() -> Mapping[str, str]:
    """Returns the environment without settings of pip and uv that name other sources."""
    own = {"PIP_FIND_LINKS", "PIP_CONSTRAINT", "PIP_EXTRA_INDEX_URL"}
    kept = {name: value for name, value in os.environ.items() if name not in own}
    return {**kept, "PIP_CONFIG_FILE": os.devnull}


def megabytes(folder: Path, name: str = "") -> float:
    """Returns the size of the files below a folder, or of packages whose name begins so."""
    site = folder / "site-packages"
    tops = [top for top in site.iterdir() if re.match(name, top.name)]
    files = [top for top in tops if top.is_file()]
    files += [path for top in tops if top.is_dir() for path in top.rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files) / 1e6


def table(figures: dict[str, Any]) -> str:
    """Returns the figures as Markdown."""
    rows = [
        [
            name,
            f"{case['seconds']:.0f}",
            f"{case['megabytes']:,.0f}",
            f"{case['torch_megabytes']:,.0f}",
            str(case["packages"]),
        ]
        for name, case in figures["cases"].items()
    ]
    about = figures["machine"]
    head = (
        f"Empty caches, {about['cpu']}, {about['cores']} cores; the index is a mirror nearby; "
        f"load average before: {about['load_before']:.1f}. The wheel has "
        f"{figures['wheel_mb']:.1f} MB.\n\n"
    )
    titles = ["install", "seconds", "MB", "of which torch and CUDA", "packages"]
    return head + markdown(titles, rows)


if __name__ == "__main__":
    command(__doc__, run, table)
