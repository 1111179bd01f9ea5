"""Compares what runs find with what an earlier commit finds, on the same machine and threads.

    python -m tools.oracle                       # everything but the stored vectors
    python -m tools.oracle --real DIR            # with every array of DIR
    python -m tools.oracle --sample 60 --only default,folder

The base commit is built in a git worktree under `build/oracle/`. Its runs stay there and are made
once. Counts, ids, names and bits of measured arrays must be equal, other floats to 1e-12 of their
size. Times, checksums, spec, fingerprint, version and texts for people are not compared.

Everything that the base has must still be there; exit code 1 means that something is missing or
differs. After a change that removes or moves figures on purpose, set `BASE` to its commit, whose
message gives the reason.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tools.compared import RunDifference, compare, leaves_of
from tools.oracle_runs import (
    FOLDER_IMAGES,
    PARTS,
    RUN,
    THREADS,
    Inputs,
    Run,
    runs_of,
    write_vectors,
)

BASE = "5131af9e"
"""The commit that runs are compared with."""

CHECKOUT = Path(__file__).resolve().parents[1]
HOME = CHECKOUT / "build" / "oracle"


@dataclass(frozen=True)
class Program:
    """One of the two commits, as an interpreter that imports it.

    Attributes:
        python: The interpreter.
        package: The folder that `tuiprobe` must be imported from.
        runs: Where its runs are written.
    """

    python: Path
    package: Path
    runs: Path

    def call(self, *arguments: str, variables: Sequence[tuple[str, str]] = ()) -> str:
        """Runs the interpreter in an environment of its own; returns what it prints.

        Raises:
            SystemExit: If it fails; shows its errors.
        """
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("TUIPROBE_", "PYTHON"))}
        self.runs.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [str(self.python), *arguments],
            cwd=self.runs,
            env={**kept, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(THREADS),
                 "XDG_CACHE_HOME": str(self.runs / "cache"), **dict(variables)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
        return done.stdout

    def check(self) -> None:
        """Refuses an interpreter that imports another tuiprobe."""
        file = self.call("-c", "import tuiprobe; print(tuiprobe.__file__)").strip()
        if Path(file).resolve().parent != self.package.resolve():
            raise SystemExit(f"{self.python} imports {file}, and not {self.package}")


def checkout_program(folder: str) -> Program:
    """Returns this checkout as the running interpreter imports it."""
    return Program(Path(sys.executable), CHECKOUT / "tuiprobe", HOME / "now" / folder)


def base_program(commit: str, folder: str) -> Program:
    """Builds a commit, native core included, unless it was built before.

    Its virtual environment sees the packages of the running interpreter.
    """
    name = _git("rev-parse", "--short=10", f"{commit}^{{commit}}")
    home = HOME / name
    program = Program(home / "venv/bin/python", home / "site/tuiprobe", home / folder)
    if not list(home.glob("venv/lib/*/*/oracle.pth")):  # written last
        print(f"building {name}")
        shutil.rmtree(home, ignore_errors=True)
        source, site = home / "source", home / "site"
        _git("worktree", "add", "--force", "--detach", str(source), name)
        install = ("install", "-q", "--no-deps", "--target", str(site))
        without_cuda = ("-C", "cmake.define.TUIPROBE_CUDA=OFF")
        pip = [sys.executable, "-m", "pip", *install, *without_cuda, str(source)]
        subprocess.run(pip, check=True)
        _git("worktree", "remove", "--force", str(source))
        make = [sys.executable, "-m", "venv", "--without-pip", str(home / "venv")]
        subprocess.run(make, check=True)
        (packages,) = (home / "venv/lib").glob("python*/site-packages")
        seen = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
        (packages / "oracle.pth").write_text("\n".join([str(site), *seen]) + "\n", "utf-8")
    return program


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=CHECKOUT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def measure(program: Program, part: str, asked: Sequence[Run], keep: bool) -> dict[str, Path]:
    """Makes the runs of a part; returns their directories by part, number and model.

    Args:
        program: Which of the two programs.
        part: The part, which names the folder of its runs.
        asked: The steps of each run.
        keep: Whether an earlier result of the same steps is used.
    """
    folder = program.runs / part
    marker = folder / "done.json"
    steps = json.dumps([[asdict(step) for step in run] for run in asked])
    if not (keep and marker.exists() and marker.read_text("utf-8") == steps):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for number, run in enumerate(asked):
            print(f"  {program.runs.relative_to(HOME)}: {part} {number + 1} of {len(asked)}")
            take_steps(program, run, folder / str(number))
        marker.write_text(steps, "utf-8")
    directories = [report.parent for report in sorted(folder.glob("**/results.json"))]
    named = {}
    for path in directories:
        report = json.loads((path / "results.json").read_text("utf-8"))
        first = path.relative_to(folder).parts[0]
        named[f"{part} {first} {report['model']['name']}"] = path
    if len(named) < len(directories):
        raise SystemExit(f"{folder}: two runs of one step have a model of the same name")
    return named


def take_steps(program: Program, run: Run, directory: Path) -> None:
    """Makes one run directory; answers on stdout go to `<directory>-<step>.json`."""
    for number, step in enumerate(run):
        arguments = [word.replace(RUN, str(directory)) for word in step.arguments]
        printed = program.call(*arguments, variables=step.environment)
        if step.answers:
            directory.with_name(f"{directory.name}-{number}.json").write_text(printed, "utf-8")
        if step.loses:
            max(directory.glob(step.loses)).unlink()


def same_machine(base: Path, now: Path) -> None:
    """Refuses kept runs of the base that other software or another processor measured."""
    prints = [
        json.loads((run / "results.json").read_text("utf-8"))["fingerprint"] for run in (base, now)
    ]
    for name in ("torch", "device", "isa", "threads"):
        if prints[0].get(name) != prints[1].get(name):
            raise SystemExit(
                f"{name} was {prints[0].get(name)} and is {prints[1].get(name)}: delete "
                f"{base.parent} to measure the base again"
            )


def show(name: str, difference: RunDifference, most: int = 20) -> None:
    """Prints how a run compares."""
    kinds = ("missing", "differing", "new")
    counts = [f"{len(getattr(difference, kind)):,} {kind}" for kind in kinds]
    print(f"{name}: {difference.equal:,} equal, {', '.join(counts)}")
    for kind in kinds:
        lines = getattr(difference, kind)
        for line in lines[:most]:
            print(f"    {kind}: {line}")
        if len(lines) > most:
            print(f"    and {len(lines) - most:,} more")


def arguments() -> argparse.Namespace:
    """Returns the options of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--base", default=BASE, help=f"commit to compare with (default {BASE})")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between")
    parser.add_argument("--real", type=Path, help="folder of arrays ENCODER__SET.npy")
    parser.add_argument("--sample", type=int, help="images per set (default: as a run without it)")
    options = parser.parse_args()
    if unknown := set(options.only.split(",")) - set(PARTS):
        parser.error(f"--only {', '.join(sorted(unknown))}: there are {', '.join(PARTS)}")
    if options.real is not None and not list(options.real.glob("*.npy")):
        parser.error(f"--real {options.real}: it holds no .npy file")
    return options


def main() -> int:
    """Measures and compares what was asked for; returns the exit code."""
    asked = arguments()
    began = time.monotonic()
    folder = "whole" if asked.sample is None else f"sample-{asked.sample}"
    base, now = base_program(asked.base, folder), checkout_program(folder)
    for program in (base, now):
        program.check()
    images = base.runs.parent / "images"
    parts = asked.only.split(",")
    if not (images / "imagefolder").exists():
        export = ("-m", "tuiprobe", "miniature", "export", str(images), "--set", "val")
        base.call(*export, "--layout", "imagefolder", "--images", str(FOLDER_IMAGES))
    failed = False
    folders, vectors = images / "imagefolder" / "val", base.runs.parent / "vectors"
    if {"heads", "vectors"} & set(parts):
        write_vectors(vectors, folders)
    real = () if asked.real is None else tuple(sorted(asked.real.resolve().glob("*.npy")))
    inputs = Inputs(folders, vectors, real, asked.sample)
    for part in parts:
        work = runs_of(part, inputs)
        if not work:
            print(f"{part}: left out; --real DIR names the folder of arrays")
            continue
        before, after = measure(base, part, work, True), measure(now, part, work, False)
        for name, run in before.items():
            if name not in after:
                print(f"{name}: this checkout has no such run")
                failed = True
                continue
            same_machine(run, after[name])
            difference = compare(leaves_of(run), leaves_of(after[name]))
            show(name, difference)
            failed |= difference.failed
    seconds = time.monotonic() - began
    print(f"{'DIFFERENT' if failed else 'equal'} after {seconds:.0f} s")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
