"""Attacks every source of images, and lists beside them, within bounded memory.

`python -m tests.fuzz.sources SECONDS SEED FOLDER` damages one file (or the spec) a case and opens
the source as a user would: it opens, or ends in one of our errors, in time and memory. The first
find ends it with 1.
"""

from __future__ import annotations

import io
import os
import random
import resource
import shutil
import sys
import tarfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.datasets.trees import jpeg, write_folders, write_objectnet
from tests.fuzz.budget import seeds
from tests.fuzz.mutate import mutated, mutated_json
from tuiprobe.catalog.own_baseline import read_own_baseline
from tuiprobe.datasets.load import load_concepts, load_suite
from tuiprobe.errors import TuiprobeError
from tuiprobe.models.head_files import read_classes, read_templates

MEMORY = 768 * 2**20
"""What all cases may ask for beyond what is there when they begin."""

SLOWEST = 20.0
WORDS = ("*", "**", "?", "[", "]", "{", "}", "{0..9}", "{0..99999}", "{a,b}", "..", "/", "~", "\0",
         "x" * 300, "\udc80", "::", "s3:", "file://", "/**/**", "{5..1}", "'", "\n")  # fmt: skip


def make_sources(root: Path) -> None:
    """Writes a small source of every kind."""
    for name in ("images", "renditions"):
        write_folders(root / name, ["cat", "dog"], ".jpg")
    write_objectnet(root / "objectnet", images=1)
    for number in range(2):
        kind = (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT)[number]
        with tarfile.open(root / f"shard-{number}.tar", "w", format=kind) as tar:
            for name, content in (
                ("a" * 120 + ".jpg", jpeg(1)), ("b.jpg", jpeg(2)), ("b.cls", b"1"),
                ("a" * 120 + ".cls", b"0"), ("ö.txt", b"x"),
            ):  # fmt: skip
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    (root / "classnames.txt").write_text("cat\ndog\n")
    (root / "templates.txt").write_text("a photo of a {}.\na {}\n")
    (root / "concepts.csv").write_text(
        "image,split,color:red,dog\nimages/cat/cat_0000.jpg,train,0.5,1\n"
        "images/dog/dog_0001.jpg,val,0,0\n"
    )
    (root / "baseline.csv").write_text("model,val,renditions\na,0.9,0.7\nb,0.8,0.6\n")
    (root / "suite.toml").write_text(
        'name = "s"\nid = "imagefolder:images"\nconcepts = "csv:concepts.csv"\n[shifts]\n'
        'r = "imagefolder:renditions"\nw = "webdataset:shard-{0..1}.tar"\n'
    )


def read_all(source: str) -> None:
    for data in load_suite(source).sets.values():
        for sample in data.samples[:3]:
            data.stamp(sample)
            data.open(sample).load()


def read_concepts(source: str) -> None:
    found = load_concepts(source)
    for sample in found.samples[:3]:
        found.annotation(sample)


def read_baseline(path: str) -> None:
    text = Path(path).read_bytes().decode("utf-8", "replace")
    read_own_baseline(text, path, "val", ("renditions",))


Reader = Callable[[str], object]
FILES: dict[str, tuple[str, Reader]] = {
    "images/cat/cat_0000.jpg": ("imagefolder:images", read_all),
    "shard-0.tar": ("webdataset:shard-*.tar", read_all),
    "shard-1.tar": ("webdataset:shard-{0..1}.tar", read_all),
    "suite.toml": ("suite:suite.toml", read_all),
    "concepts.csv": ("csv:concepts.csv", read_concepts),
    "baseline.csv": ("baseline.csv", read_baseline),
    "classnames.txt": ("classnames.txt", lambda path: read_classes(Path(path))),
    "templates.txt": ("templates.txt", lambda path: read_templates(Path(path))),
    **{
        f"objectnet/mappings/{name}": ("objectnet:objectnet", read_all)
        for name in (
            "folder_to_objectnet_label.json", "objectnet_to_imagenet_1k.json",
            "pytorch_to_imagenet_2012_id.json", "imagenet_to_label_2012_v2",
        )
    },
}  # fmt: skip


def huge(content: bytes, draw: random.Random) -> bytes:
    """Returns a large file of one small piece again and again."""
    pieces = (b"\n", b",", b"1,", b'"', b"{", b"[", b"a.", b"x=1\n", b"\0", content, b"{}\n")
    piece = draw.choice(pieces)
    size = draw.choice((2**16, 2**20, 20 * 2**20))
    begin = draw.choice((b"", content))
    return begin + piece * (size // len(piece))


def damaged(draw: random.Random, name: str, content: bytes) -> bytes:
    kind = draw.randrange(20)
    if kind == 0:
        return huge(content, draw)
    if name.endswith(".json") and kind < 14:
        return mutated_json(content, draw)
    if name.endswith(".tar") and kind < 10:  # the headers, where the images would take most hits
        at = draw.choice(
            [i for i in range(0, len(content), 512) if content[i + 257 :][:5] == b"ustar"]
        )
        return content[:at] + mutated(content[at : at + 512], draw) + content[at + 512 :]
    return mutated(content, draw)


def odd_spec(draw: random.Random, spec: str) -> str:
    kind, _, rest = spec.partition(":")
    for _ in range(draw.choice((1, 1, 2, 4))):
        at = draw.randrange(len(rest) + 1)
        rest = rest[:at] + draw.choice(WORDS) + rest[at:]
    return f"{kind}:{rest}"


def one_case(seed: int) -> str:
    """Runs one case in the working folder; returns what went wrong, or nothing."""
    draw = random.Random(seed)
    name = draw.choice(sorted(FILES))
    source, reader = FILES[name]
    if reader in (read_all, read_concepts) and draw.random() < 0.1:
        source = odd_spec(draw, source)
    else:
        content = Path(name).read_bytes()
        Path(name).write_bytes(damaged(draw, name, content))
    begun = time.process_time()
    try:
        reader(source)
    except TuiprobeError:
        pass
    except Exception:
        return traceback.format_exc()
    took = time.process_time() - begun
    return f"{took:.1f} s" if took > SLOWEST else ""


def main(seconds: float, seed: int, folder: Path) -> int:
    """Attacks for a while; returns 1 at the first find."""
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    os.environ.pop("TUIPROBE_DATA", None)
    template, place = folder / "template", folder / "place"
    make_sources(template)
    os.chdir(template)
    for source, reader in FILES.values():
        reader(source)  # whole, they all open; and what they import is there
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for number in seeds(seconds, seed):
        os.chdir(folder)
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(template, place)
        os.chdir(place)
        wrong = one_case(number)
        if wrong:
            print(f"seed {number}: {wrong}", flush=True)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
