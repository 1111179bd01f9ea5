"""What the compiler says of the CUDA kernels, without a GPU: registers, spills, instructions.

Compiles `csrc/cuda/update.cu` for each architecture and reads its machine code. Needs nvcc and
nvdisasm, from a CUDA toolkit on the PATH or from the packages `nvidia-cuda-nvcc` and
`nvidia-cuda-nvdisasm`. Run as `python -m benchmarks.cuda_static`.

A hot loop is an innermost loop that loads activations. Its instructions are counted whole, rare
branches included, and divided by the elements that its loads bring; what a row or a block costs
around its loops is not in it. Loads in flight are those issued before the first instruction that
needs one of them. Everything is the loop of the moments, that of a row's powers and that of its
shares, which is longer where every row is an image.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks._common import command, markdown

TITLE = "CUDA kernels as compiled"
SOURCE = Path(__file__).parents[1] / "csrc" / "cuda" / "update.cu"
ARCHITECTURES = (80, 90, 100)
FIRST_EDITION = (
    "The kernels' first edition had 1,664 lines. Its moments took 29 (bfloat16) to 49 (float16) "
    "instructions an element with 126 registers, some of them spilled, and one load in flight; "
    "everything took 68 to 127."
)
TYPES = {"f": ("float32", 4), "4Half": ("float16", 2), "8BFloat16": ("bfloat16", 2)}


def tool(name: str) -> str:
    """Returns the path of a CUDA program, from the PATH or the pip packages."""
    program = shutil.which(name)
    packaged = Path(sysconfig.get_path("purelib")).glob(f"nvidia/cu*/bin/{name}")
    program = program or next(map(str, packaged), None)
    if program is None:
        raise SystemExit(f"no {name}: install a CUDA toolkit, or the package nvidia-cuda-{name}")
    return program


@dataclass
class Kernel:
    """One kernel for one architecture."""

    name: str
    registers: int
    spilled: int
    code: list[str] = field(default_factory=list)


def compiled(architecture: int, folder: Path) -> list[Kernel]:
    """Compiles the kernels and returns them with their machine code."""
    cubin = folder / f"{architecture}.cubin"
    made = subprocess.run(
        [
            *(tool("nvcc"), "-std=c++17", "-O3", "-Werror=all-warnings", "-Xptxas=-v", "-cubin"),
            *(f"-arch=sm_{architecture}", "-o", str(cubin), str(SOURCE)),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    shown = subprocess.run(
        [tool("nvdisasm"), "-c", str(cubin)], check=True, capture_output=True, text=True
    )
    code = {
        part.partition("\n")[0].strip().rstrip(","): part.splitlines()
        for part in re.split(r"\.section\s+\.text\.", shown.stdout)[1:]
    }
    kernels = []
    for part in made.stderr.split("Compiling entry function")[1:]:
        name = part.split("'")[1]
        spills = re.findall(r"(\d+) bytes spill (?:stores|loads)", part)
        used = re.search(r"Used (\d+) registers", part)
        lines = next(text for title, text in code.items() if title.split(",")[0] == name)
        assert used is not None
        kernels.append(Kernel(name, int(used[1]), sum(map(int, spills)), lines))
    return kernels


@dataclass
class Loop:
    """An innermost loop that loads from global memory."""

    first: int
    last: int
    instructions: int
    bytes: int
    in_flight: int


_INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(.*?);")
_WIDTHS = {"128": 16, "64": 8, "U16": 2, "U8": 1}


def _load(text: str) -> tuple[int, set[str]] | None:
    """Returns bytes and registers of a load of activations, which no kernel writes."""
    match = re.search(r"\bLDG\.E(\S*CONSTANT\S*)\s+(?:P\w+,\s*)?R(\d+)", text)
    if match is None:
        return None
    width = next((n for part, n in _WIDTHS.items() if f".{part}" in match[1]), 4)
    start = int(match[2])
    return width, {f"R{start + i}" for i in range(max(1, width // 4))}


def _loops(lines: list[str]) -> list[tuple[int, int]]:
    """Returns first and last line of every loop: a branch back to a label."""
    labels, loops = {}, []
    for number, line in enumerate(lines):
        label = re.match(r"\s*(\.L_x_\d+):", line)
        if label:
            labels[label[1]] = number
        target = re.search(r"\bBRA\S*.*?`\((\.L_x_\d+)\)", line)
        if target and target[1] in labels:
            loops.append((labels[target[1]], number))
    return loops


def hot_loops(lines: list[str], element: int) -> list[Loop]:
    """Returns the innermost loops that read vectors of activations."""
    hot = []
    loops = _loops(lines)
    for first, last in loops:
        body = [m[1] for line in lines[first : last + 1] if (m := _INSTRUCTION.search(line))]
        loads = [load for text in body if (load := _load(text)) and load[0] >= 2 * element]
        inside = [a for a in loops if a != (first, last) and first <= a[0] and a[1] <= last]
        wide = (_load(line) for a, b in inside for line in lines[a : b + 1])
        if any(load and load[0] >= 2 * element for load in wide) or len(loads) < 4:
            continue
        waiting: set[str] = set()
        in_flight = count = 0
        for text in body:
            load = _load(text)
            if load:
                waiting |= load[1]
                count += 1
            elif waiting & set(re.findall(r"\bR\d+\b", text)):
                in_flight, waiting, count = max(in_flight, count), set(), 0
        total = sum(width for width, _ in loads)
        hot.append(Loop(first, last, len(body), total, in_flight))
    return hot


def _named(kernel: str) -> tuple[str, str, int, int] | None:
    """Returns kernel, element type, bytes an element and channels a vector of a mangled name."""
    match = re.search(r"(Columns|Rows)KernelI(?:NS_)?(f|4Half|8BFloat16)E?Li(\d)E", kernel)
    if match is None:
        return None
    dtype, size = TYPES[match[2]]
    return match[1].lower(), dtype, size, int(match[3])


def run(quick: bool = False) -> dict[str, Any]:
    """Returns the figures of every architecture; `quick` takes only the last but one."""
    version = subprocess.run(
        [tool("nvcc"), "--version"], check=True, capture_output=True, text=True
    )
    found_version = re.search(r"V(\d+\.\d+\.\d+)", version.stdout)
    out: dict[str, Any] = {
        "nvcc": found_version[1] if found_version else "unknown",
        "lines": sum(len(path.read_text().splitlines()) for path in SOURCE.parent.iterdir()),
    }
    with tempfile.TemporaryDirectory() as folder:
        for architecture in ARCHITECTURES[1:2] if quick else ARCHITECTURES:
            kernels = compiled(architecture, Path(folder))
            summary: dict[str, Any] = {
                "spilled": sum(k.spilled for k in kernels),
                "kernels": len(kernels),
                "registers": max(k.registers for k in kernels),
            }
            for kernel in kernels:
                named = _named(kernel.name)
                if named is None or named[3] == 1:
                    continue
                kind, dtype, size, _ = named
                loops = hot_loops(kernel.code, size)
                if kind == "columns":  # of which there may be versions with and without top k
                    loops = [max(loops, key=lambda loop: loop.instructions)]
                assert len(loops) == (1 if kind == "columns" else 3), kernel.name
                summary[f"{kind} {dtype}"] = {
                    "registers": kernel.registers,
                    "in_flight": min(loop.in_flight for loop in loops),
                    "instructions": [loop.instructions * size / loop.bytes for loop in loops],
                }
            out[f"sm_{architecture}"] = summary
    return out


def table(figures: dict[str, Any]) -> str:
    """Returns the static figures as Markdown; what misses its bar is bold and named as missed."""

    def held(value: float, least: float = 0, most: float = float("inf")) -> str:
        shown = f"{value:.1f}".removesuffix(".0")
        return shown if least <= value <= most else f"**{shown} (missed)**"

    rows = []
    for architecture in [name for name in figures if name.startswith("sm_")]:
        kernels = figures[architecture]
        for dtype in ("float32", "float16", "bfloat16"):
            columns = kernels[f"columns {dtype}"]
            (moments,) = columns["instructions"]
            powers, *shares = kernels[f"rows {dtype}"]["instructions"]
            tokens, vectors = (moments + powers + pick(shares) for pick in (min, max))
            rows.append(
                [
                    *(architecture, dtype, held(kernels["spilled"], most=0)),
                    held(columns["registers"], most=80),
                    held(columns["in_flight"], least=4),
                    *(held(moments, most=14), held(tokens, most=36), held(vectors, most=36)),
                ]
            )
    head = ["", "dtype", "bytes spilled (0)", "registers (<= 80)", "loads in flight (>= 4)"]
    head += ["moments (<= 14)", "everything, tokens (<= 36)", "everything, vectors (<= 36)"]
    return (
        f"nvcc {figures['nvcc']}, {figures['lines']:,} lines; no GPU ran these. Bars stand in "
        "brackets. Registers and loads in flight are those of the moments, the last three columns "
        f"instructions an element of the hot loops. {FIRST_EDITION}\n\n"
    ) + markdown(head, rows)


if __name__ == "__main__":
    command(__doc__, run, table)
