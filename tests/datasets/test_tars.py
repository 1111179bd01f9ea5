import io
import struct
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.datasets.trees import jpeg, tar_of
from tuiprobe.datasets.tars import index_of, read_index
from tuiprobe.errors import DataError
from tuiprobe.limits import NAME_LENGTH


def index(content: bytes):
    return read_index(io.BytesIO(content), "x.tar")


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_offsets_lead_to_the_very_bytes(format: int) -> None:
    pictures = {f"val/{'x' * 60}/{i}.jpg": jpeg(i) for i in range(5)}
    if format != tarfile.USTAR_FORMAT:
        pictures["val/" + "ü" * 90 + ".jpg"] = jpeg(9)
    content = tar_of(pictures, format)
    members = index(content).members
    assert {m.name: content[m.offset : m.offset + m.size] for m in members} == pictures


def test_labels_and_pictures_about_an_image_lie_beside_it_in_any_order() -> None:
    named = ("a/1.jpg", "a/2.png", "b/2.jpg", "3.jpg", "3.seg.png", "4.left.png", "4.right.png")
    members = {
        "a/1.cls": b" 7\n", **dict.fromkeys(named, b"x"), "a/2.cls.txt": "Bär".encode(),
        "a/1.json": b"{}", "./3.jpg": b"newer",
    }  # fmt: skip
    result = index(tar_of(members))
    assert {m.name: m.label for m in result.members} == {
        "a/1.jpg": "7", "a/2.png": "Bär", "b/2.jpg": None, "3.jpg": None,
        "4.left.png": None, "4.right.png": None,
    }  # fmt: skip
    assert dict(result.left_out) == {"other files": 1, "images beside another": 1}
    # as in tar, a later member replaces an earlier
    assert next(m.size for m in result.members if m.name == "3.jpg") == 5


def test_what_could_lead_outside_is_passed_over_and_counted() -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, kind in (
            ("ok.jpg", tarfile.REGTYPE), ("/etc/passwd.jpg", tarfile.REGTYPE),
            ("a/../../b.jpg", tarfile.REGTYPE), ("link.jpg", tarfile.SYMTYPE),
            ("hard.jpg", tarfile.LNKTYPE), ("pipe.jpg", tarfile.FIFOTYPE),
            ("disk.jpg", tarfile.BLKTYPE), ("folder.jpg", tarfile.DIRTYPE),
            (".hidden.jpg", tarfile.REGTYPE), ("script.py", tarfile.REGTYPE),
        ):  # fmt: skip
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
    result = index(file.getvalue())
    assert [m.name for m in result.members] == ["ok.jpg"]
    assert dict(result.left_out) == {
        "names that lead outside": 2, "links": 2, "special files": 2, "folders": 1,
        "hidden files": 1, "other files": 1,
    }  # fmt: skip


WHOLE = tar_of({f"{i}.jpg": jpeg(i) for i in range(3)})

SECOND = 512 + -(-len(jpeg(0)) // 512) * 512
"""Where the header of the second member begins."""


@pytest.mark.parametrize("end", [300, 700, SECOND - 1, SECOND + 100, SECOND + 600])
def test_a_tar_that_is_cut_short_is_no_shorter_data_set(end: int) -> None:
    with pytest.raises(DataError, match=r"x\.tar .*(cut short|damaged)"):
        index(WHOLE[:end])


def test_a_damaged_header_and_a_cut_between_members_are_not_taken_for_the_end() -> None:
    assert index(WHOLE).ended
    assert not index(WHOLE[:SECOND]).ended
    damaged = bytearray(WHOLE)
    damaged[SECOND + 10] ^= 0xFF
    with pytest.raises(DataError, match=f"there is no header of a member at byte {SECOND:,}"):
        index(bytes(damaged))


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
    ("content", "cause"),
    [
        (b"", "no tar file"),
        (b"plain text" * 100, "no tar file"),
        (b"\x1f\x8b\x08\x00" + b"\0" * 600, "compressed with gzip"),
        (b"BZh91AY" + b"\0" * 600, "compressed with bzip2"),
        (header("a.jpg", base256(2**62)) + bytes(2048), "cut short"),
        (header("a.jpg", base256(-1024)) + bytes(2048), "damaged"),
        (header("a.cls", b"77777777777\0") + bytes(2048), "too long for a class"),
        (header("@LongLink", base256(2**40), b"L") + bytes(2048), "header of 1,099,511,627,776 b"),
        (header("pax", base256(2**40), b"x") + bytes(2048), "header of 1,099,511,627,776 bytes"),
        (header("pax", base256(-512), b"x") + bytes(2048), "damaged"),
        (tar_of({"1.cls": b"x" * (NAME_LENGTH + 1)}), "too long for a class"),
    ],
    ids=["empty", "text", "gzip", "bzip2", "huge", "negative", "huge class", "huge name",
         "huge pax", "negative pax", "long class"],
)  # fmt: skip
def test_what_is_no_tar_or_lies_about_a_size_is_refused_before_it_is_read(content, cause):
    with pytest.raises(DataError, match=cause):
        index(content)


def pax(content: bytes) -> bytes:
    """Returns an extended header of any content."""
    padded = content.ljust(-(-len(content) // 512) * 512, b"\0")
    return header("pax", b"%011o\0" % len(content), b"x") + padded


MEMBER = header("a.jpg", b"00000000000\0")
SPARSE = pax(b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n") + header("a.jpg", b"00006065000\0")


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (pax(b"17 size=-1048576\n") + MEMBER, "has -1,048,576 bytes"),
        (pax(b"7 a=bc\n") * 3000 + MEMBER, "longer headers"),
        (SPARSE + b"400000\n" + b"1\n" * 800_000, "longer headers"),  # in 50 MB of numbers
        (pax(b"9" * 2**18) + MEMBER, "a header of 262,144 bytes"),
        (pax(b"0 a=\n") + MEMBER, "damaged"),
    ],
    ids=["backwards", "deep", "map", "long", "endless"],
)
def test_extended_headers_are_bounded(content: bytes, cause: str) -> None:
    with pytest.raises(DataError, match=cause):
        index(content + bytes(1024))


def test_a_header_of_the_whole_archive_is_no_member_and_names_none() -> None:
    comment = tarfile.TarInfo.create_pax_global_header({"comment": "of git"})
    assert [m.name for m in index(comment + WHOLE).members] == ["0.jpg", "1.jpg", "2.jpg"]
    for field in ({"path": "b.jpg"}, {"size": "1"}):
        with pytest.raises(DataError, match="all members one name or size"):
            index(tarfile.TarInfo.create_pax_global_header(field) + WHOLE)


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
    listed = index(content)
    assert listed.left_out == {"special files": 1}
    (member,) = listed.members
    assert content[member.offset : member.offset + member.size] == jpeg(2)


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
    assert index_of(str(path), path / "no folder") == first  # a cache that cannot be written
    path.write_bytes(tar_of({"new.jpg": jpeg(1)}))
    assert [m.name for m in index_of(str(path), cache).members] == ["new.jpg"]
