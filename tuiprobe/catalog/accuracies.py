"""Published top-1 accuracies on ImageNet and its shifts, of `accuracy/`."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from tuiprobe.catalog.published_models import right_spec

IMAGENET = "imagenet"
"""ImageNet's validation set, as the columns of the tables name it."""

SHIFTS = ("imagenet_v2", "imagenet_r", "imagenet_sketch", "objectnet", "imagenet_a")
"""The five shifts of the paper, as the columns of the tables name them."""

SHIFT_CLASS_COLUMNS = {
    "imagenet_r": "imagenet_on_r_classes",
    "imagenet_a": "imagenet_on_a_classes",
    "objectnet": "imagenet_on_objectnet_classes",
}
"""Shifts that cover some of ImageNet's classes, with the column for accuracy on those classes."""

ZERO_SHOT = "zero_shot"
"""The baseline of published zero-shot models."""

_FOLDER = Path(__file__).with_name("accuracy")

_WRONG_ACTIVATION = {
    *((arch, tag) for arch in ("RN50", "RN101") for tag in ("yfcc15m", "cc12m")),
    *(("ViT-B-32", tag) for tag in ("laion400m_e31", "laion400m_e32")),
}
"""Rows of open_clip's table that were measured with GELU on weights trained with QuickGELU."""

_PRETRAININGS = (
    "openai", "webli", "datacomp", "commonpool", "dfn", "metaclip", "merged2b", "laion400m",
    "yfcc15m", "cc12m",
)  # fmt: skip
"""Pretraining sets that open_clip's tags start with; `_pretraining` recognises LAION-2B."""


@dataclass(frozen=True, slots=True)
class ModelAccuracies:
    """Accuracies of one model, as fractions.

    Attributes:
        table: `open_clip`, `timm` or `testbed`.
        model: Architecture, for timm with the tag.
        imagenet: Accuracy on ImageNet's validation set.
        shifts: Accuracy by shift.
        tag: open_clip's pretrained tag; empty otherwise.
        spec: Spec that loads the model; empty for the testbed's, which come from many libraries.
        size: Side of the input in pixels, where the table has it.
        parameters: In millions, where the table has it.
        training: The testbed's kind of training; `imagenet-1k` or `other` for timm;
            `zero-shot` for open_clip.
        baselines: Names of the baselines whose fit uses the row.
        note: A remark about the row.
        on_shift_classes: By shift, accuracy on the validation images whose class that shift has.
        pretraining: Pretraining set of a zero-shot model, whose models are not independent; empty
            for the others.
    """

    table: str
    model: str
    imagenet: float | None
    shifts: dict[str, float | None]
    tag: str = ""
    spec: str = ""
    size: int | None = None
    parameters: float | None = None
    training: str = ""
    baselines: frozenset[str] = frozenset()
    note: str = ""
    on_shift_classes: dict[str, float | None] = field(default_factory=dict)
    pretraining: str = ""

    @property
    def label(self) -> str:
        """The model with its pretrained tag, for people."""
        return f"{self.model}, {self.tag}" if self.tag else self.model


@lru_cache(maxsize=1)
def rows() -> tuple[ModelAccuracies, ...]:
    """Returns all rows: open_clip's, timm's, the testbed's, each in the order of its table."""
    return (
        *_zero_shot(_open_clip_row(r) for r in _read("open_clip")),
        *(_timm_row(r) for r in _read("timm")),
        *(_testbed_row(r) for r in _read("imagenet_testbed")),
    )


def published_row(spec: str, size: int | None = None) -> ModelAccuracies | None:
    """Returns the row of a spec; if there are several, the one for the input size.

    >>> published_row("open_clip:ViT-B-16-quickgelu/openai").imagenet
    0.6834
    >>> published_row("timm:resnet50.a1_in1k", 288).imagenet
    0.8124
    """
    candidates = _by_spec().get(spec, []) if spec else []
    if size is None or not candidates or candidates[0].size is None:
        return candidates[0] if candidates else None
    return next((row for row in candidates if row.size == size), None)


@lru_cache(maxsize=1)
def _by_spec() -> dict[str, list[ModelAccuracies]]:
    index = defaultdict(list)
    for row in rows():
        index[row.spec].append(row)
    return index


def _read(name: str) -> list[dict[str, str]]:
    with (_FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _shifts(row: Mapping[str, str]) -> dict[str, float | None]:
    return {shift: _number(row.get(shift)) for shift in SHIFTS}


def _on_shift_classes(row: Mapping[str, str]) -> dict[str, float | None]:
    return {shift: _number(row.get(column)) for shift, column in SHIFT_CLASS_COLUMNS.items()}


def _number(text: str | None) -> float | None:
    return float(text.replace(",", "")) if text else None


def _open_clip_row(row: dict[str, str]) -> ModelAccuracies:
    model, tag = row["name"], row["pretrained"]
    spec = f"open_clip:{model}/{tag}"
    wrong = (model, tag) in _WRONG_ACTIVATION
    note = "measured with the wrong activation function" if wrong else ""
    if not wrong and tag.startswith("mscoco_finetuned"):
        note = "fine-tuned to write captions after pretraining"
    # The suffix reproduces a figure that was measured with the wrong activation.
    spec = f"{spec}@gelu" if wrong else right_spec(spec)
    return ModelAccuracies(
        table="open_clip",
        model=model,
        tag=tag,
        spec=spec,
        parameters=_number(row["params_m"]),
        training="zero-shot",
        imagenet=_number(row["imagenet"]),
        shifts=_shifts(row),
        note=note,
        pretraining=_pretraining(model, tag),
    )


def _zero_shot(rows_of_table: Iterable[ModelAccuracies]) -> Iterator[ModelAccuracies]:
    """Marks the rows of the baseline `zero_shot`: each set of weights once, without noted rows.

    Two rows with the same six accuracies are of the same weights under two names.
    """
    first: dict[tuple[float | None, ...], ModelAccuracies] = {}
    for row in rows_of_table:
        key = (row.imagenet, *row.shifts.values())
        if row.note or None in key:
            yield row
        elif key in first:
            same = first[key]
            note = f"the same accuracies as {same.model} {same.tag}: the same weights"
            yield replace(row, pretraining=same.pretraining, note=note)
        else:
            first[key] = row
            yield replace(row, baselines=frozenset({ZERO_SHOT}))


def _pretraining(model: str, tag: str) -> str:
    """Returns the pretraining set of a row of open_clip's table, from its tag.

    LAION-5B, its aesthetic subset and models fine-tuned after it count as LAION-2B.

    >>> _pretraining("ViT-B-32", "datacomp_xl_s13b_b90k"), _pretraining("nllb-clip-base", "v1")
    ('datacomp', 'nllb')
    """
    if model.startswith("nllb"):
        return "nllb"
    return next((name for name in _PRETRAININGS if tag.startswith(name)), "laion2b")


def _timm_row(row: dict[str, str]) -> ModelAccuracies:
    only = row["imagenet1k_only"] == "1"
    return ModelAccuracies(
        table="timm",
        model=row["model"],
        spec=f"timm:{row['model']}",
        size=int(row["img_size"]),
        parameters=_number(row["params_m"]),
        training="imagenet-1k" if only else "other",
        baselines=frozenset({"timm_imagenet1k"} if only else ()),
        imagenet=_number(row["imagenet"]),
        shifts=_shifts(row),
        on_shift_classes=_on_shift_classes(row),
    )


def _testbed_row(row: dict[str, str]) -> ModelAccuracies:
    return ModelAccuracies(
        table="testbed",
        model=row["model"],
        training=row["training"],
        baselines=frozenset(row["baseline"].split()),
        imagenet=_number(row["imagenet"]),
        shifts=_shifts(row),
        on_shift_classes=_on_shift_classes(row),
    )
