"""Every reader of files from outside, as a function of bytes, with valid files to begin from.

A target of raw bytes reads them as a file; a target of decisions lets them steer the damage of a
valid file (`tests.fuzz.decisions`), which gets past checksums and syntax.
"""

from __future__ import annotations

import io
import json
import random
import tarfile
import warnings
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from tests.datasets.broden_tree import write_tree
from tests.engine.fake_run import vouch
from tests.fuzz.damage import damaged_arrays, damaged_json
from tests.fuzz.decisions import Decisions
from tests.fuzz.mutate import mutated_tree
from tests.fuzz.sources import make_sources, read_all, read_baseline, read_concepts
from tests.fuzz.test_readers import ask_about_ranks, make_template
from tuiprobe.catalog.class_names import read_classes
from tuiprobe.cli.headless import read_models
from tuiprobe.comparing.decide import decide
from tuiprobe.comparing.decision_section import describe_decision
from tuiprobe.comparing.differences import compare
from tuiprobe.comparing.differences_section import describe
from tuiprobe.comparing.runs import Run as Compared
from tuiprobe.comparing.runs import with_names
from tuiprobe.datasets.decode import decode_image
from tuiprobe.datasets.labels import read_labels
from tuiprobe.datasets.list_files import read_listing
from tuiprobe.datasets.tars import index_of, read_index
from tuiprobe.datasets.vectors.vector_files import open_matrix
from tuiprobe.errors import TuiprobeError
from tuiprobe.models.heads import head_from_file
from tuiprobe.models.load import load_encoder
from tuiprobe.models.loaders.checkpoints import read_checkpoint
from tuiprobe.models.prompt_heads import read_templates
from tuiprobe.probes.base.short_paths import without_folders
from tuiprobe.probes.report import make_report
from tuiprobe.report import read_report
from tuiprobe.report.formats import RENDERED, files_of
from tuiprobe.report.reading import pictures
from tuiprobe.report.terminal import summary
from tuiprobe.results import Report
from tuiprobe.results.section import Section
from tuiprobe.run.arrays import read_arrays, read_unsealed, write_arrays
from tuiprobe.run.directory import RunDir
from tuiprobe.run.head_file import read_head
from tuiprobe.run.listing import as_json, list_runs
from tuiprobe.run.per_image import read_per_image
from tuiprobe.run.records import read_plan, read_spec
from tuiprobe.run.results import read_summary
from tuiprobe.run.verify import verify
from tuiprobe.run.view import RunView
from tuiprobe.torchfiles.pickles import PickleReader
from tuiprobe.tui.widgets.thumbnail import read_picture

Ask = Callable[[bytes], object]

DRAWS = tuple(random.Random(seed).randbytes(64) for seed in range(40))
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

    return Target(DRAWS[:4], ask)


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


class Run:
    """A finished run, of which one file at a time is damaged and made whole again."""

    def __init__(self, place: Path) -> None:
        make_template(place / "runs")
        self.path = place / "runs/run"
        self.directory = RunDir(self.path)
        self.root = place / "runs"
        names = (path for path in self.path.rglob("*") if path.is_file())
        self.files = {name.relative_to(self.path).as_posix(): name.read_bytes() for name in names}

    def with_file(self, name: str, content: bytes, read: Callable[[], object]) -> object:
        (self.path / name).write_bytes(content)
        vouch(self.directory)
        try:
            return read()
        finally:
            for item in (name, "manifest.json"):
                (self.path / item).write_bytes(self.files[item])


def decided(runs: list[Compared]) -> Section:
    """Decides between runs, and describes the decision."""
    return describe_decision(decide(runs), runs)


def reports(place: Path) -> Target:
    """Everything that renders a report, of damaged trees with a checksum that fits."""
    run = Run(place)
    tree = json.loads(run.files["results.json"])
    whole = Report.parse(run.files["results.json"], "whole")

    renderers: list[Callable[[Report], object]] = [
        *(partial(files_of, run=None, formats=[form]) for form in RENDERED),
        partial(without_folders, places=("imagefolder:/data/val",)),
        summary,
        lambda report: describe(compare(report, whole), everything=True),
        lambda report: decided(
            with_names([Compared(each, {}, run.directory) for each in (whole, report)])
        ),
    ]

    def ask(content: bytes) -> object:
        draw = Decisions(content)
        render = draw.choice(renderers)
        damaged = json.dumps(mutated_tree(tree, draw))
        return render(Report.parse(damaged.encode(), "x"))

    return Target(DRAWS, ask)


RECORDS = (
    "spec.json", "plan.json", "measured.json", "samples.jsonl", "preflight.json", "key",
    "results.json", "summary.json", "status/0.json", "status/0.safetensors", "log.txt",
    "baseline.csv", "thumbs/val/5.jpg", "head.safetensors",
)  # fmt: skip


def look(run: Run, name: str) -> None:
    """Asks the readers of a record, each of which may refuse it."""
    kept = run.directory
    watched: list[Callable[[], object]] = [lambda: watch(run), lambda: listed(run)]
    readers: dict[str, list[Callable[[], object]]] = {
        "spec.json": [lambda: read_spec(kept).to_json(), lambda: listed(run)],
        "plan.json": [lambda: ask_about_ranks(kept), lambda: read_plan(kept), lambda: verify(kept)],
        "results.json": [
            lambda: read_report(kept), lambda: listed(run),
            lambda: pictures(Report.read(kept.results_file.path), kept),
        ],
        "status/0.json": [lambda: ask_about_ranks(kept), *watched],
        "thumbs/val/5.jpg": [lambda: read_picture(kept.thumbnail_file("val", 5), 4, 4)],
        "summary.json": [lambda: read_summary(kept), lambda: listed(run), lambda: verify(kept)],
        "head.safetensors": [  # its header is read before its checksum is compared
            lambda: read_arrays(kept.head_file), lambda: read_unsealed(kept.head_file, 2**20),
        ],
        **dict.fromkeys(("key", "log.txt", "status/0.safetensors"), watched),
    }  # fmt: skip
    for read in readers.get(name, [lambda: verify(kept)]):
        with suppress(TuiprobeError):
            read()


def watch(run: Run) -> None:
    RunView.read(run.directory, RunView.read(run.directory, live=True), live=True)


def listed(run: Run) -> str:
    return json.dumps([as_json(row) for row in list_runs(run.root)])


def records(place: Path) -> Target:
    """Records of a run: a first byte below their number is followed by any content of one."""
    run = Run(place)
    texts = [name for name in RECORDS if name.endswith((".json", ".jsonl"))]

    def ask(content: bytes) -> object:
        if content and content[0] < len(RECORDS):
            name, damaged = RECORDS[content[0]], content[1:]
        else:
            draw = Decisions(content[1:])
            name = draw.choice(texts)
            lines = run.files[name].splitlines() if name.endswith(".jsonl") else [run.files[name]]
            at = draw.randrange(len(lines))
            lines[at] = damaged_json(draw, lines[at])
            damaged = b"\n".join(lines) + b"\n"
        return run.with_file(name, damaged, lambda: look(run, name))

    whole = [bytes([i]) + run.files[name] for i, name in enumerate(RECORDS)]
    short = [seed for seed in whole if len(seed) < 20_000]
    return Target((*short, *(b"\xff" + draw for draw in DRAWS)), ask)


ARRAYS = (
    "statistics.safetensors", "features/val/images.safetensors", "head.safetensors",
    "concepts.safetensors", "per_image.safetensors", "plan.json", "measured.json",
)  # fmt: skip


def arrays(place: Path) -> Target:
    """Probes over damaged arrays with a checksum that fits."""
    run = Run(place)
    whole = {
        name: read_arrays(run.directory.at(name)) for name in ARRAYS if not name.endswith("json")
    }

    def ask(content: bytes) -> object:
        draw = Decisions(content)
        name = draw.choice(ARRAYS)
        if name.endswith("json"):
            damaged = damaged_json(draw, run.files[name])
            return run.with_file(name, damaged, read)
        write_arrays(run.directory.at(name), *damaged_arrays(draw, *whole[name]))
        return run.with_file(name, (run.path / name).read_bytes(), read)

    def read() -> object:
        verify(run.directory)
        for reader in (read_per_image, read_head):
            with suppress(TuiprobeError):
                reader(run.directory)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            return make_report(run.directory)

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
    "reports": reports,
    "records": records,
    "arrays": arrays,
    "caches": caches,
}
