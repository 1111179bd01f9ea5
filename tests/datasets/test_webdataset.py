from __future__ import annotations

import http.server
import io
import multiprocessing
import pickle
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.datasets.trees import jpeg
from tuiprobe import miniature
from tuiprobe.datasets import UnreadableImageError
from tuiprobe.datasets.load import load_suite
from tuiprobe.datasets.webdataset import WebDataset
from tuiprobe.errors import DataError
from tuiprobe.limits import IMAGE_BYTES


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def write_tar(path: Path, members: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def test_exported_shards_are_the_built_in_set(tmp_path: Path) -> None:
    exported = miniature.export(tmp_path / "x", sets=("r",), layouts=("webdataset",), images=40)
    shards = WebDataset(f"{exported}/webdataset/r-*.tar")
    built_in = miniature.dataset("r")
    assert shards.classes == built_in.classes
    assert shards.name == "r"
    for sample in shards.samples:
        original = built_in.samples[sample.id * 2000 // 40]
        assert sample.label == original.label
        assert (np.array(shards.open(sample)) == np.array(built_in.open(original))).all()


def test_samples_follow_the_byte_order_of_shard_and_member(tmp_path: Path) -> None:
    write_tar(tmp_path / "10.tar", {"b.jpg": jpeg(0), "a.jpg": jpeg(1)})
    write_tar(tmp_path / "2.tar", {"a.jpg": jpeg(2)})
    shards = WebDataset(str(tmp_path))
    assert [s.path for s in shards.samples] == ["10.tar/a.jpg", "10.tar/b.jpg", "2.tar/a.jpg"]
    assert [s.id for s in shards.samples] == [0, 1, 2]
    assert shards.classes == ()
    assert {s.label for s in shards.samples} == {None}


def test_a_plain_tar_of_class_folders_needs_no_class_members(tmp_path: Path) -> None:
    write_tar(
        tmp_path / "imagenet-r.tar",
        {"imagenet-r/README.txt": b"x"}
        | {f"imagenet-r/{n}/{i}.jpg": jpeg(i) for n in ("n02", "n01") for i in range(2)},
    )
    shards = WebDataset(str(tmp_path / "imagenet-r.tar"))
    assert shards.classes == ("n01", "n02")
    assert [s.label for s in shards.samples] == [0, 0, 1, 1]
    assert shards.name == "imagenet-r"


def test_numbers_are_labels_and_names_come_from_the_file_beside(tmp_path: Path) -> None:
    write_tar(tmp_path / "test" / "0.tar", {"a.jpg": jpeg(0), "a.cls": b"2"})
    assert WebDataset(str(tmp_path / "test")).classes == ("0", "1", "2")
    (tmp_path / "classnames.txt").write_text("cat\ndog\nbig cow\n")
    shards = WebDataset(str(tmp_path / "test"))
    assert shards.classes == ("cat", "dog", "big cow")
    assert shards.samples[0].label == 2
    (tmp_path / "test" / "classes.txt").write_text("cat\ndog\n")
    said = r"classes\.txt names 2 classes, but the shards go up to 2; .*subtract 1"
    with pytest.raises(DataError, match=said):
        WebDataset(str(tmp_path / "test"))


@pytest.mark.parametrize(
    ("first", "said"),
    [("-1", "numbered -1"), ("0.5", "row 0 has the label 0.5"), ("nan", "row 0 has no label")],
)
def test_numbers_that_are_no_classes_are_refused(first: str, said: str, tmp_path: Path) -> None:
    members = {"a.jpg": jpeg(0), "a.cls": first.encode(), "b.jpg": jpeg(1), "b.cls": b"1.0e+01"}
    write_tar(tmp_path / "0.tar", members)
    with pytest.raises(DataError, match=said):
        WebDataset(str(tmp_path / "0.tar"))
    write_tar(tmp_path / "1.tar", {**members, "a.cls": b"2.0"})
    shards = WebDataset(str(tmp_path / "1.tar"))
    assert [one.label for one in shards.samples] == [2, 10]
    assert shards.classes == tuple(str(i) for i in range(11))
    write_tar(tmp_path / "2.tar", {"1.5/a.jpg": jpeg(0), "nan/b.jpg": jpeg(1)})
    assert WebDataset(str(tmp_path / "2.tar")).classes == ("1.5", "nan")


def test_names_are_labels_too(tmp_path: Path) -> None:
    members = {"1.jpg": jpeg(0), "1.cls": b"n02", "2.jpg": jpeg(0), "2.cls": b"n01"}
    write_tar(tmp_path / "a.tar", members)
    shards = WebDataset(str(tmp_path / "a.tar"))
    assert shards.classes == ("n01", "n02")
    assert [s.label for s in shards.samples] == [1, 0]


def test_a_class_that_is_missing_makes_the_set_unlabelled_and_says_so(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"1.jpg": jpeg(0), "1.cls": b"0", "2.jpg": jpeg(0)})
    shards = WebDataset(str(tmp_path / "a.tar"))
    assert shards.classes == ()
    assert shards.notes == ("labels are not used: 1 images have no class beside them",)


def test_absurd_class_numbers_are_refused(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"1.jpg": jpeg(0), "1.cls": b"99999999999"})
    with pytest.raises(DataError, match="numbered 99,999,999,999 is no class"):
        WebDataset(str(tmp_path / "a.tar"))


def test_hostile_members_are_told_and_no_file_is_made(tmp_path: Path) -> None:
    path = tmp_path / "in" / "a.tar"
    write_tar(path, {"1.jpg": jpeg(0), "../../evil.jpg": jpeg(1), "/tmp/evil.jpg": jpeg(1)})
    before = {p for p in tmp_path.rglob("*") if "cache" not in p.parts}
    shards = WebDataset(str(path))
    shards.open(shards.samples[0])
    assert shards.notes == ("members left out: 2 names that lead outside",)
    assert {p for p in tmp_path.rglob("*") if "cache" not in p.parts} == before


def test_no_image_is_a_clear_error(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"1.txt": b"x"})
    with pytest.raises(DataError, match=r"no image in .*a\.tar \(only 1 other files\)"):
        WebDataset(str(tmp_path / "a.tar"))


def test_a_shard_that_changes_under_a_run_costs_images_not_the_run(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    write_tar(path, {"1.jpg": jpeg(0), "2.jpg": jpeg(1)})
    shards = WebDataset(str(path))
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(UnreadableImageError):
        shards.open(shards.samples[0])
    path.unlink()
    with pytest.raises(UnreadableImageError, match="does not exist"):
        shards.open(shards.samples[1])


def test_a_giant_member_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with path.open("wb") as file:
        info = tarfile.TarInfo("1.jpg")
        info.size = IMAGE_BYTES + 1
        file.write(info.tobuf())
        file.truncate(512 + info.size + 1024)  # a hole, which takes no room on the disk
    shards = WebDataset(str(path))
    with pytest.raises(UnreadableImageError, match="too large for an image"):
        shards.open(shards.samples[0])


def opened_in_parallel(shards: WebDataset, method: str) -> list[bytes]:
    with multiprocessing.get_context(method).Pool(2) as pool:
        return pool.map(partial(pixels, shards), list(range(len(shards.samples))) * 3)


def pixels(shards: WebDataset, number: int) -> bytes:
    return shards.open(shards.samples[number]).tobytes()


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
        self.answer(content)

    def do_HEAD(self) -> None:
        content = Path(self.translate_path(self.path)).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()

    def answer(self, content: bytes) -> None:
        wanted = self.headers.get("Range")
        part = content
        if wanted:
            first, last = wanted.removeprefix("bytes=").split("-")
            part = content[int(first) : int(last) + 1]
            self.send_response(206)
            end = int(first) + len(part) - 1
            self.send_header("Content-Range", f"bytes {first}-{end}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "www").mkdir()
    handler = partial(Ranges, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as found:
        thread = threading.Thread(target=found.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()


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


def test_a_source_on_the_command_line(tmp_path: Path) -> None:
    write_tar(tmp_path / "my val" / "00000.tar", {"1.jpg": jpeg(0)})
    suite = load_suite(f"webdataset:{tmp_path}/my val/*.tar")
    assert (suite.name, list(suite.sets)) == ("my-val", ["my-val"])
    with pytest.raises(DataError, match="runs a shell"):
        load_suite("webdataset:pipe:touch /tmp/x")
