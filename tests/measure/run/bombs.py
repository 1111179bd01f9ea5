"""Files of a run that ask for gigabytes, read by a process that may not have them.

`python -m tests.measure.run.bombs FOLDER` writes each there and prints what its reader says, as
JSON.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tuiprobe import limits
from tuiprobe.errors import TuiprobeError
from tuiprobe.measure.run.arrays import read_arrays
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.records import read_plan
from tuiprobe.measure.run.samples import read_samples
from tuiprobe.measure.run.view import RunView
from tuiprobe.results.report import Report

MEMORY_MB = 640
VALUES = 3_900_000
NO_IMAGE = "is no image"

Write = Callable[[RunDir], None]


def sparse(name: str, size: int) -> Write:
    """Makes a function that writes a file of zeros that takes no room on the disk."""

    def write(run: RunDir) -> None:
        path = run.path / name
        path.parent.mkdir(exist_ok=True)
        with path.open("r+b" if path.exists() else "wb") as file:
            file.truncate(size)

    return write


def content(name: str, make: Callable[[], bytes]) -> Write:
    """Makes a function that writes a file."""

    def write(run: RunDir) -> None:
        path = run.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(make())

    return write


def zeros(run: RunDir) -> None:
    """Writes an array of 1 GiB, as its header rightly says."""
    entry = {"dtype": "U8", "shape": [2**30], "data_offsets": [0, 2**30]}
    header = json.dumps({"x": entry}).encode()
    run.head_file.path.write_bytes(len(header).to_bytes(8, "little") + header)
    sparse("head.safetensors", 8 + len(header) + 2**30)(run)


def many(piece: bytes, marks: int) -> Callable[[], bytes]:
    """Makes a function that writes a report of as many values as a JSON text may have."""
    return lambda: b'{"schema_version":3,"parts":[' + piece * (VALUES // marks) + b"0]}"


def repeated(before: bytes, piece: bytes, times: int, after: bytes = b"") -> Write:
    return content("results.json", lambda: before + piece * times + after)


def watch(run: RunDir) -> str:
    view = RunView.read(run, live=True)
    assert view.unreadable
    return view.unreadable


def report(run: RunDir) -> object:
    return Report.parse(run.results_file.read_bytes(limits.REPORT_BYTES), run.results_file)


def arrays(run: RunDir) -> object:
    return read_arrays(run.head_file)


def statuses(count: int, size: int) -> Write:
    def write(run: RunDir) -> None:
        for rank in range(count):
            sparse(f"status/{rank}.json", 1)(run)
            sparse(f"status/{rank}.safetensors", size)(run)

    return write


BOMBS: dict[str, tuple[Write, Callable[[RunDir], object], str]] = {
    "objects": (content("results.json", many(b"{},", 2)), report, "Field required"),
    "pairs": (content("results.json", many(b'{"":1},', 2)), report, "Field required"),
    "lists": (content("results.json", many(b"[],", 2)), report, "Field required"),
    "too many": (repeated(b"[", b"[],", 20_000_000, b"0]"), report, "more than 4,000,000 values"),
    "deep": (repeated(b"", b"[", 60_000_000), report, "more than 4,000,000 values"),
    "blank": (repeated(b"", b" ", 60_000_000), report, "Expecting value"),
    "fields": (
        content("results.json", lambda: b"{%s}" % b",".join(b'"%d":0' % i for i in range(500_000))),
        report,
        "it has unknown fields: 0, 1, 2",
    ),
    "sparse report": (sparse("results.json", 2**40), report, "above the limit"),
    "plan": (content("plan.json", many(b"{},", 2)), read_plan, "Field required"),
    "empty lines": (content("samples.jsonl", lambda: b"\n" * 100 * 2**20), read_samples, NO_IMAGE),
    "sparse lines": (sparse("samples.jsonl", 100 * 2**20), read_samples, NO_IMAGE),
    "array": (zeros, arrays, "memory"),
    "status files": (statuses(9, 60 * 2**20), watch, "above the limit of 536,870,912"),
    "status values": (
        content("status/0.json", lambda: b'{"taps":{"a":[' + b"[]," * 2**21), watch,
        "more than 200,000 values",
    ),
}  # fmt: skip
"""What writes a bomb, what reads it, and the cause in the answer."""


def main(folder: Path) -> None:
    """Writes and reads all bombs."""
    results = {}
    for name, (write, _, _) in BOMBS.items():
        run = RunDir(folder / name)
        run.path.mkdir()
        run.key_file.path.write_text("a" * 64)
        write(run)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY_MB * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for name, (_, read, _) in BOMBS.items():
        begun = time.process_time()
        try:
            message = str(read(RunDir(folder / name)))[:500]
        except TuiprobeError as error:
            message = str(error)
        except BaseException as error:
            message = f"not one sentence: {type(error).__name__} {error}"[:500]
        results[name] = [message, time.process_time() - begun]
    print(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
