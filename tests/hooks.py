"""What a prepared run calls before it starts; see `tests.prepared`."""

import sys
import time
from pathlib import Path


def on_the_path(folder: str) -> None:
    """Makes the packages in a folder importable, as `PYTHONPATH` does where Python starts."""
    sys.path.insert(0, folder)


def probe_installed() -> None:
    """Installs the probe `length` of another package, which has an option."""
    from importlib import metadata

    from tuiprobe.options import PROBE_GROUP

    point = metadata.EntryPoint("length", "tests.probes.strangers:MeanLength", PROBE_GROUP)
    metadata.entry_points = lambda group: [point] if group == PROBE_GROUP else []  # type: ignore[assignment]


def stage_hangs(name: str, grace: float) -> None:
    """Lets a stage of the engine hang, and a process that hangs be ended after so many seconds."""
    from tuiprobe import api
    from tuiprobe.measure.engine import preparing, run, stopping
    from tuiprobe.probes import report

    def hang(*_: object, **__: object) -> None:
        print("at", name, file=sys.stderr, flush=True)
        time.sleep(600)

    stopping._GRACE_SECONDS = grace
    for place in (api, preparing, run, report):
        if hasattr(place, name):
            setattr(place, name, hang)


def heed_hangups() -> None:
    """Undoes what `nohup` does, should the tests run under it."""
    import signal

    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def ignore_hangups() -> None:
    """Does what `nohup` does."""
    import signal

    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def fault(at: int, kind: str, after: bool, log: str) -> None:
    """Puts a fault of the disk into the way; see `tests.faults.Faults`."""
    from tests.faults import Faults

    Faults(at, kind, after=after, log=Path(log) if log else None).install()


def killed_at(publishing: str, after: bool) -> None:
    """Kills the process before or after it publishes a file."""
    from tests.faults import Faults

    Faults(-1, "kill", after=after, publishing=publishing).install()


def write_peak(file: str) -> None:
    """Writes the most bytes of memory that the run has had, when it ends."""
    import atexit
    import resource

    def write() -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        Path(file).write_text(str(peak))

    atexit.register(write)


def without_reader() -> None:
    """Writes output and messages into a pipe whose reader has ended."""
    import os

    reader, writer = os.pipe()
    os.close(reader)
    for stream in (1, 2):
        os.dup2(writer, stream)


def without_override() -> None:
    """Lets root obey file permissions like an ordinary user."""
    import ctypes

    libc = ctypes.CDLL(None)
    version, dac_override, dac_read_search = 0x20080522, 1, 2
    header, sets = (ctypes.c_uint32 * 2)(version, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    for kind in (0, 1):  # effective and permitted ones
        sets[kind] &= ~(1 << dac_override | 1 << dac_read_search)
    assert libc.capset(header, sets) == 0
