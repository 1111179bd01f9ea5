"""Runs every benchmark and renders ``benchmarks/RESULTS.md``; figures go to ``.benchmarks/``."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path

HERE = Path(__file__).parent
FIGURES = HERE.parent / ".benchmarks"
SUBJECTS = {
    "kernels": "Statistics on the CPU",
    "average_precision": "Average precision",
    "extraction": "Extraction overhead",
}
GPU = "gpu"  # written by gpu_check.sh
HEAD = """# Results

Ratios within one run, peers and ours interleaved; a target that was not reached is marked as
missed. Made by `python -m benchmarks`, which runs the scripts beside this file.
"""
NO_GPU = (
    "Not run yet on a GPU. `benchmarks/gpu_check.sh` builds, tests and times everything on one.\n"
)


def render() -> str:
    """Returns the page from the figures at hand."""
    parts = [HEAD]
    for name, title in SUBJECTS.items():
        path = FIGURES / f"{name}.json"
        if path.exists():
            module = importlib.import_module(f"benchmarks.{name}")
            parts.append(f"## {title}\n{module.table(json.loads(path.read_text()))}")
        else:
            parts.append(f"## {title}\nNot run yet: `python -m benchmarks {name}`.\n")
    gpu = FIGURES / f"{GPU}.md"
    parts.append(f"## GPU\n{gpu.read_text() if gpu.exists() else NO_GPU}")
    return "\n".join(parts)


def main() -> None:
    """Runs the named benchmarks, or all, then renders the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("subjects", nargs="*", choices=[*SUBJECTS, []], help="default: all")
    chosen = parser.parse_args().subjects or list(SUBJECTS)
    FIGURES.mkdir(exist_ok=True)
    for name in chosen:
        module = importlib.import_module(f"benchmarks.{name}")
        figures = module.run()
        (FIGURES / f"{name}.json").write_text(json.dumps(figures, indent=1) + "\n")
        print(f"\n{SUBJECTS[name]}\n{module.table(figures)}", end="")
    (HERE / "RESULTS.md").write_text(render())
    print(f"\nwritten: {HERE / 'RESULTS.md'}")


if __name__ == "__main__":
    main()
