"""RunSpec: everything a user decides about one run, and the key of a run's content.

Each option is declared once, here: its type, default, bounds, help and group. The command line,
the form on the screens, copied commands and docs/options.md are generated from it. Defaults that
depend on other options are in `request`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from os import PathLike
from typing import Annotated, Any, ClassVar, Literal, TypedDict

from tuiprobe.options import Kind, Option, OptionField, options_of

DIRECTORY_VERSION = 3
"""Version of the run directory's contents; part of every key."""

FINAL_TAP = "embedding"
"""Name of the tap that is the final representation."""

WATCHED = "watched"
"""Field of the spec of a directory that `tuiprobe.watch` saved: no command measured it."""

DEFAULT_MODEL = "mini_clip"
DEFAULT_DATA = "miniature"
"""Data of a run without `--data`: the embedded miniature."""

AUTO = "auto"
"""Device of a run without `--device`: the best that this machine has, chosen once."""
CPU_BATCH, GPU_BATCH = 32, 256
"""Images per forward pass of a run without `--batch-size`, by the kind of device."""

DEFAULT_SAMPLE = 5000
"""Images per real set; enough for a 5 % interval of kappa even with heavy tails."""

MINIATURE_CONCEPT_SAMPLE = 3000
"""Images of the miniature's concept set.

Each object, the rarest kind of concept, is then in about 45 images per split. A concept needs 30
positives in each split.
"""

NO_CONCEPTS = "none"
"""What a user types to leave out the default concept set."""

NO_TARGET = "none"
"""What a user types to leave out the default target set."""

MAX_WORKERS = 32
"""Most processes that decode images by default."""

MAX_CPU_PROMPTS = 10_000
"""Most prompts that a CPU encodes by default, if the text tower sees their padding (SigLIP).

1,000 classes x 80 templates take a large tower hours, and a CLIP's minutes.
"""

MODEL_AND_IMAGES = "Model and images"
MEASURED = "What is measured"
HEAD = "Classification head"
ROBUSTNESS = "Robustness"
CONCEPTS = "Concepts"
PROBES = "Probes of other packages"
EMBEDDINGS = "Embeddings instead of images"
MACHINE = "How it runs"

VECTORS = "vectors:"
"""Begins the data of a run whose samples are encoded already."""

ANSWERS = "answers:"
"""Begins a model that is a table of answers."""


DoubtId = Literal[
    "answers-as-labels", "same-content", "copies", "near-copies", "same-measurement",
    "equal-answers", "other-pictures", "at-chance", "other-order", "slip", "one-answer",
    "no-answer", "other-lengths",
]  # fmt: skip
"""What a doubt is about, as `--trust` takes it; see `tuiprobe.results.doubt`."""


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """What to probe, on what, and how finely; `make_spec` checks the values."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    model: Annotated[
        str,
        Option(
            "Encoder; `tuiprobe models` lists them. For example vitb16_openai, "
            "open_clip:RN50-quickgelu/openai or timm:resnet50.a1_in1k.",
            MODEL_AND_IMAGES,
            common=True,
            unset=DEFAULT_MODEL,
            several=True,
            min_length=1,
        ),
    ]
    data: Annotated[
        str,
        Option(
            "Images: a folder or another source. Class folders are labels; miniature, "
            "webdataset:SHARDS, suite:FILE.toml, vectors:FILE and others are in docs/data.md.",
            MODEL_AND_IMAGES,
            common=True,
            metavar="SOURCE",
            unset=DEFAULT_DATA,
            min_length=1,
            term="set",
        ),
    ]
    labels: Annotated[
        str | None,
        Option(
            "File of labels. For images a .csv or .parquet with path and label; for vectors "
            ".npy, .txt, .csv or .json, one per row. --classes names them.",
            MODEL_AND_IMAGES,
            common=True,
            metavar="FILE",
            term="head",
        ),
    ] = None
    classes: Annotated[
        str | None,
        Option(
            "Class names of the head, in label order. A file with one per line, or names "
            "separated by commas.",
            MODEL_AND_IMAGES,
            common=True,
            metavar="FILE",
            changes="answers",
            term="head",
        ),
    ] = None
    target: Annotated[
        tuple[str, ...],
        Option(
            "Unlabelled images to estimate the accuracy on. Labels are ignored; `none` means "
            "no target.",
            MODEL_AND_IMAGES,
            common=True,
            metavar="SOURCE",
            unset="none; the miniature brings its own",
            typed_none=NO_TARGET,
            term="target",
        ),
    ] = ()
    sample: Annotated[
        int | None,
        Option(
            "Images per set, 0 for all. A random sample, fixed by --seed.",
            MODEL_AND_IMAGES,
            common=True,
            unset=f"{DEFAULT_SAMPLE}, miniature fewer",
            typed_none=0,
            ge=1,
            fits="images",
            term="set",
        ),
    ] = None
    checkpoint: Annotated[
        str | None,
        Option(
            "Weights to load instead of the published ones.",
            MODEL_AND_IMAGES,
            common=True,
            metavar="FILE",
            fits="images",
            term="weights",
        ),
    ] = None
    seed: Annotated[
        int, Option("Seed of the processing order and of sampled rows.", MODEL_AND_IMAGES, ge=0)
    ] = 0
    layers: Annotated[
        tuple[str, ...],
        Option(
            "Inner layers to measure too, such as `layer*`. `**` crosses dots, `*` does not.",
            MEASURED,
            common=True,
            metavar="GLOB",
            fits="images",
            term="tap",
        ),
    ] = ()
    tokens: Annotated[
        Literal["all", "class", "mean"],
        Option(
            "Tokens of a transformer's layers that count.",
            MEASURED,
            fits="images",
            term="tap",
        ),
    ] = "all"
    top_k: Annotated[
        int,
        Option(
            "Images stored at each end of each channel of the final representation.",
            MEASURED,
            ge=1,
            le=1024,
            term="image-ends",
        ),
    ] = 32
    device: Annotated[
        str,
        Option(
            "auto, cpu, cuda, cuda:N or mps. `auto` takes CUDA, else MPS, else the CPU; a resumed "
            "run keeps its device.",
            MACHINE,
            common=True,
            metavar="DEVICE",
            changes="bits",
            pattern=r"auto|cpu|mps|cuda(:[0-9]{1,3})?",
        ),
    ] = AUTO
    dtype: Annotated[
        Literal["float32", "float16", "bfloat16"],
        Option(
            "Floating point type the encoder runs in. On CPUs with AVX512-BF16 or AMX, bfloat16 is "
            "2 to 3 times as fast.",
            MACHINE,
            fits="images",
        ),
    ] = "float32"
    batch_size: Annotated[
        int | None,
        Option(
            "Images per forward pass; a run that is resumed keeps its own.",
            MACHINE,
            unset=f"{CPU_BATCH} on a CPU, {GPU_BATCH} on a GPU",
            ge=1,
            le=65536,
            fits="images",
        ),
    ] = None
    shard_batches: Annotated[
        int | None,
        Option(
            "Batches per shard, the unit of resuming.",
            MACHINE,
            unset="1 to 8, by the size of the data",
            ge=1,
            fits="images",
        ),
    ] = None
    threads: Annotated[
        int | None,
        Option("CPU threads.", MACHINE, unset="one per core", changes="bits", ge=1, le=1024),
    ] = None
    workers: Annotated[
        int | None,
        Option(
            "Processes that decode images.",
            MACHINE,
            unset="by the number of cores",
            changes="nothing",
            ge=0,
            le=1024,
            fits="images",
        ),
    ] = None
    max_unreadable: Annotated[
        float,
        Option(
            "Share of unreadable images above which the run stops.",
            MACHINE,
            changes="nothing",
            ge=0,
            le=1,
            fits="images",
        ),
    ] = 0.05
    head: Annotated[
        str | None,
        Option(
            "Head: probe, zero-shot or FILE. `probe` fits one to the labels, and each image is "
            "answered by one not fitted to it; `zero-shot` uses prompts; FILE has a linear "
            "head.",
            HEAD,
            common=True,
            metavar="HEAD",
            unset="the model's own, else one fitted to labels",
            changes="answers",
            term="head",
        ),
    ] = None
    answers_among: Annotated[
        Literal["set", "all"],
        Option(
            "Classes that answers are chosen among: those of each set, or all of the head.",
            HEAD,
            changes="answers",
        ),
    ] = "set"
    templates: Annotated[
        str | None,
        Option(
            "Prompt templates, one per line, {} for the name.",
            HEAD,
            metavar="FILE",
            changes="answers",
            fits="images",
            term="head",
        ),
    ] = None
    training: Annotated[
        Literal["zero-shot", "supervised", "finetuned", "unknown"],
        Option(
            "How the encoder of the vectors was trained.",
            EMBEDDINGS,
            changes="answers",
            fits="vectors",
            term="training",
        ),
    ] = "unknown"
    representation: Annotated[
        Literal["projected", "pooled", "token"],
        Option(
            "What the vectors are: after a CLIP's projection, before a classifier, or of a token.",
            EMBEDDINGS,
            fits="vectors",
            term="representation-kind",
        ),
    ] = "projected"
    id_column: Annotated[
        str | None,
        Option(
            "Column of a Parquet file that names the rows; --labels are joined by it.",
            EMBEDDINGS,
            metavar="NAME",
            unset="rows go by their index",
            fits="vectors",
        ),
    ] = None
    baseline: Annotated[
        str | None,
        Option(
            "CSV of models and accuracies: a further baseline of effective robustness.",
            ROBUSTNESS,
            metavar="FILE",
            changes="answers",
            term="baseline",
        ),
    ] = None
    concepts: Annotated[
        str | None,
        Option(
            "Concept set: miniature, broden:DIR, csv:FILE or none.",
            CONCEPTS,
            common=True,
            metavar="SOURCE",
            unset="what the suite names; the miniature brings its own",
            typed_none=NO_CONCEPTS,
            fits="images",
            term="concept",
        ),
    ] = None
    concept_sample: Annotated[
        int | None,
        Option(
            "Images of the concept set, 0 for all.",
            CONCEPTS,
            unset=f"--sample if given, else all; for miniature {MINIATURE_CONCEPT_SAMPLE}",
            typed_none=0,
            ge=1,
            fits="images",
            term="concept",
        ),
    ] = None
    probe: Annotated[
        tuple[str, ...],
        Option(
            "An option of an installed package's probe.",
            PROBES,
            metavar="ID.KEY=VALUE",
            changes="answers",
        ),
    ] = ()
    trust: Annotated[
        tuple[DoubtId, ...],
        Option(
            "Overrule a doubt by its id, such as same-content; docs/checks.md lists them.",
            ROBUSTNESS,
            metavar="ID",
            changes="answers",
        ),
    ] = ()
    require_weights: Annotated[
        bool,
        Option(
            "Refuse an encoder without trained weights (exit 3).",
            MACHINE,
            changes="nothing",
            fits="images",
        ),
    ] = False
    offline: Annotated[
        bool,
        Option("Open no socket: cached weights only.", MACHINE, common=True, changes="nothing"),
    ] = False

    @property
    def kind(self) -> Kind:
        """What the samples of the data are."""
        return kind_of(self.data)

    @property
    def batch(self) -> int:
        """Images per forward pass; those of a CPU until the device is known."""
        return self.batch_size or CPU_BATCH

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as JSON holds them."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(self).items()
        }


@dataclass(frozen=True, kw_only=True)
class ShortForms:
    """Options that put `vectors:` before their value and stand for another option with it."""

    embeddings: Annotated[
        str | None,
        Option(
            "Short for --data vectors:FILE, in place of --model. A file, a pattern or a folder of "
            "docs/data.md.",
            EMBEDDINGS,
            common=True,
            metavar="FILE",
            min_length=1,
            stands_for="data",
            term="representation",
        ),
    ] = None
    target_embeddings: Annotated[
        tuple[str, ...],
        Option(
            "Short for --target vectors:FILE, by the same encoder.",
            EMBEDDINGS,
            metavar="FILE",
            stands_for="target",
        ),
    ] = ()


def kind_of(source: str) -> Kind:
    """Returns the kind of the samples of a data source.

    >>> kind_of("vectors:clip.npy"), kind_of("photos")
    ('vectors', 'images')
    """
    return "vectors" if source.startswith(VECTORS) else "images"


@cache
def run_options() -> tuple[OptionField, ...]:
    """Returns the options of a run, in the order of the fields; short forms before --labels."""
    fields = options_of(RunSpec)
    at = [option.name for option in fields].index("labels")
    return (*fields[:at], *options_of(ShortForms), *fields[at:])


def run_option(name: str) -> OptionField:
    """Returns one option of a run."""
    return next(option for option in run_options() if option.name == name)


def path_options() -> tuple[str, ...]:
    """Returns the names of the options that take paths, some of them names too."""
    kinds = ("FILE", "SOURCE", "HEAD")
    return tuple(option.name for option in run_options() if option.option.metavar in kinds)


def content_key(content: dict[str, Any]) -> str:
    """Returns the SHA-256 of what determines the numbers of a run.

    Args:
        content: JSON-serialisable: weights digest, preprocessing, sample list and order, taps,
            dtype, batch and shard size. The schema version is added here.

    >>> content_key({"dtype": "float32"}) == content_key({"dtype": "float32"})
    True
    """
    import hashlib  # loads OpenSSL, which `--help` and completion do not need

    text = json.dumps({"schema": DIRECTORY_VERSION, **content}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class RunOptions(TypedDict, total=False):
    """Options of a run, as `tuiprobe.probe` takes them; None stands for the default.

    Made from `RunSpec` by `python -m tools.typed_options`: type checkers read no fields.
    """

    embeddings: str | PathLike[str] | None
    target_embeddings: str | PathLike[str] | Sequence[str | PathLike[str]] | None
    labels: str | PathLike[str] | None
    sample: int | None
    checkpoint: str | PathLike[str] | None
    seed: int | None
    layers: str | Sequence[str] | None
    tokens: Literal["all", "class", "mean"] | None
    top_k: int | None
    device: str | None
    dtype: Literal["float32", "float16", "bfloat16"] | None
    batch_size: int | None
    shard_batches: int | None
    threads: int | None
    workers: int | None
    max_unreadable: float | None
    answers_among: Literal["set", "all"] | None
    templates: str | PathLike[str] | None
    training: Literal["zero-shot", "supervised", "finetuned", "unknown"] | None
    representation: Literal["projected", "pooled", "token"] | None
    id_column: str | None
    baseline: str | PathLike[str] | None
    concepts: str | PathLike[str] | None
    concept_sample: int | None
    probe: str | Sequence[str] | None
    trust: DoubtId | Sequence[DoubtId] | None
    require_weights: bool | None
    offline: bool | None
