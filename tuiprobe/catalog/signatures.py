"""Signatures of models: what runs found, filed beside the published accuracies.

The package ships those of untrained architectures, since random weights are no zero: a verdict
stands beside what the same architecture gives before it learnt anything.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tuiprobe.catalog.atlas import for_spec
from tuiprobe.catalog.baselines import BASELINES
from tuiprobe.catalog.presets import presets

SHIPPED = Path(__file__).with_name("untrained.json")

_LARGEST = 64 * 2**20
"""Bytes of a results.json that is read; it may come from anywhere."""


@dataclass(frozen=True)
class Signature:
    """One model's outlier figures on the final representation of one set.

    Attributes:
        model: As its run named it.
        architecture: The library's name.
        weights: ``pretrained``, ``checkpoint`` or ``untrained``.
        digest: SHA-256 of the weights.
        representation: ``projected``, ``pooled`` or ``token``; compare within one kind only.
        data: Where the images came from.
        n: Images measured.
        width: Channels.
        kurtosis: With its 95 % interval, as value, low, high; an end is None without interval.
        persistence: The same.
        spec: What loads the model, which ties it to its row of published accuracies.
        robustness: Effective robustness as a fraction, with its precision interval.
        baseline: The baseline that it is measured by; empty without one.
        robustness_from: ``run`` for accuracies that the run measured, ``published`` for those of
            the shipped tables; empty without any.
    """

    model: str
    architecture: str
    weights: str
    digest: str
    representation: str
    data: str
    n: int
    width: int
    kurtosis: tuple[float, float | None, float | None] | None
    persistence: tuple[float, float | None, float | None] | None
    spec: str = ""
    robustness: tuple[float, float | None, float | None] | None = None
    baseline: str = ""
    robustness_from: str = ""


def reference_of(
    architecture: str, representation: str, among: Sequence[Signature]
) -> Signature | None:
    """Returns the signature of an architecture untrained, None if there is none.

    >>> reference_of("RN50-quickgelu", "projected", shipped()).n
    64
    """
    return next(
        (
            one
            for one in among
            if one.weights == "untrained"
            and (one.architecture, one.representation) == (architecture, representation)
        ),
        None,
    )


def shipped() -> list[Signature]:
    """Returns the signatures of untrained architectures."""
    return [_signature(row) for row in json.loads(SHIPPED.read_text("utf-8"))["signatures"]]


def filed(path: Path) -> list[Signature]:
    """Returns the signatures in a file that ``add`` wrote; none if there is no file.

    Raises:
        ValueError: If the file is damaged, naming the line.
    """
    if not path.is_file():
        return []
    found = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        try:
            found.append(_signature(json.loads(line)))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"line {number} of {path} is no signature ({error})") from error
    return found


def add(results: Path, path: Path) -> Signature:
    """Files the signature of a run; the same weights on the same data replace an earlier one.

    Args:
        results: ``results.json`` of the run.
        path: File of signatures, one JSON object a line.

    Raises:
        ValueError: If the file is no report.
    """
    signature = from_results(results)
    kept = [s for s in filed(path) if (s.digest, s.data) != (signature.digest, signature.data)]
    lines = [json.dumps(asdict(s), allow_nan=False) for s in (*kept, signature)]
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text("\n".join(lines) + "\n", "utf-8")
    partial.replace(path)
    return signature


def from_results(path: Path) -> Signature:
    """Returns the signature in a run's ``results.json``.

    Raises:
        ValueError: If the file is no report.
    """
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"{path} is larger than any report")
    try:
        report: dict[str, Any] = json.loads(path.read_text("utf-8"))
        model, data = report["model"], report["data"][0]
        final = next(o for o in report["outliers"] if o["final"] and o["data"] == data["name"])
        spec = _spec(str(model["name"]))
        robustness = _measured(report) or _published(spec, model)
        return Signature(
            model=str(model["name"]),
            architecture=str(model["architecture"]),
            weights=str(model["weights"]["kind"]),
            digest=str(model["weights"]["digest"]),
            representation=str(model["representation"]),
            data=str(data["source"]),
            n=int(data["measured"]),
            width=int(model["width"]),
            kurtosis=_figure(final["kurtosis"]),
            persistence=_figure(final["persistence"]["value"]),
            spec=spec,
            **robustness,
        )
    except (ValueError, KeyError, TypeError, IndexError, StopIteration) as error:
        raise ValueError(f"{path} is no report of tuiprobe ({error!r})") from error


def _spec(name: str) -> str:
    preset = presets().get(name)
    return preset.spec if preset is not None else name


def _measured(report: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the first effective robustness of a report; none where its data had no shifts."""
    effective = (report.get("robustness") or {}).get("effective")
    for entry in effective if isinstance(effective, list) else ():
        figure = _figure(entry["value"])
        if figure is not None:
            baseline = str(entry["baseline"])
            return {"robustness": figure, "baseline": baseline, "robustness_from": "run"}
    return {}


def _published(spec: str, model: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the effective robustness of published weights by the shipped tables."""
    if model["weights"]["kind"] != "pretrained":
        return {}
    entry = for_spec(spec, BASELINES[0], int(model["preprocessing"]["size"][0]))
    er = None if entry is None else entry.robustness[BASELINES[0]]
    if er is None:
        return {}
    return {
        "robustness": (er.value, *er.precision),
        "baseline": BASELINES[0],
        "robustness_from": "published",
    }


def _figure(figure: Mapping[str, Any]) -> tuple[float, float | None, float | None] | None:
    if "value" not in figure:
        return None
    low, high = figure.get("low"), figure.get("high")
    ends = (None if low is None else float(low), None if high is None else float(high))
    return (float(figure["value"]), *ends)


def _signature(row: Mapping[str, Any]) -> Signature:
    fields = dict(row)
    for name in ("kurtosis", "persistence", "robustness"):
        fields[name] = None if fields.get(name) is None else tuple(fields[name])
    return Signature(**fields)
