"""Every reader of files from outside, as a function of bytes, with valid files to begin from.

A target of raw bytes reads them as a file; a target of decisions lets them steer the damage of a
valid file (`tests.fuzz.decisions`), which gets past checksums and syntax.
"""

import io
import random
import tarfile
from collections import OrderedDict
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from tests.datasets.broden_tree import write_tree
from tests.fuzz.decisions import Decisions
from tests.fuzz.runs import make_template, read_damaged, resume_damaged
from tests.fuzz.sources import make_sources, read_all, read_baseline, read_concepts
from tests.measure.engine.conftest import small_job, write_pictures
from tuiprobe.catalog.class_names import read_classes
from tuiprobe.datasets.decode import decode_image
from tuiprobe.datasets.labels import read_labels
from tuiprobe.datasets.list_files import read_listing
from tuiprobe.datasets.tars import index_of, read_index
from tuiprobe.datasets.torchfiles.archives import PickleReader
from tuiprobe.datasets.vectors.vector_files import open_matrix
from tuiprobe.models.heads import head_from_file
from tuiprobe.models.load import load_encoder
from tuiprobe.models.loaders.checkpoints import read_checkpoint
from tuiprobe.models.prompt_heads import read_templates
from tuiprobe.show.cli.app import run_cli
from tuiprobe.show.cli.headless import read_models

Ask = Callable[[bytes], object]

DRAWS = tuple(random.Random(seed).randbytes(256) for seed in range(40))
"""Seeds of the targets of decisions."""


@dataclass(frozen=True)
class Target:
    """A reader under attack.

    Attributes:
        seeds: Inputs to begin from, of which the reader makes something.
        ask: Reads one input; raises nothing but the package's own errors.
    """

    seeds: tuple[bytes, ...]
    ask: Ask


def file_target(place: Path, *kinds: tuple[str, bytes, Callable[[Path], object]]) -> Target:
    """Returns a target whose first byte says which of several files the rest is."""

    def ask(content: bytes) -> object:
        name, _, read = kinds[content[0] % len(kinds) if content else 0]
        path = place / name
        path.write_bytes(content[1:])
        return read(path)

    return Target(tuple(bytes([i]) + content for i, (_, content, _) in enumerate(kinds)), ask)


def states() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(3, 4, generator=generator)
    return {"module.fc.weight": weight, "module.fc.bias": weight[:, 0], "module.n": torch.arange(2)}


def saved(content: object, *, legacy: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def scripted() -> bytes:
    model = nn.Sequential(OrderedDict(fc=nn.Linear(4, 3)))
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.trace(model, torch.zeros(1, 4)), buffer)
    return buffer.getvalue()


def checkpoints(place: Path) -> Target:
    state = states()
    whole = {name: tensor.clone() for name, tensor in state.items()}

    def head(path: Path) -> object:
        return head_from_file(path, width=4)

    return file_target(
        place,
        ("w.pt", saved({"epoch": 1, "state_dict": state}), read_checkpoint),
        ("w.bin", saved(state, legacy=True), read_checkpoint),
        ("s.pt", scripted(), read_checkpoint),
        ("w.safetensors", save(whole), read_checkpoint),
        ("h.safetensors", save({"weight": torch.ones(3, 4)}), head),
        ("c.txt", b"cat\nfire truck\n", read_classes),
        ("t.txt", b"a {}\n", read_templates),
    )  # fmt: skip


KINDS = (torch.int64, torch.bool, torch.complex64, torch.float16, torch.float8_e4m3fn)
SHAPES = ((), (0,), (7, 0), (1,), (3, 5, 2), (2,) * 9)
PREFIXES = ("", ".", "visual", "backbone.", "model.", "\u202e", "x" * 500)


def reshape(state: dict[str, Tensor], draws: random.Random) -> None:
    """Gives one tensor of a state another shape, type, name or value, or takes it out."""
    name = draws.choice(list(state))
    tensor = state.pop(name)
    changes: list[Callable[[], Tensor]] = [
        tensor.flatten,
        lambda: tensor[None],
        lambda: torch.empty(draws.choice(SHAPES)),
        lambda: tensor[: draws.randrange(len(tensor) + 1)] if tensor.ndim else tensor,
        lambda: tensor.float().to(draws.choice(KINDS)),
        lambda: torch.full(tensor.shape, float(draws.choice((0, 1, 3e38)))),
        lambda: state[draws.choice(list(state))],
    ]
    match draws.randrange(len(changes) + 2):
        case 0:
            pass
        case 1:
            state[draws.choice(PREFIXES) + name] = tensor
        case change:
            state[name] = changes[change - 2]()


def weights(place: Path) -> Target:
    """The state of a small model, of which one to five tensors are changed."""
    import timm

    whole = timm.create_model("test_vit").state_dict()

    def ask(content: bytes) -> object:
        draws, state = Decisions(content), dict(whole)
        for _ in range(draws.choice((1, 1, 2, 5))):
            reshape(state, draws)
        (place / "tiny.pt").write_bytes(saved(state))
        return load_encoder("timm:test_vit", checkpoint=place / "tiny.pt")

    return Target(DRAWS, ask)


def pickles(place: Path) -> Target:
    import zipfile

    seeds = []
    for content in (saved({"epoch": 1, "state_dict": states()}), scripted()):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            seeds += [archive.read(n) for n in archive.namelist() if n.endswith("data.pkl")]

    def ask(content: bytes) -> object:
        try:
            return PickleReader().read(io.BytesIO(content))
        except ValueError:  # becomes a sentence of whoever opened the file
            return None

    return Target(tuple(seeds), ask)


def tars(place: Path) -> Target:
    seeds = []
    for kind in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=kind) as tar:
            for name, size in (("a" * 90 + ".jpg", 3), ("b.cls", 1), ("c/../d.png", 9)):
                info = tarfile.TarInfo(name if kind == tarfile.USTAR_FORMAT else name * 2)
                info.size = size
                tar.addfile(info, io.BytesIO(b"1" * size))
        seeds.append(buffer.getvalue()[:6144])

    def ask(content: bytes) -> object:
        return read_index(io.BytesIO(with_checksums(content)), "x.tar")

    return Target(tuple(seeds), ask)


def with_checksums(content: bytes) -> bytes:
    """Returns a tar whose headers have the checksums that fit, which no fuzzer guesses."""
    blocks = bytearray(content)
    for start in range(0, len(blocks) - 511, 512):
        if blocks[start + 257 : start + 262] == b"ustar":
            blocks[start + 148 : start + 156] = b" " * 8
            total = sum(blocks[start : start + 512])
            blocks[start + 148 : start + 156] = b"%06o\0 " % total
    return bytes(blocks)


def images(place: Path) -> Target:
    from PIL import Image

    picture = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
    seeds = []
    for kind in ("JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "PPM", "TGA", "ICO"):
        buffer = io.BytesIO()
        picture.save(buffer, kind)
        seeds.append(buffer.getvalue())
    return Target(tuple(seeds), lambda content: decode_image(io.BytesIO(content)))


def tables(place: Path) -> Target:
    make_sources(place)
    write_tree(place / "broden")
    mappings = place / "objectnet/mappings"

    def source(text: str, read: Callable[[str], object]) -> Callable[[Path], object]:
        return lambda path: read(text)

    broden = source(f"broden:{place}/broden", read_concepts)
    objectnet = source(f"objectnet:{place}/objectnet", read_all)
    kinds = [
        ("images/cat/cat_0000.jpg", source(f"imagefolder:{place}/images", read_all)),
        ("shard-0.tar", source(f"webdataset:{place}/shard-*.tar", read_all)),
        ("suite.toml", source(f"suite:{place}/suite.toml", read_all)),
        ("concepts.csv", source(f"csv:{place}/concepts.csv", read_concepts)),
        ("images/list.csv", source(f"csv:{place}/images/list.csv", read_all)),
        ("baseline.csv", source(f"{place}/baseline.csv", read_baseline)),
        ("broden/index.csv", broden),
        ("broden/label.csv", broden),
        *((f"objectnet/mappings/{p.name}", objectnet) for p in sorted(mappings.iterdir())),
    ]
    whole = {name: (place / name).read_bytes() for name, _ in kinds}

    def ask(content: bytes) -> object:
        name, read = kinds[content[0] % len(kinds) if content else 0]
        (place / name).write_bytes(content[1:])
        try:
            return read(place / name)
        finally:
            (place / name).write_bytes(whole[name])

    return Target(tuple(bytes([i]) + whole[name] for i, (name, _) in enumerate(kinds)), ask)


def lists(place: Path) -> Target:
    content = b"# a\nmini_clip\nrn50_openai checkpoint='my w.pt'\n"
    return file_target(place, ("models.txt", content, lambda path: read_models(str(path))))


WORDS = ("*", "**", "?", "[", "]", "{", "}", "{0..9}", "{0..99999}", "{a,b}", "..", "/", "~", "\0",
         "x" * 300, "\udc80", "::", "s3:", "file://", "/**/**", "{5..1}", "'", "\n")  # fmt: skip


def specs(place: Path) -> Target:
    """What users type to name a source, with odd words in it."""
    make_sources(place)
    kinds = ("imagefolder:ima,ges", "webdataset:shard-,*.tar", "suite:suite,.toml",
             "csv:concepts,.csv", "objectnet:,objectnet")  # fmt: skip

    def ask(content: bytes) -> object:
        kind, _, rest = content.decode("utf-8", "surrogateescape").partition(":")
        return (read_concepts if kind == "csv" else read_all)(f"{kind}:{place}/{rest}")

    odd = (kind.replace(",", word, 1) for kind in kinds for word in ("", *WORDS))
    return Target(tuple(spec.encode("utf-8", "surrogateescape") for spec in odd), ask)


def vectors(place: Path) -> Target:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    buffers = [io.BytesIO() for _ in range(4)]
    np.save(buffers[0], x)
    np.savez(buffers[1], x=x, y=x[:2])
    parquet.write_table(pa.table({"vector": x.tolist(), "id": list("abc")}), buffers[2])
    parquet.write_table(pa.table({"path": list("abc"), "label": [0, 2, 1]}), buffers[3])

    def rows(path: Path) -> object:
        matrix = open_matrix(path)
        return matrix.read(0, min(matrix.rows, 3))

    def labels(path: Path) -> object:
        return read_labels(path, 3)

    array = io.BytesIO()
    np.save(array, np.arange(3))
    return file_target(
        place,
        ("x.npy", buffers[0].getvalue(), rows),
        ("x.npz", buffers[1].getvalue(), lambda path: open_matrix(path, "x").read(0, 1)),
        ("x.parquet", buffers[2].getvalue(), rows),
        ("list.parquet", buffers[3].getvalue(), read_listing),
        ("x.safetensors", save({"x": torch.from_numpy(x)}), rows),
        ("x.pt", saved(torch.from_numpy(x)), rows),
        ("y.pt", saved({"x": torch.from_numpy(x)}, legacy=True), rows),
        ("l.npy", array.getvalue(), labels),
        ("l.txt", b"0\n1\n2\n", labels),
        ("l.csv", b"id,label\n0,x\n2,y\n1,x\n", labels),
        ("l.json", b'["x", "y", "x"]', labels),
    )


def runs(place: Path) -> Target:
    """A finished run, of which one file at a time is damaged, and all its readers."""
    template = make_template(place / "template")

    def ask(content: bytes) -> None:
        read_damaged(Decisions(content), template, place)

    return Target(DRAWS, ask)


def resumed(place: Path) -> Target:
    """A run of which one file is damaged and some are gone, and the command that made it."""
    write_pictures(place / "data", 12)
    finished, again = (
        [*small_job(place / "data", place / name), "--offline"] for name in ("finished", "again")
    )
    with redirect_stdout(io.StringIO()):
        assert run_cli(finished) == 0

    def ask(content: bytes) -> None:
        resume_damaged(Decisions(content), place / "finished", place / "again", again)

    return Target(DRAWS, ask)


def caches(place: Path) -> Target:
    """Files that the program keeps for itself, which others may have written."""
    make_sources(place)
    folder = place / "cache"
    index_of(str(place / "shard-0.tar"), folder)
    (kept,) = folder.iterdir()

    def ask(content: bytes) -> object:
        kept.write_bytes(content)
        return index_of(str(place / "shard-0.tar"), folder)

    return Target((kept.read_bytes(),), ask)


TARGETS: dict[str, Callable[[Path], Target]] = {
    "checkpoints": checkpoints,
    "pickles": pickles,
    "weights": weights,
    "tars": tars,
    "images": images,
    "tables": tables,
    "lists": lists,
    "specs": specs,
    "vectors": vectors,
    "caches": caches,
    "runs": runs,
    "resumed": resumed,
}

OF_FILES = ("checkpoints", "pickles", "tars", "images", "tables", "lists", "vectors", "caches")
"""Targets that take each of their seeds."""
