"""RunSpec: everything a user decides about one run, and the key of its content."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from tuiprobe.errors import UsageError

DIRECTORY_VERSION = 2
"""Version of the run directory's contents; part of every key."""

FINAL_TAP = "embedding"
"""Name of the tap that is the final representation."""


class RunSpec(BaseModel):
    """What to probe, on what, and how finely.

    Attributes:
        model: Encoder, for example ``open_clip:RN50-quickgelu`` or ``timm:resnet50.a1_in1k``.
        checkpoint: File with the weights to load in place of the published ones.
        data: Data source, for example ``imagefolder:/data/val``.
        layers: Glob patterns over the names of inner taps (``*`` stays between two dots, ``**``
            crosses them); the final representation is always measured.
        tokens: Which tokens of a token tap count: the class token, all, or their mean.
        sample: Images per set, the first of the processing order; None measures all (0 on the
            command line).
        seed: Seed of the processing order and of sampled rows.
        batch_size: Images per forward pass.
        shard_batches: Batches per shard, the unit of resuming; None picks 1 to 8 by the size of
            the data.
        top_k: Images kept per channel and end, for the final representation.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: Floating point type the encoder runs in.
        threads: CPU threads; None takes one per available core.
        workers: Processes that decode images; None picks by the number of cores.
        max_unreadable: Share of unreadable images above which the run stops.
        require_weights: Refuse to run an encoder that has no trained weights.
        offline: Open no socket: load what is cached, or end with an error.
        head: Linear head over the representation: a checkpoint file, ``probe`` (ridge regression
            on labelled images that are not measured) or ``zero-shot`` (prompts, however long they
            take); None takes prompts or the classifier, whichever the encoder has.
        classes: File with class names, one a line: the names of the head's rows, in label order.
        templates: File with prompt templates, one a line, with ``{}`` for the name.
        ablate: ``TAP:CHANNELS``: channels of inner layers to set to zero, part of the key.
        baseline: CSV of models and accuracies, a further baseline of effective robustness.
        concepts: Concept source, for example ``broden:/data/broden1_224``; ``none`` for none, None
            for what the suite names.
        concept_sample: Images of the concept set, the first of its processing order; None measures
            all.
        concept_share: Part of an image from which a concept counts as present.
        balance: Average precision calibrated to prevalence 1/2 from all negatives, or from a drawn
            sample of as many negatives as positives.
        negatives: Images without a concept that count: those annotated for its category, or all.
        probes: Options of probes of other packages, by probe and option.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(min_length=1)
    checkpoint: str | None = None
    data: str = Field(min_length=1)
    layers: tuple[str, ...] = ()
    tokens: Literal["all", "class", "mean"] = "all"
    sample: int | None = Field(default=None, ge=1)
    seed: int = 0
    batch_size: int = Field(default=32, ge=1, le=65536)
    shard_batches: int | None = Field(default=None, ge=1)
    top_k: int = Field(default=32, ge=1, le=1024)
    device: str = "cpu"
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    threads: int | None = Field(default=None, ge=1)
    workers: int | None = Field(default=None, ge=0)
    max_unreadable: float = Field(default=0.05, ge=0, le=1)
    require_weights: bool = False
    offline: bool = False
    head: str | None = None
    classes: str | None = None
    templates: str | None = None
    baseline: str | None = None
    ablate: tuple[str, ...] = ()
    concepts: str | None = None
    concept_sample: int | None = Field(default=None, ge=1)
    concept_share: float = Field(default=0.01, gt=0, le=1)
    balance: Literal["calibrated", "sample"] = "calibrated"
    negatives: Literal["annotated", "all"] = "annotated"
    probes: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)


DEFAULT_MODEL = "mini_clip"
DEFAULT_DATA = "miniature"
"""What a run probes where nothing else is asked for: the embedded world."""


def default_sample(model: str, data: str) -> int:
    """Returns how many images of a set are measured where the user does not say.

    5,000 real images give kappa a 5 % interval even for heavy tails. The miniature is a
    demonstration: its own models are done in under a minute, and a full-size encoder sees
    fewer images.

    >>> default_sample("rn101_cc12m", "miniature"), default_sample("mini_clip", "miniature:val")
    (64, 2000)
    """
    if data.partition(":")[0] != "miniature":
        return 5000
    return 2000 if model.startswith("mini_") else 64


NO_CONCEPTS = "none"
"""What a user types to leave out the concept set that would be measured unasked."""


def default_concepts(model: str, data: str) -> str | None:
    """Returns the concept set that is measured where the user names none.

    The whole miniature brings its own. A full-size encoder would need minutes for the thousands of
    images that concepts take, so it is not asked unless the user does.

    >>> default_concepts("mini_clip", "miniature"), default_concepts("rn50_openai", "miniature")
    ('miniature', None)
    """
    return "miniature" if data == DEFAULT_DATA and model.startswith("mini_") else None


def default_concept_sample(concepts: str | None) -> int | None:
    """Returns how many images of a concept set are measured where the user does not say.

    All of them, for a concept takes 30 positives in each split. Of the miniature 3,000 do: its
    rarest kind of concept, the object, is then in about 45 images of each.

    >>> default_concept_sample("miniature"), default_concept_sample("broden:/data/broden1_224")
    (3000, None)
    """
    return 3000 if concepts == "miniature" else None


def content_key(content: dict[str, Any]) -> str:
    """Returns the SHA-256 of what determines the numbers of a run.

    Args:
        content: JSON-serialisable: weights digest, preprocessing, sample list and order, taps,
            dtype, batch and shard size. The schema version is added here.

    >>> content_key({"dtype": "float32"}) == content_key({"dtype": "float32"})
    True
    """
    text = json.dumps({"schema": DIRECTORY_VERSION, **content}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def make_spec(model: str, data: str | None, options: dict[str, Any]) -> RunSpec:
    """Returns the spec that the options describe.

    Raises:
        UsageError: Naming the option and what is wrong with it.
    """
    data = data or DEFAULT_DATA
    fields = {"sample": None, "concepts": None, "concept_sample": None, **options}
    if fields["concepts"] is None:
        fields["concepts"] = default_concepts(model, data)
    if fields["concept_sample"] is None:  # a sample that was asked for holds for every set
        fields["concept_sample"] = fields["sample"]
    if fields["concept_sample"] is None:
        fields["concept_sample"] = default_concept_sample(fields["concepts"])
    fields["concept_sample"] = fields["concept_sample"] or None
    if fields["sample"] is None:
        fields["sample"] = default_sample(model, data)
    elif fields["sample"] == 0:
        fields["sample"] = None
    try:
        return RunSpec(model=model, data=data, **fields)
    except ValidationError as error:
        first = error.errors()[0]
        option = "--" + "-".join(str(part) for part in first["loc"]).replace("_", "-")
        raise UsageError(f"{option}: {first['msg']} (got {first['input']!r})") from error
