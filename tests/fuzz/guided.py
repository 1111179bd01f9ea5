"""Coverage-guided fuzzing of every reader, by atheris.

    python -m tests.fuzz.guided SECONDS SEED FOLDER [TARGET ...]

Attacks each reader of `tests.fuzz.targets` for a part of the time, in a process of its own with
limited memory. Anything but an answer or one of the package's own errors, and any input that
takes seconds, is kept in FOLDER with its traceback, once for each place in the code; it ends with 1
then.
atheris (`pip install -e '.[fuzz]'`) exists for CPython on Linux and macOS.
"""

import re
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path
from types import FrameType

from tests.fuzz.budget import limit_memory
from tests.fuzz.budget import seconds as part_of

MEMORY = 2**30
"""What all inputs of one target together may ask for beyond what is there when they begin."""

SLOWEST = 10.0
_HERE = Path(__file__).parents[2]


def attack(target: str, seconds: float, seed: int, folder: Path) -> None:
    """Fuzzes one target for a while; libFuzzer ends the process."""
    import atheris

    place = folder / f"place-{target}"
    corpus = place / "corpus"
    corpus.mkdir(parents=True)
    # An editable install loads modules in a way that atheris cannot instrument.
    sys.meta_path.insert(0, PathFinder)
    with atheris.instrument_imports(include=["tuiprobe", "tarfile", "zipfile", "pickletools"]):
        from tests.fuzz.targets import TARGETS
        from tuiprobe.errors import TuiprobeError

        item = TARGETS[target](place)
        for number, content in enumerate(item.seeds):
            (corpus / f"seed-{number}").write_bytes(content)
            with suppress(TuiprobeError):
                item.ask(content)  # imports what it needs, before memory is limited
    limit_memory(MEMORY)

    result: set[str] = set()

    def case(content: bytes) -> None:
        begun = time.process_time()
        try:
            item.ask(content)
        except TuiprobeError:
            pass
        except Exception as error:
            keep(f"{type(error).__name__} {where(error)}", traceback.format_exc(), content)
        took = time.process_time() - begun
        if took > SLOWEST:
            keep("slow", f"{took:.1f} s", content)

    def keep(about: str, said: str, content: bytes) -> None:
        if about not in result:
            result.add(about)
            name = f"{target}-{len(result)}"
            (folder / name).write_bytes(content)
            (folder / f"{name}.txt").write_text(f"{about}\n{said}")

    longest = max(4096, 2 * max(map(len, item.seeds)))
    options = [
        f"-max_total_time={seconds:.0f}", f"-seed={seed}", f"-max_len={longest}",
        "-len_control=0", "-timeout=120", "-rss_limit_mb=0", "-print_final_stats=1",
        f"-artifact_prefix={place}/", str(corpus),
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options], case)
    atheris.Fuzz()


def where(error: BaseException) -> str:
    """Returns the innermost place of an error in the package."""
    place = "outside the package"
    for frame, line in traceback.walk_tb(error.__traceback__):
        if _of_package(frame):
            place = f"{Path(frame.f_code.co_filename).relative_to(_HERE)}:{line}"
    return place


def _of_package(frame: FrameType) -> bool:
    return Path(frame.f_code.co_filename).is_relative_to(_HERE / "tuiprobe")


def main(seconds: float, seed: int, folder: Path, wanted: list[str]) -> int:
    """Attacks the targets in turn, each in its own process; returns 1 if any found anything."""
    from tests.fuzz.targets import TARGETS

    finds = 0
    wanted = wanted or list(TARGETS)
    for target in wanted:
        each = part_of(target, wanted, seconds)
        words = [sys.executable, "-m", "tests.fuzz.guided", "--one", target, f"{each:.0f}",
                 str(seed), str(folder)]  # fmt: skip
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        inputs = re.search(r"number_of_executed_units: *(\d+)", done.stderr)
        cover = re.findall(r"cov: (\d+)", done.stderr)
        here = sorted(folder.glob(f"{target}-*.txt"))
        finds += len(here) + (done.returncode != 0)
        count = f"{int(inputs[1]):,} inputs" if inputs else f"ended with {done.returncode}"
        covered = f"{cover[0]} to {cover[-1]} edges" if cover else done.stderr[-2000:]
        print(f"{target}: {count}, {covered}, {len(here)} finds", flush=True)
    return min(finds, 1)


if __name__ == "__main__":
    if sys.argv[1] == "--one":
        attack(sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:]))
