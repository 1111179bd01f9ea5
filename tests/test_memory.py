"""How much memory is available, within the limits of containers of both versions."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tuiprobe.files import DamagedFileError, refuse_beyond_memory
from tuiprobe.limits import available_memory

MIB = 2**20


def write(folder: Path, **files: object) -> None:
    """Writes files of a folder; `__` in a name stands for a dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(f"{content}\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine of which 8 GiB are available."""
    write(tmp_path / "proc", meminfo=f"MemTotal: 16777216 kB\nMemAvailable: {8 * 2**20} kB")
    return tmp_path


def second(root: Path, own: str) -> Path:
    """Writes what a process in a group of version 2 sees; returns where groups are mounted."""
    write(root / "proc/self", cgroup=f"0::{own}")
    return root / "sys/fs/cgroup"


def first(root: Path, own: str) -> Path:
    """Likewise of version 1, beside an empty hierarchy of version 2."""
    text = f"9:name=systemd:/\n4:memory:{own}\n3:cpu,cpuacct:{own}\n0::/"
    write(root / "proc/self", cgroup=text)
    return root / "sys/fs/cgroup/memory"


def test_without_groups_the_machine_decides(root: Path) -> None:
    assert available_memory(root / "elsewhere") is None  # nothing says so
    assert available_memory(root) == 2**33
    second(root, "/")  # the topmost group of version 2 has no files of limits
    assert available_memory(root) == 2**33


def test_the_limit_of_a_group_counts_without_the_pages_that_can_be_dropped(root: Path) -> None:
    top = second(root, "/job")
    write(
        top / "job", memory__max=1024 * MIB, memory__high="max", memory__current=900 * MIB,
        memory__stat=f"anon {400 * MIB}\ninactive_file {300 * MIB}\nactive_file {150 * MIB}\n"
        f"slab_reclaimable {50 * MIB}",
    )  # fmt: skip
    assert available_memory(root) == 624 * MIB
    write(top / "job", memory__high=512 * MIB)
    assert available_memory(root) == 112 * MIB
    write(top / "job", memory__high=100 * MIB)
    assert available_memory(root) == 0


def test_a_group_above_limits_its_own(root: Path) -> None:
    top = second(root, "/pod/job")
    write(top / "pod/job", memory__max="max", memory__current=1, memory__stat="anon 1")
    write(top / "pod", memory__max=64 * MIB, memory__current=24 * MIB, memory__stat="anon 1")
    assert available_memory(root) == 40 * MIB
    for own in ("/", "/docker/abc", "/../outside"):  # as a container names the mounted one
        write(second(root, own), memory__max=32 * MIB, memory__current=2 * MIB)
        write(top, memory__stat="inactive_file 0")
        assert available_memory(root) == 30 * MIB


def test_the_first_version_of_groups(root: Path) -> None:
    top = first(root, "/kubepods/pod1")
    none = 9223372036854771712
    for folder, limit in ((top, none), (top / "kubepods", none), (top / "kubepods/pod1", 2**29)):
        write(
            folder, memory__limit_in_bytes=limit, memory__usage_in_bytes=2**28,
            memory__stat=f"inactive_file 0\ntotal_inactive_file {2**27}\ntotal_active_file 0",
        )  # fmt: skip
    assert available_memory(root) == 2**29 - 2**27


def test_what_no_kernel_writes_is_passed_over(root: Path) -> None:
    top = second(root, "/job")
    for text in ("", "many", "-1"):
        second(root, "/job")
        write(top / "job", memory__max=text, memory__current=text, memory__stat=text)
        assert available_memory(root) in (0, 2**33)
        write(root / "proc/self", cgroup=text)
        assert available_memory(root) == 2**33


def test_arrays_beyond_the_memory_of_the_machine_are_refused() -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux says how much memory is available")
    refuse_beyond_memory("x", 1)
    with pytest.raises(DamagedFileError, match="bytes of memory are available"):
        refuse_beyond_memory("x", 2**60)


@pytest.fixture
def limited() -> Iterator[Path]:
    """A control group of 256 MiB below this process's own, of either version."""
    name = f"tuiprobe-{uuid.uuid4().hex[:8]}"
    places = {
        Path("/sys/fs/cgroup/memory") / name: "memory.limit_in_bytes",
        Path("/sys/fs/cgroup") / name: "memory.max",
    }
    for folder, limit in places.items():
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            (folder / limit).write_text(str(256 * MIB))
        except OSError:
            folder.rmdir()
            continue
        yield folder
        folder.rmdir()
        return
    pytest.skip("this machine lets no test make a control group with a limit of memory")


def test_a_process_in_a_limited_group_knows_its_limit(limited: Path, tmp_path: Path) -> None:
    script = (
        "import sys, os; open(sys.argv[1] + '/cgroup.procs', 'w').write(str(os.getpid()))\n"
        "from tuiprobe.limits import available_memory; print(available_memory())"
    )
    words = [sys.executable, "-c", script, str(limited)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=os.environ)
    assert 100 * MIB < int(done.stdout) <= 256 * MIB
