"""What was probed, on what data, by which software: the subject of a report."""

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field
from pydantic import dataclasses as checked

from tuiprobe.results.base import (
    LONGEST_TEXT,
    MOST_CHANNELS,
    ByName,
    Count,
    Frozen,
    Many,
    NotRun,
    Real,
    Record,
)

NO_REPRESENTATION: Final = NotRun(
    reason="no representation: nothing is known about the inside",
    remedy="measure the model, not its answers",
)
"""What a table of answers tells about the inside of its model."""

NO_CLASS_NAMES: Final = NotRun(
    reason="the images carry no class names",
    remedy="list your classes, one per line: --classes names.txt",
)
"""Why a model that answers by prompts has no head."""

Representation = Literal["projected", "pooled", "token", "none"]
Training = Literal["zero-shot", "captions", "finetuned", "supervised", "unknown"]


def no_head(model: str) -> NotRun:
    """Returns why a model has no head on images without labels of two classes."""
    return NotRun(
        reason=f"{model} brings no head, and the images carry no labels to fit one to",
        remedy="sort some into class folders, give --labels FILE, or pass --head FILE",
    )


class StoredFile(Record):
    """A file in which samples of a set lie together: size, times, absolute path."""

    size: Count
    changed: str
    path: str


HeadKind = Literal["zero-shot", "classifier", "file", "probe"]


def head_kind(
    asked: str | None, model: str, *, text: bool, classifier: bool, labels: int, names: int
) -> HeadKind | NotRun:
    """Returns the kind of head that a run has, or why it has none.

    Args:
        asked: The option `--head`.
        model: Name of the model, for the reason.
        text: Whether the model has a text tower.
        classifier: Whether it has a classifier that answers with a class of the images, or whose
            classes have no names.
        labels: Classes of the labelled images; 0 without labels.
        names: Names that `--classes` holds.
    """
    if asked not in (None, "zero-shot"):
        return "probe" if asked == "probe" else "file"
    if asked == "zero-shot" or text:
        return "zero-shot" if labels or names else NO_CLASS_NAMES
    if classifier:
        return "classifier"
    return "probe" if labels > 1 else no_head(model)


def long_head(prompts: int) -> NotRun:
    """Returns why a head of many prompts is not built unasked on a CPU."""
    return NotRun(
        reason=f"{prompts:,} prompts take a CPU hours",
        remedy=(
            "ask for them with --head zero-shot (it can be stopped and resumed), run on "
            "--device cuda, or pass fewer --templates"
        ),
    )


class Weights(Frozen):
    """Where the weights came from.

    Attributes:
        kind: `pretrained` (published, by tag), `checkpoint` (a file of the user's), `untrained`
            (random initialisation: the outcome on outlier features is withheld), `unknown`
            (vectors were given) or `answers` (a table of answers was given).
        source: Tag, URL or path as the user or the library named it.
        digest: SHA-256 over the parameters, hexadecimal; over samples of the vectors if `unknown`,
            of the table of `answers`.
        entries: Entries of the file that hold weights, the one that was read first; empty where
            there are not several.
        initial_norms: The number of normalisation layers where none was ever trained: the scales,
            offsets and running statistics of each are constant, as they begin; else 0.
    """

    kind: Literal["pretrained", "checkpoint", "untrained", "unknown", "answers"]
    source: str
    digest: str
    entries: tuple[str, ...] = ()
    initial_norms: int = 0


class Preprocessing(Frozen):
    """How an image becomes the encoder's input.

    Attributes:
        size: Height and width in pixels.
        mean: Value subtracted from each of the three channels, in units of [0, 1].
        std: Divisor of each of the three channels.
        interpolation: Interpolation of the resize.
        resize: How images are resized before the crop, in the library's terms, or a digest of two
            preprocessed pictures; empty if unknown.
        source: Where these came from.
        assumed: Whether nothing confirms them.
        known: Whether there are any; False if vectors were given in place of images.
    """

    size: tuple[Count, Count]
    mean: Annotated[tuple[Real, ...], Field(max_length=16)]
    std: Annotated[tuple[Real, ...], Field(max_length=16)]
    interpolation: str
    source: str
    resize: str = ""
    assumed: bool = False
    known: bool = True


class Model(Frozen):
    """The encoder.

    Attributes:
        name: The name that the user typed, for example `open_clip:RN50-quickgelu/openai`.
        loader: `open_clip`, `timm`, ...
        architecture: The library's name of the architecture.
        tag: Tag of the pretrained weights.
        representation: `projected` (after a CLIP's visual projection), `pooled` (before a
            classifier, post-activation) or `token`; `none` of a table of answers. Figures
            compare only within one kind.
        training: `zero-shot` or `captions` (a CLIP, of web images or of ImageNet with captions),
            `finetuned` or `supervised` (a classifier); else `unknown`.
        width: Channels of the representation.
        parameters: Number of parameters of the visual tower.
        weights: Where they came from.
        preprocessing: What images go through first.
    """

    name: str
    loader: str
    architecture: str
    tag: str | None = None
    representation: Representation
    training: Training = "unknown"
    width: Annotated[int, Field(ge=0, le=MOST_CHANNELS)]
    parameters: Count
    weights: Weights
    preprocessing: Preprocessing


class Skipped(Frozen):
    """An image that could not be read, by its path within the data set."""

    path: str
    reason: str


class SetSummary(Frozen):
    """What a report says of one set of images.

    Attributes:
        name: Name of the set in the report.
        source: As the user typed it.
        images: Number of images in the source, or in the requested sample.
        measured: Images that went through the encoder.
        sampled: Images whose representations are stored, a seeded sample of those measured.
            Figures that need representations say this n.
        skipped: Images that could not be read.
        nonfinite: Measured images whose final representation is not finite; they are left out of
            every figure of the final representation.
        nonfinite_images: Paths of the first 100 of them.
        classes: Number of classes that the source names; 0 if unlabelled.
        labelled: Whether images carry labels.
        target: Whether it is a target set, whose accuracy is estimated without labels.
    """

    name: str
    source: str
    images: Count
    measured: Count
    sampled: Count | None = None
    skipped: Many[Skipped] = ()
    nonfinite: Count = 0
    nonfinite_images: Many[str] = ()
    classes: Count = 0
    labelled: bool = False
    target: bool = False


class Fingerprint(Frozen):
    """What bit-equality of two runs depends on.

    Attributes:
        torch: version.
        device: `cpu`, or the GPU's name.
        isa: Instruction set that the native core chose.
        threads: CPU threads used.
        flags: Numerical switches (TF32, cuDNN benchmark, ...), instruction sets and versions of
            the libraries that compute figures, by name.
        processor: Model of the processor, which is recorded and never refused: with equal
            instruction sets, libraries may still choose other kernels by it.
    """

    torch: str
    device: str
    isa: str
    threads: Count
    flags: ByName[str] = Field(default_factory=dict)
    processor: str = ""

    def differences(self, other: "Fingerprint") -> dict[str, tuple[str, str]]:
        """Returns the differences but that of the processor: by name, this value and the other."""
        these, others = self._compared(), other._compared()
        return {
            name: (these.get(name, "unknown"), others.get(name, "unknown"))
            for name in sorted(these.keys() | others.keys())
            if these.get(name) != others.get(name)
        }

    def _compared(self) -> dict[str, str]:
        fields = {"torch": self.torch, "device": self.device, "instruction set": self.isa}
        return {**fields, "threads": str(self.threads), **self.flags}


CheckStatus = Literal["pass", "warn", "fail", "skip"]
Cause = Literal["encoder", "labels", "images"]


PROBE: Final = "preflight"
"""Id of the probe that reports these checks."""

FITTED_CONTENTS: Final = "fitted/contents"
"""The array of a head's file that holds the contents of the images that it was fitted to."""

TYPES: Final = "types"
"""Name of the check that says how much faster another floating point type is."""


@checked.dataclass(frozen=True, config=ConfigDict(extra="forbid", str_max_length=LONGEST_TEXT))
class Check:
    """One finding of the preflight or of `tuiprobe doctor` (docs/models.md).

    Attributes:
        name: What was checked.
        status: `pass`, `warn` (cannot be confirmed), `fail` or `skip`.
        detail: What was found.
        fix: What to do.
        data: The set it concerns; None for the encoder.
        cause: What is wrong if it failed: the encoder, the images, or their labels.
    """

    name: str
    status: CheckStatus
    detail: str
    fix: str = ""
    data: str | None = None
    cause: Cause = "encoder"


@dataclass(frozen=True)
class Prediction:
    """One image of a set.

    Attributes:
        set: Name of the set.
        id: Sample id.
        path: Path or name within the set.
        digest: SHA-256 of its content; empty for a stored vector.
        label: Class of its label.
        answer: Class that the model answers.
        confidence: Probability of that class at the model's scale, if that is known.
        calibrated: The same after the temperature scaling that was fitted in distribution, where
            one was.
        second: The next class, if another may answer.
        unattended: The smallest share of wrong answers that is promised of the images like this
            one; None without a promise.
    """

    set: str
    id: int
    path: str
    digest: str
    label: str | None
    answer: str | None
    confidence: float | None
    calibrated: float | None
    second: str | None
    unattended: float | None = None
