"""Runs every benchmark and renders `benchmarks/RESULTS.md`; figures go to `.benchmarks/`.

A subject is a file of this folder with a `TITLE`, `run(quick) -> figures` (what JSON can hold)
and `table(figures) -> Markdown`, and ends with `command(__doc__, run, table)`. Each runs in a
process of its own, so that one that fails takes no other along.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
FIGURES = HERE.parent / ".benchmarks"
GPU = "gpu"  # needs a device: written by gpu_check.sh
NETWORK = "install"  # downloads gigabytes: runs only when it is named
FOLDERS = {"labels": "answers", "photographs": "vectors"}  # run only where their folder is given
SUBJECTS = sorted(
    module.name
    for module in pkgutil.iter_modules([str(HERE)])
    if not module.name.startswith("_") and module.name != GPU
)
HEAD = """# Results

Ratios within one run, peers and ours interleaved; a target that was not reached is marked as
missed. Made by `python -m benchmarks`, which runs the scripts beside this file and keeps the notes.
"""
NOTES = "\n### Notes\n"
"""Begins what people wrote below a section's tables; it stays when the tables are made anew."""
NO_GPU = (
    "Not run yet on a GPU. `benchmarks/gpu_check.sh` builds, tests and times everything on one.\n"
)


def sections(page: str) -> dict[str, str]:
    """Returns the text below each heading of a page."""
    parts = (part.split("\n", 1) for part in page.split("\n## ")[1:])
    return {title: body.rstrip("\n") + "\n" for title, body in parts}


def render(before: str = "") -> str:
    """Returns the page from the figures at hand; where there are none, as it was before."""
    parts, known = [HEAD], sections(before)
    for name in SUBJECTS:
        module = importlib.import_module(f"benchmarks.{name}")
        path = FIGURES / f"{name}.json"
        body = known.get(module.TITLE, f"Not run yet: `python -m benchmarks {name}`.\n")
        if path.exists():
            _, notes, written = body.partition(NOTES)
            body = module.table(json.loads(path.read_text())) + notes + written
        parts.append(f"## {module.TITLE}\n{body}")
    gpu = FIGURES / f"{GPU}.md"
    parts.append(f"## GPU\n{gpu.read_text() if gpu.exists() else known.get('GPU', NO_GPU)}")
    return "\n".join(parts)


def measure(name: str, quick: bool, folder: Path | None) -> bool:
    """Runs one subject and keeps its figures; says whether it succeeded.

    Args:
        name: The subject.
        quick: Whether figures may be rough.
        folder: What it reads, if it is one of `FOLDERS`.
    """
    print(f"\n{name}", flush=True)
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json", str(FIGURES / f"{name}.json")]
    command += ["--quick"] * quick
    if folder is not None:
        command += [f"--{FOLDERS[name]}", str(folder.absolute())]
    return subprocess.run(command, cwd=HERE.parent).returncode == 0


def main() -> int:
    """Runs the named benchmarks, or all that can run, and renders the page; 1 if one failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "subjects", nargs="*", choices=[*SUBJECTS, []], help=f"default: all but {NETWORK}"
    )
    for name, option in FOLDERS.items():
        parser.add_argument(f"--{option}", type=Path, help=f"folder of {option}, for {name}")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions; figures are rough")
    arguments = parser.parse_args()
    FIGURES.mkdir(exist_ok=True)
    folders = {name: getattr(arguments, option) for name, option in FOLDERS.items()}
    left_out = {NETWORK, *(name for name, folder in folders.items() if folder is None)}
    chosen = arguments.subjects or [name for name in SUBJECTS if name not in left_out]
    failed = [name for name in chosen if not measure(name, arguments.quick, folders.get(name))]
    page = HERE / "RESULTS.md"
    page.write_text(render(page.read_text() if page.exists() else ""))
    print(f"\nwritten: {page}")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
