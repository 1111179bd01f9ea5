from __future__ import annotations

import io
import struct
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.datasets.trees import jpeg
from tuiprobe.datasets.tars import index_of, read_index
from tuiprobe.errors import DataError
from tuiprobe.limits import NAME_LENGTH


def add(tar: tarfile.TarFile, name: str, content: bytes = b"", **fields: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    tar.addfile(info, io.BytesIO(content))


def tar_of(write: Callable[[tarfile.TarFile], object], format: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=format) as tar:
        write(tar)
    return file.getvalue()


def index(content: bytes):
    return read_index(io.BytesIO(content), "x.tar")


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_offsets_lead_to_the_very_bytes(format: int) -> None:
    pictures = {f"val/{'x' * 60}/{i}.jpg": jpeg(i) for i in range(5)}
    if format != tarfile.USTAR_FORMAT:
        pictures["val/" + "ü" * 90 + ".jpg"] = jpeg(9)
    content = tar_of(lambda tar: [add(tar, n, b) for n, b in pictures.items()] and None, format)
    members = index(content).members
    assert {m.name: content[m.offset : m.offset + m.size] for m in members} == pictures


def test_labels_lie_beside_their_images_in_any_order() -> None:
    def write(tar: tarfile.TarFile) -> None:
        add(tar, "a/1.cls", b" 7\n")
        add(tar, "a/1.jpg", jpeg(1))
        add(tar, "a/2.png", jpeg(2))
        add(tar, "a/2.cls.txt", "Bär".encode())
        add(tar, "b/2.jpg", jpeg(3))
        add(tar, "a/1.json", b"{}")

    found = index(tar_of(write))
    assert {m.name: m.label for m in found.members} == {
        "a/1.jpg": "7",
        "a/2.png": "Bär",
        "b/2.jpg": None,
    }
    assert dict(found.left_out) == {"other files": 1}


def test_a_picture_about_an_image_is_not_an_image_of_its_own() -> None:
    def write(tar: tarfile.TarFile) -> None:
        for name in ("1.jpg", "1.seg.png", "2.left.png", "2.right.png"):
            add(tar, name, jpeg(1))

    found = index(tar_of(write))
    assert [m.name for m in found.members] == ["1.jpg", "2.left.png", "2.right.png"]
    assert found.left_out["images beside another"] == 1


def test_a_later_member_replaces_an_earlier() -> None:
    def write(tar: tarfile.TarFile) -> None:
        add(tar, "1.jpg", b"old")
        add(tar, "./1.jpg", b"newer")

    assert [m.size for m in index(tar_of(write)).members] == [5]


def test_what_could_lead_outside_is_passed_over_and_counted() -> None:
    def write(tar: tarfile.TarFile) -> None:
        add(tar, "ok.jpg", jpeg(1))
        add(tar, "/etc/passwd.jpg", jpeg(1))
        add(tar, "a/../../b.jpg", jpeg(1))
        add(tar, "link.jpg", type=tarfile.SYMTYPE, linkname="/etc/passwd")
        add(tar, "hard.jpg", type=tarfile.LNKTYPE, linkname="ok.jpg")
        add(tar, "pipe.jpg", type=tarfile.FIFOTYPE)
        add(tar, "disk.jpg", type=tarfile.BLKTYPE)
        add(tar, "folder.jpg", type=tarfile.DIRTYPE)
        add(tar, ".hidden.jpg", jpeg(1))
        add(tar, "script.py", b"import os")

    found = index(tar_of(write))
    assert [m.name for m in found.members] == ["ok.jpg"]
    assert dict(found.left_out) == {
        "names that lead outside": 2,
        "links": 2,
        "special files": 2,
        "folders": 1,
        "hidden files": 1,
        "other files": 1,
    }


WHOLE = tar_of(lambda tar: [add(tar, f"{i}.jpg", jpeg(i)) for i in range(3)] and None)


SECOND = 512 + -(-len(jpeg(0)) // 512) * 512
"""Where the header of the second member begins."""


@pytest.mark.parametrize("end", [300, 700, SECOND - 1, SECOND + 100, SECOND + 600])
def test_a_tar_that_is_cut_short_is_no_shorter_data_set(end: int) -> None:
    with pytest.raises(DataError, match=r"x\.tar .*(cut short|damaged)"):
        index(WHOLE[:end])


def test_a_cut_between_two_members_leaves_no_end_mark() -> None:
    assert index(WHOLE).ended
    assert not index(WHOLE[:SECOND]).ended


def test_a_damaged_header_is_not_taken_for_the_end() -> None:
    damaged = bytearray(WHOLE)
    damaged[SECOND + 10] ^= 0xFF
    with pytest.raises(DataError, match=f"damaged: no header of a member at byte {SECOND:,}"):
        index(bytes(damaged))


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "no tar file"),
        (b"plain text" * 100, "no tar file"),
        (b"\x1f\x8b\x08\x00" + b"\0" * 600, "compressed with gzip"),
        (b"BZh91AY" + b"\0" * 600, "compressed with bzip2"),
    ],
    ids=["empty", "text", "gzip", "bzip2"],
)
def test_what_is_no_tar_says_so(content: bytes, cause: str) -> None:
    with pytest.raises(DataError, match=cause):
        index(content)


def header(name: str, size: bytes, kind: bytes = b"0") -> bytes:
    """Returns a tar header with any size field, its checksum right."""
    block = bytearray(512)
    block[: len(name)] = name.encode()
    block[100:108] = b"0000644\0"
    block[124:136] = size
    block[156:157] = kind
    block[257:265] = b"ustar\x0000"
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(block)


def base256(number: int) -> bytes:
    sign = b"\xff" if number < 0 else b"\x80"
    return sign + struct.pack(">q", number).rjust(11, b"\xff" if number < 0 else b"\0")


@pytest.mark.parametrize(
    ("block", "cause"),
    [
        (header("a.jpg", base256(2**62)), "cut short"),
        (header("a.jpg", base256(-1024)), "damaged"),
        (header("a.cls", b"77777777777\0"), "cut short"),
        (header("@LongLink", base256(2**40), b"L"), "header of 1,099,511,627,776 bytes"),
        (header("pax", base256(2**40), b"x"), "header of 1,099,511,627,776 bytes"),
        (header("pax", base256(-512), b"x"), "damaged"),
    ],
    ids=["huge", "negative", "huge class", "huge name", "huge pax", "negative pax"],
)
def test_sizes_that_lie_are_refused_before_anything_is_read(block: bytes, cause: str) -> None:
    with pytest.raises(DataError, match=cause):
        index(block + b"\0" * 2048)


def test_extended_headers_send_the_reader_neither_backwards_nor_too_deep() -> None:
    record = b"17 size=-1048576\n"
    back = header("pax", b"%011o\0" % len(record), b"x") + record.ljust(512, b"\0")
    with pytest.raises(DataError, match="damaged"):
        index(back + header("a.jpg", b"00000000000\0") + b"\0" * 1024)
    small = b"7 a=bc\n"
    chain = header("pax", b"%011o\0" % len(small), b"x") + small.ljust(512, b"\0")
    assert [one.name for one in index(chain * 3000 + MEMBER + b"\0" * 1024).members] == ["a.jpg"]


def pax(content: bytes) -> bytes:
    """Returns an extended header of any content."""
    padded = content.ljust(-(-len(content) // 512) * 512, b"\0")
    return header("pax", b"%011o\0" % len(content), b"x") + padded


MEMBER = header("a.jpg", b"00000000000\0")
RECORDS = b"".join(b"12 a%05d=x\n" % (number % 100_000) for number in range(87_000))
LONG = b"1000000 a=".ljust(999_999, b"x") + b"\n"
BOMBS = {
    "digits": lambda: pax(b"9" * 2**20) + MEMBER,
    "digits before a space": lambda: pax(b"9" * 2**19 + b" a=" + b"9" * 2**18) + MEMBER,
    "chained": lambda: pax(RECORDS) * 40 + MEMBER,
    "one a member": lambda: (pax(RECORDS) + MEMBER) * 40,
    "chained, one record": lambda: pax(LONG) * 40 + MEMBER,
    "one a member, one record": lambda: (pax(LONG) + MEMBER) * 40,
    "few records, often": lambda: (pax(RECORDS[:10_000]) + MEMBER) * 4000,
}

BOUNDED = """
import resource, sys, time
from tuiprobe.datasets.tars import read_index
from tuiprobe.errors import DataError
if sys.platform == "linux":
    resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
begin = time.process_time()
try:
    read_index(open(sys.argv[1], "rb"), "x.tar")
except DataError as error:
    print(error)
assert time.process_time() - begin < 10
"""


@pytest.mark.parametrize("bomb", BOMBS)
def test_extended_headers_take_neither_gigabytes_nor_minutes(bomb: str, tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(BOMBS[bomb]() + bytes(1024))
    done = subprocess.run(
        [sys.executable, "-c", BOUNDED, path],
        capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert "x.tar is damaged: a" in done.stdout, done.stdout + done.stderr


def test_a_header_of_the_whole_archive_names_no_member() -> None:
    comment = tarfile.TarInfo.create_pax_global_header({"comment": "of git"})
    assert [m.name for m in index(comment + WHOLE).members] == ["0.jpg", "1.jpg", "2.jpg"]
    with pytest.raises(DataError, match="all members a name or size"):
        index(tarfile.TarInfo.create_pax_global_header({"path": "b.jpg"}) + WHOLE)


@pytest.mark.parametrize("format", ["gnu", "pax"])
def test_sparse_members_are_passed_over_whole(format: str, tmp_path: Path) -> None:
    if "GNU tar" not in subprocess.run(["tar", "--version"], capture_output=True, text=True).stdout:
        pytest.skip("GNU tar alone writes sparse members")
    with (tmp_path / "1.jpg").open("wb") as file:
        for place in range(60):  # more holes than the header itself has room for
            file.seek(place * 2**17)
            file.write(b"x")
    (tmp_path / "2.jpg").write_bytes(jpeg(2))
    subprocess.run(
        ["tar", "-S", f"--format={format}", "-cf", "x.tar", "1.jpg", "2.jpg"],
        cwd=tmp_path, check=True,
    )  # fmt: skip
    content = (tmp_path / "x.tar").read_bytes()
    found = index(content)
    assert found.left_out == {"special files": 1}
    (member,) = found.members
    assert content[member.offset : member.offset + member.size] == jpeg(2)


def test_a_class_is_a_short_text() -> None:
    long = tar_of(lambda tar: add(tar, "1.cls", b"x" * (NAME_LENGTH + 1)))
    with pytest.raises(DataError, match="too long for a class"):
        index(long)


def test_a_kept_index_is_used_until_the_tar_changes(tmp_path: Path) -> None:
    cache, path = tmp_path / "cache", tmp_path / "a.tar"
    path.write_bytes(WHOLE)
    first = index_of(str(path), cache)
    (kept,) = cache.iterdir()
    assert index_of(str(path), cache) == first
    # what is read comes from the file of the cache: altered, it alters the answer
    kept.write_text(kept.read_text().replace("0.jpg", "9.jpg"))
    assert index_of(str(path), cache).members[0].name == "9.jpg"
    kept.write_text("{ damaged")
    assert index_of(str(path), cache) == first
    path.write_bytes(tar_of(lambda tar: add(tar, "new.jpg", jpeg(1))))
    assert [m.name for m in index_of(str(path), cache).members] == ["new.jpg"]


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(WHOLE)
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    assert len(index_of(str(path), in_the_way / "cache").members) == 3
