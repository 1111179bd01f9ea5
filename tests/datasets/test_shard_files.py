import os
import pickle
from pathlib import Path

import pytest

from tuiprobe.datasets import shard_files
from tuiprobe.errors import DataError


def test_globs_folders_and_braces_name_local_files_in_byte_order(tmp_path, monkeypatch):
    folder = tmp_path / "set [1]"
    folder.mkdir()
    for name in ("b-1.tar", "b-0.tar", "a.tar", "é.tar", "notes.txt", "._a.tar"):
        (folder / name).write_bytes(b"")
    (folder / "unpacked.tar").mkdir()
    tars = [str(folder / name) for name in ("a.tar", "b-0.tar", "b-1.tar", "é.tar")]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert shard_files.expand(str(folder)) == shard_files.expand("~/set [1]") == tars
    assert shard_files.expand(f"{tmp_path}/set*/*.tar") == tars
    with monkeypatch.context() as inside:
        inside.chdir(folder)
        assert shard_files.expand("*.tar") == tars
    assert shard_files.expand(f"{tmp_path}/set*/b-{{0..1}}.tar") == tars[1:3]
    assert shard_files.expand(f"{tmp_path}/set*/{{a,b-1,a}}.tar") == [tars[0], tars[2]]
    assert shard_files.expand("https://host/{b,a}.tar") == [
        "https://host/a.tar",
        "https://host/b.tar",
    ]
    assert shard_files.expand("s3://bucket/val-{09..10}.tar")[1] == "s3://bucket/val-10.tar"


def test_a_pattern_finds_what_a_shell_finds(tmp_path: Path) -> None:
    for name in ("a/b/c/1.tar", "a/2.tar", "3.tar", ".x/4.tar", "a/.5.tar", "a/b/6.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    os.mkfifo(tmp_path / "a" / "pipe.tar")
    (tmp_path / "a" / "round").symlink_to(tmp_path)
    for pattern, names in {
        "**/*.tar": ["3.tar", "a/2.tar", "a/b/c/1.tar"],
        "**/**/b/**/*.tar": ["a/b/c/1.tar"],
        "*/?.tar": ["a/2.tar"],
        "a/**": ["a/2.tar", "a/b/6.txt", "a/b/c/1.tar"],
        "[ab]/b/[a-c]/*": ["a/b/c/1.tar"],
        ".*/*.tar": [".x/4.tar"],
        "a/round/*.tar": ["a/round/3.tar"],
    }.items():
        assert shard_files.expand(f"{tmp_path}/{pattern}") == [
            str(tmp_path / name) for name in names
        ]


def test_a_pattern_with_too_many_ways_through_folders_is_refused(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(60):  # as many ways through it as 60 over 5: five million
        folder = folder / "d"
    folder.mkdir(parents=True)
    with pytest.raises(DataError, match="more than 3"):
        shard_files.expand(f"{tmp_path}/**/d/**/d/**/d/**/d/**/d/*.tar")
    with pytest.raises(DataError, match="matches no file"):
        shard_files.expand(f"{tmp_path}/**/d/**/d/*.tar")
    with pytest.raises(DataError, match="at most 256"):
        shard_files.expand(f"{tmp_path}/{'d/' * 400}*.tar")
    with pytest.raises(DataError, match="at most 256"):
        shard_files.matching_files("[d]" * 100 + "*", tmp_path)


def test_braces_without_end_are_refused() -> None:
    assert shard_files.expand_braces("x{a}" * 3000) == ["xa" * 3000]
    with pytest.raises(DataError, match="more than 100,000 shards"):
        shard_files.expand_braces("{a,b}" * 3000)
    with pytest.raises(DataError, match="too long to name 100,000 shards"):
        shard_files.expand_braces("{0..99999}" + "x" * 10_000)
    long = "9" * 5000
    assert shard_files.expand_braces(f"{{0..{long}}}") == [f"0..{long}"]


@pytest.mark.parametrize(
    ("pattern", "cause"),
    [
        ("/nowhere/x.tar", "does not exist"),
        ("/nowhere/*.tar", "matches no file"),
        ("/nowhere/{3..1}.tar", "backwards"),
        ("/nowhere/{0..99999999999}.tar", "more than 100,000"),
        ("/x/{0..999}{0..999}.tar", "more than 100,000"),
        ("pipe:cat /etc/passwd", "runs a shell"),
        ("PIPE:cat /etc/passwd", "runs a shell"),
        ("simplecache::https://host/x.tar", "only URLs of"),
        ("ftp://host/x.tar", "only URLs of"),
        ("memory://x.tar", "only URLs of"),
        ("file:///etc/passwd", "only URLs of"),
        ("https://host/x.tar::pipe:ls", "only URLs of"),
    ],
)
def test_what_is_not_followed_says_why(pattern: str, cause: str) -> None:
    with pytest.raises(DataError, match=cause):
        shard_files.expand(pattern)


def test_a_range_ends_with_the_file_and_the_stamp_follows_it(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(range(100)))
    stamp = shard_files.stamp(str(path))
    assert shard_files.read_range(str(path), 10, 5) == (bytes(range(10, 15)), stamp)
    assert shard_files.read_range(str(path), 98, 5) == (bytes([98, 99]), stamp)
    with pytest.raises(DataError, match="does not exist"):
        shard_files.read_range(str(tmp_path / "gone"), 0, 1)
    path.write_bytes(b"22")
    assert shard_files.stamp(str(path)) != stamp
    assert pickle.dumps(stamp)
