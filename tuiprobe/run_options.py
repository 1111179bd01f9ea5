"""The options of `tuiprobe.probe` by type; made by `python -m tools.typed_options`."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Literal, TypedDict


class RunOptions(TypedDict, total=False):
    """Options of a run, as fields of `tuiprobe.spec.RunSpec`; None stands for the default."""

    checkpoint: str | PathLike[str] | None
    sample: int | None
    seed: int | None
    layers: str | Sequence[str] | None
    tokens: Literal["all", "class", "mean"] | None
    top_k: int | None
    ablate: str | Sequence[str] | None
    ablate_mode: Literal["mean", "zero", "shuffle"] | None
    device: str | None
    dtype: Literal["float32", "float16", "bfloat16"] | None
    batch_size: int | None
    shard_batches: int | None
    threads: int | None
    workers: int | None
    max_unreadable: float | None
    answers_among: Literal["set", "all"] | None
    templates: str | PathLike[str] | None
    embeddings: str | PathLike[str] | None
    labels: str | PathLike[str] | None
    training: Literal["zero-shot", "supervised", "finetuned", "unknown"] | None
    representation: Literal["projected", "pooled", "token"] | None
    target_embeddings: str | PathLike[str] | Sequence[str | PathLike[str]] | None
    id_column: str | None
    baseline: str | PathLike[str] | None
    concepts: str | PathLike[str] | None
    concept_sample: int | None
    concept_share: float | None
    balance: Literal["calibrated", "sample"] | None
    negatives: Literal["annotated", "all"] | None
    probe: str | Sequence[str] | None
    require_weights: bool | None
    offline: bool | None
