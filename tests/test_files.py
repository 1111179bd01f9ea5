import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tuiprobe.errors import RunError
from tuiprobe.files import DamagedFileError, Entry, open_regular, parse_json, read_regular, sweep


def special(folder: Path, kind: str) -> Path:
    """Returns the path of something that is no file."""
    path = folder / kind
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(path))
        server.close()
    elif kind == "folder":
        path.mkdir()
    else:
        path = Path("/dev/zero")
    return path


@pytest.mark.timeout(10)
@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "device"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = special(tmp_path, kind)
    for read in (open_regular, read_regular):
        with pytest.raises((DamagedFileError, OSError)):
            read(path)
    if path.parent == tmp_path:
        entry = Entry(tmp_path, path.name)
        assert not entry.exists()
        with pytest.raises(DamagedFileError):
            entry.read_bytes()
        with pytest.raises((RunError, DamagedFileError, OSError)):
            entry.descriptor(os.O_WRONLY)


def test_sizes_are_capped(tmp_path: Path) -> None:
    file = Entry(tmp_path, "a.json")
    file.write_text('{"a": 1}')
    with pytest.raises(DamagedFileError, match="above the limit of 4"):
        file.read_bytes(limit=4)
    with pytest.raises(DamagedFileError, match="above the limit of 4"):
        read_regular(file.path, limit=4)
    assert file.read_json() == {"a": 1}


def test_no_name_leads_out_of_the_directory(tmp_path: Path) -> None:
    for name in ("/etc/passwd", "../up", "a/../../up", "", ".", "a/./..", "a\0b", "a/.."):
        with pytest.raises(DamagedFileError, match="file"):
            Entry(tmp_path, name)


@pytest.mark.parametrize(
    ("target", "name"), [("deep/file", "a"), ("deep", "a/file"), (".", "a/deep/file")]
)
def test_no_link_below_the_directory_is_followed(tmp_path: Path, target: str, name: str) -> None:
    outside, root = tmp_path / "outside", tmp_path / "run"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "file").write_text("secret")
    root.mkdir()
    (root / "a").symlink_to(outside / target)
    entry = Entry(root, name)
    assert not entry.exists()
    with pytest.raises(DamagedFileError, match="cannot read"):
        entry.read_bytes()
    if name == "a":
        entry.write_bytes(b"mine")  # replaces the link, never what it leads to
        assert not entry.path.is_symlink()
        assert entry.read_bytes() == b"mine"
    else:
        for write in (entry.write_bytes, entry.replace):
            with pytest.raises(RunError, match="cannot write"):
                write(b"x")
    assert (outside / "deep" / "file").read_text() == "secret"
    assert [path.name for path in (outside / "deep").iterdir()] == ["file"]


def test_the_directory_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    Entry(tmp_path / "link", "a/b").write_bytes(b"x")
    assert (tmp_path / "real" / "a" / "b").read_bytes() == b"x"


def test_what_is_published_reached_the_disk_with_its_name(tmp_path, monkeypatch):
    done: list[str] = []
    real_sync, real_replace = os.fsync, os.replace

    def sync(descriptor: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        real_sync(descriptor)

    def replace(*args: object, **kwargs: object) -> None:
        done.append("rename")
        real_replace(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", replace)
    Entry(tmp_path, "shards/a").write_bytes(b"x")
    made = ["folder"]  # the new folder's own name
    assert done == [*made, "file", "rename", "folder"]
    done.clear()
    Entry(tmp_path, "status/0.json").replace(b"x")
    assert done == [*made, "rename"]


@pytest.mark.parametrize("call", ["fsync", "replace", "write", "open"])
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, call):
    file = Entry(tmp_path, "a.txt")
    file.write_text("old")
    real_open = os.open

    def full(*args: object, **kwargs: object) -> int:
        if call == "open" and not str(args[0]).endswith(".tmp"):
            return real_open(*args, **kwargs)  # type: ignore[arg-type]
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(RunError, match="No space left"):
            file.write_bytes(b"new")
    assert file.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_temporary_files_of_killed_writers_are_swept(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from tuiprobe.files import Entry\n"
        "os.replace = lambda *a, **k: os.kill(os.getpid(), 9)\n"
        "Entry(Path(sys.argv[1]), 'shards/a.safetensors').write_bytes(b'x' * 1000)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=280)
    (left,) = (tmp_path / "shards").iterdir()
    assert left.name.endswith(".tmp")
    host = left.name.split(".")[-2].split("-")[0]
    living = tmp_path / f".a.{host}-{os.getppid()}.tmp"
    elsewhere, old = tmp_path / ".a.0badcafe-1.tmp", tmp_path / ".b.0badcafe-1.tmp"
    theirs = tmp_path / ".hidden"
    for path in (living, elsewhere, old, theirs):
        path.touch()
    for path in (old, living):  # whose process counts, and no clock
        os.utime(path, (0, time.time() - 2 * 24 * 3600))
    assert sweep(tmp_path) == 2
    assert not left.exists()
    assert not old.exists()
    assert living.exists()
    assert elsewhere.exists()
    assert theirs.exists()


def test_json_that_no_writer_makes_is_refused(tmp_path: Path) -> None:
    for text in ("[" * 100_000, '{"a":' * 100_000, "NaN", "[Infinity]", "{", ""):
        with pytest.raises(ValueError, match=r"\S"):
            parse_json(text)
    file = Entry(tmp_path, "results.json")
    file.write_text("[" * 100_000 + "]" * 100_000)
    with pytest.raises(DamagedFileError, match="nested too deeply"):
        file.read_json()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_asked_for_by_the_size_and_not_by_the_limit(tmp_path: Path) -> None:
    file = Entry(tmp_path, "small")
    file.write_bytes(b"x" * 1000)
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from tuiprobe.files import Entry, read_regular\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, used + 2**26))\n"
        "path = Path(sys.argv[1])\n"
        "assert Entry(path.parent, path.name).read_bytes(16 * 2**30) == b'x' * 1000\n"
        "assert read_regular(path, 16 * 2**30) == b'x' * 1000\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(file.path)], check=False, timeout=280, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
