import http.server
import multiprocessing
import pickle
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.datasets.trees import jpeg, write_tar
from tuiprobe import miniature
from tuiprobe.datasets import UnreadableImageError
from tuiprobe.datasets.load import load_suite
from tuiprobe.datasets.webdataset import WebDataset
from tuiprobe.errors import DataError
from tuiprobe.limits import IMAGE_BYTES


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_exported_shards_are_the_built_in_set(tmp_path: Path) -> None:
    exported = miniature.export(tmp_path / "x", sets=("r",), layouts=("webdataset",), images=40)
    shards = WebDataset(f"{exported}/webdataset/r-*.tar")
    built_in = miniature.dataset("r")
    assert shards.classes == built_in.classes
    assert shards.name == "r"
    for sample in shards.samples:
        original = built_in.samples[sample.id * 2000 // 40]
        assert sample.label == original.label
        assert (
            np.array(shards.read(sample).image()) == np.array(built_in.read(original).image())
        ).all()


CASES: dict[str, tuple[dict[str, bytes], tuple[str, ...], list[int | None]]] = {
    "no class": ({"b.jpg": b"", "a.jpg": b""}, (), [None, None]),
    "folders": ({f"r/{n}/{i}.jpg": b"" for n in ("n02", "n01") for i in "01"} | {"r/README": b""},
                ("n01", "n02"), [0, 0, 1, 1]),
    "numbers": ({"a.jpg": b"", "a.cls": b"10", "b.jpg": b"", "b.cls": b"2"}, ("2", "10"), [1, 0]),
    "floats": ({"a.jpg": b"", "a.cls": b"2.0", "b.jpg": b"", "b.cls": b"1.0e+00"},
               ("1", "2"), [1, 0]),
    "the last of ImageNet": ({"a.jpg": b"", "a.cls": b"999"},
                             tuple(map(str, range(1000))), [999]),
    "numbered folders": ({f"r/{n}/a.jpg": b"" for n in ("1", "10", "2")},
                         ("1", "2", "10"), [0, 2, 1]),
    "numbers in JSON": ({"a.jpg": b"", "a.json": b'{"label": 7, "caption": "3"}',
                         "b.jpg": b"", "b.json": b'{"label": 2}'}, ("2", "7"), [1, 0]),
    "names in JSON": ({"r/a.jpg": b"", "r/a.json": b'{"class_name": "cat"}',
                       "s/b.jpg": b"", "s/b.json": b'{"class_name": "ant"}'},
                      ("ant", "cat"), [1, 0]),
    "JSON beside classes": ({"a.jpg": b"", "a.cls": b"1", "a.json": b'{"label": 0}',
                             "b.jpg": b"", "b.cls": b"0", "b.json": b'{"label": 1}'},
                            ("0", "1"), [1, 0]),
    "JSON of something else": ({"r/a.jpg": b"", "r/a.json": b'{"label": [1], "sha": "x"}',
                                "s/b.jpg": b"", "s/b.json": b"no JSON"}, ("r", "s"), [0, 1]),
    "names": ({"1.jpg": b"", "1.cls": b"n02", "2.jpg": b"", "2.cls": b"n01"},
              ("n01", "n02"), [1, 0]),
    "numbers of folders": ({"1.5/a.jpg": b"", "nan/b.jpg": b""}, ("1.5", "nan"), [0, 1]),
    "one is missing": ({"1.jpg": b"", "1.cls": b"0", "2.jpg": b""}, (), [None, None]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_classes_are_members_or_folders(case: str, tmp_path: Path) -> None:
    members, classes, labels = CASES[case]
    shards = WebDataset(str(write_tar(tmp_path / "val.tar", members)))
    assert shards.name == "val"
    assert shards.classes == classes
    assert [s.label for s in shards.samples] == labels
    missing = ("labels are not used: 1 images have no class",)
    assert shards.notes == (missing if case == "one is missing" else ())


def test_samples_follow_the_byte_order_of_shard_and_member(tmp_path: Path) -> None:
    write_tar(tmp_path / "my val" / "10.tar", {"b.jpg": jpeg(0), "a.jpg": jpeg(1)})
    write_tar(tmp_path / "my val" / "2.tar", {"a.jpg": jpeg(2)})
    suite = load_suite(f"webdataset:{tmp_path}/my val/*.tar")
    assert (suite.name, list(suite.sets)) == ("my-val", ["my-val"])
    samples = suite.sets["my-val"].samples
    assert [s.path for s in samples] == ["10.tar/a.jpg", "10.tar/b.jpg", "2.tar/a.jpg"]
    assert [s.id for s in samples] == [0, 1, 2]


def test_names_come_from_the_file_beside(tmp_path: Path) -> None:
    write_tar(tmp_path / "test" / "0.tar", {"a.jpg": jpeg(0), "a.cls": b"2"})
    (tmp_path / "classnames.txt").write_text("cat\ndog\nbig cow\n")
    assert WebDataset(str(tmp_path / "test")).classes == ("cat", "dog", "big cow")
    (tmp_path / "test" / "classes.txt").write_text("cat\ndog\n")
    message = r"classes\.txt names 2 classes, but the shards go up to 2; .*subtract 1"
    with pytest.raises(DataError, match=message):
        WebDataset(str(tmp_path / "test"))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"a.jpg": b"", "a.cls": b"-1"}, "numbered -1"),
        ({"a.jpg": b"", "a.cls": b"0.5"}, "row 0 has the label 0.5"),
        ({"a.jpg": b"", "a.cls": b"nan", "b.jpg": b"", "b.cls": b"1"}, "row 0 has no label"),
        ({"a.jpg": b"", "a.cls": b"99999999999"}, "numbered 99,999,999,999 is no class"),
        ({"1.txt": b"x"}, r"no image in .*a\.tar \(only 1 other files\)"),
    ],
)
def test_shards_without_classes_or_images_are_refused(members, message, tmp_path):
    with pytest.raises(DataError, match=message):
        WebDataset(str(write_tar(tmp_path / "a.tar", members)))


def test_hostile_members_are_told_and_no_file_is_made(tmp_path: Path) -> None:
    members = {"1.jpg": jpeg(0), "../../evil.jpg": jpeg(1), "/tmp/evil.jpg": jpeg(1)}
    path = write_tar(tmp_path / "in" / "a.tar", members)
    before = {p for p in tmp_path.rglob("*") if "cache" not in p.parts}
    shards = WebDataset(str(path))
    shards.read(shards.samples[0]).image()
    assert shards.notes == ("members left out: 2 names that lead outside",)
    assert {p for p in tmp_path.rglob("*") if "cache" not in p.parts} == before


def test_a_shard_that_changes_under_a_run_costs_images_not_the_run(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"1.jpg": jpeg(0), "2.jpg": jpeg(1)})
    shards = WebDataset(str(path))
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(UnreadableImageError):
        shards.read(shards.samples[0]).image()
    path.unlink()
    with pytest.raises(UnreadableImageError, match="does not exist"):
        shards.read(shards.samples[1]).image()
    with path.open("wb") as file:
        info = tarfile.TarInfo("1.jpg")
        info.size = IMAGE_BYTES + 1
        file.write(info.tobuf())
        file.truncate(512 + info.size + 1024)  # a hole, which takes no room on the disk
    giant = WebDataset(str(path))
    with pytest.raises(UnreadableImageError, match="too large for an image"):
        giant.read(giant.samples[0]).image()


def opened_in_parallel(shards: WebDataset, method: str) -> list[bytes]:
    with multiprocessing.get_context(method).Pool(2) as pool:
        return pool.map(partial(pixels, shards), list(range(len(shards.samples))) * 3)


def pixels(shards: WebDataset, number: int) -> bytes:
    return shards.read(shards.samples[number]).image().tobytes()


def test_forked_and_spawned_processes_share_no_place_in_a_file(tmp_path: Path) -> None:
    for shard in range(2):
        members = {f"{i}.jpg": jpeg(10 * shard + i) for i in range(10)}
        write_tar(tmp_path / f"{shard}.tar", members)
    shards = WebDataset(str(tmp_path))
    expected = [pixels(shards, i) for i in range(20)] * 3
    assert len(set(expected)) == 20
    assert opened_in_parallel(shards, "fork") == expected
    copy = pickle.loads(pickle.dumps(shards))  # what a spawned process is given
    assert [pixels(copy, i) for i in range(20)] * 3 == expected


class Ranges(http.server.SimpleHTTPRequestHandler):
    """Serves files in pieces, as object stores do."""

    def do_GET(self) -> None:
        content = Path(self.translate_path(self.path)).read_bytes()
        status, requested = 200, self.headers.get("Range")
        if requested:
            first, last = map(int, requested.removeprefix("bytes=").split("-"))
            status, whole, content = 206, len(content), content[first : last + 1]
        self.send_response(status)
        if requested:
            end = first + len(content) - 1
            self.send_header("Content-Range", f"bytes {first}-{end}/{whole}")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "www").mkdir()
    handler = partial(Ranges, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_shards_at_a_url_are_those_on_disk(tmp_path: Path, server: str) -> None:
    pytest.importorskip("aiohttp")
    for shard in range(2):
        members = {f"{i}.jpg": jpeg(10 * shard + i) for i in range(3)}
        write_tar(tmp_path / "www" / f"val-{shard}.tar", members)
    there = WebDataset(f"{server}/val-{{0..1}}.tar")
    here = WebDataset(str(tmp_path / "www"))
    assert there.samples == here.samples
    assert there.name == here.name == "val"
    for number in range(6):
        assert pixels(there, number) == pixels(here, number)
    assert opened_in_parallel(there, "fork") == [pixels(here, i) for i in range(6)] * 3
    with pytest.raises(DataError, match=r"gone\.tar"):
        WebDataset(f"{server}/gone.tar")
