"""Signatures of models: key results of runs, stored beside the published accuracies.

The package ships those of untrained architectures. Random weights do not give zero, so an outcome
is shown beside the figures of the same architecture before training.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tuiprobe.catalog.accuracies import published_row
from tuiprobe.catalog.atlas import for_spec
from tuiprobe.catalog.baselines import BASELINES
from tuiprobe.catalog.presets import presets
from tuiprobe.catalog.untrained import references
from tuiprobe.files import DamagedFileError, Entry, parse_json, read_regular

FIGURES = {
    "kurtosis": "kurtosis",
    "persistence": "persistence.value",
    "height": "height",
    "offset": "offset.share",
}
"""Figures of the final representation that a signature keeps, with their ids in a report."""

_LARGEST = 64 * 2**20
_LARGEST_FIGURE = 1e100
_LARGEST_COUNT = 2**53
_LONGEST_TEXT = 2**16


@dataclass(frozen=True)
class Signature:
    """One model's outlier figures on the final representation of one set.

    Attributes:
        model: As its run named it.
        architecture: The library's name.
        weights: `pretrained`, `checkpoint` or `untrained`.
        digest: SHA-256 of the weights.
        representation: `projected`, `pooled` or `token`; figures compare within one kind only.
        data: Where the images came from.
        n: Images measured.
        width: Channels.
        kurtosis: With its 95 % interval, as value, low, high; low and high are None without one.
        persistence: The same.
        spec: Spec that loads the model; finds its row of published accuracies.
        robustness: Effective robustness as a fraction, with its precision interval.
        baseline: Baseline of that effective robustness; empty without one.
        robustness_from: `run` for accuracies that the run measured, `published` for those of
            the shipped tables; empty without any.
        height: Height of the highest channel in sigmas; None in signatures of earlier versions.
        offset: Share of the offset; likewise.
        shifts: The shifts of the effective robustness, by name; empty without one.
        imagenet: ImageNet accuracy that belongs to the effective robustness, as a fraction.
        pretraining: Pretraining set; empty if it is not known.
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
    height: tuple[float, float | None, float | None] | None = None
    offset: tuple[float, float | None, float | None] | None = None
    shifts: str = ""
    imagenet: float | None = None
    pretraining: str = ""


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
    return [
        Signature(
            model=row.architecture,
            architecture=row.architecture,
            weights="untrained",
            digest=row.digest,
            representation=row.representation,
            data=row.data,
            n=row.n,
            width=row.width,
            kurtosis=row.kurtosis,
            persistence=(row.persistence, None, None),
        )
        for row in references()
    ]


@dataclass(frozen=True)
class Filed:
    """What a file of signatures holds.

    Attributes:
        signatures: In the order they were filed.
        damaged: One message per unreadable line; these lines are skipped.
    """

    signatures: tuple[Signature, ...] = ()
    damaged: tuple[str, ...] = ()


def filed(path: Path) -> Filed:
    """Reads a file that `add` wrote; skips damaged lines and reports them."""
    try:
        lines = _lines(path)
    except (OSError, DamagedFileError) as error:
        return Filed(damaged=(f"the filed signatures are left out: {error}",))
    found, damaged = [], []
    for number, line in enumerate(lines, start=1):
        try:
            found.append(_signature(parse_json(line)))
        except (ValueError, TypeError) as error:
            damaged.append(f"line {number} of {path} is no signature, so it is left out ({error})")
    return Filed(tuple(found), tuple(damaged))


def _lines(path: Path) -> list[str]:
    try:
        return read_regular(path, _LARGEST).decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []


def add(report: Mapping[str, Any], path: Path) -> Signature:
    """Stores the signature of a run; replaces an earlier one of the same weights and data.

    Args:
        report: The run's report, already validated, as plain data.
        path: File of signatures, one JSON object a line; unreadable lines are kept.

    Raises:
        ValueError: If the report has no figures of the final representation.
        DamagedFileError: If the file is not a regular file, or too large.
        RunError: If the file cannot be written.
    """
    signature = signature_of(report)
    kept = [line for line in _lines(path) if not _same(line, signature)]
    lines = [*kept, json.dumps(asdict(signature), allow_nan=False)]
    Entry(path.parent, path.name).write_text("\n".join(lines) + "\n")
    return signature


def _same(line: str, signature: Signature) -> bool:
    """Says whether a line holds a signature of the same weights on the same data."""
    try:
        one = _signature(parse_json(line))
    except (ValueError, TypeError):
        return False
    return (one.digest, one.data) == (signature.digest, signature.data)


def signature_of(report: Mapping[str, Any]) -> Signature:
    """Returns the signature in a run's report.

    Raises:
        ValueError: If the report has no figures of the final representation.
    """
    model = report["model"]
    data = report["data"][0] if report["data"] else None
    figures = {
        one["id"]: one["figure"]
        for one in _named(report)
        if data is not None and one["data"] == data["name"] and not one["inner"]
    }
    if data is None or "kurtosis" not in figures:
        raise ValueError("the report has no figures of the final representation")
    spec = _spec(model["name"])
    kept = {name: _figure(figures.get(id, {})) for name, id in FIGURES.items()}
    robustness = _measured(report, figures) or _published(spec, model)
    return Signature(
        model=model["name"],
        architecture=model["architecture"],
        weights=model["weights"]["kind"],
        digest=model["weights"]["digest"],
        representation=model["representation"],
        data=data["source"],
        n=data["measured"],
        width=model["width"],
        spec=spec,
        kurtosis=kept["kurtosis"],
        persistence=kept["persistence"],
        height=kept["height"],
        offset=kept["offset"],
        pretraining=_pretraining(spec, model),
        **robustness,
    )


def _named(report: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yields every figure of a report that has a name."""
    return (figure for part in report["parts"] for figure in part["figures"])


def _spec(name: str) -> str:
    preset = presets().get(name)
    return preset.spec if preset is not None else name


def _pretraining(spec: str, model: Mapping[str, Any]) -> str:
    """Returns the pretraining set of published weights, as the table of accuracies names it."""
    if model["weights"]["kind"] != "pretrained":
        return ""
    row = published_row(spec, int(model["preprocessing"]["size"][0]))
    if row is not None and row.pretraining:
        return row.pretraining
    preset = presets().get(model["name"])
    return preset.pretraining if preset is not None else ""


def _measured(report: Mapping[str, Any], figures: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the first effective robustness of a report; empty if its data had no shifts.

    Its accuracy is kept where that is ImageNet's.
    """
    for one in _named(report):
        figure = _figure(one["figure"]) if one["role"] == "outcome" else None
        if figure is not None:
            baseline, axis = str(one["about"][0]), str(one["about"][1])
            found = _figure(figures.get("top1", {}))
            return {
                "robustness": figure,
                "baseline": baseline,
                "robustness_from": "run",
                "shifts": ", ".join(one["about"][2:]),
                "imagenet": found[0] if found is not None and axis == "imagenet" else None,
            }
    return {}


def _published(spec: str, model: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the effective robustness of published weights by the shipped tables."""
    if model["weights"]["kind"] != "pretrained":
        return {}
    entry = for_spec(spec, BASELINES[0], int(model["preprocessing"]["size"][0]))
    er = None if entry is None else entry.robustness[BASELINES[0]]
    if entry is None or er is None:
        return {}
    return {
        "robustness": (er.value, *er.precision),
        "baseline": BASELINES[0],
        "robustness_from": "published",
        "shifts": ", ".join(er.line.target),
        "imagenet": entry.row.imagenet,
    }


def _figure(figure: Mapping[str, Any]) -> tuple[float, float | None, float | None] | None:
    if "value" not in figure:
        return None
    low, high = figure.get("low"), figure.get("high")
    ends = (None if low is None else float(low), None if high is None else float(high))
    return (float(figure["value"]), *ends)


def _signature(row: Any) -> Signature:
    if not isinstance(row, dict):
        raise ValueError("it is no object")
    fields = dict(row)
    for name in (*FIGURES, "robustness"):
        fields[name] = _checked_figure(name, fields.get(name))
    accuracy = fields.get("imagenet")
    if accuracy is not None and not (isinstance(accuracy, float) and 0 <= accuracy <= 1):
        raise ValueError("imagenet holds what is no accuracy")
    signature = Signature(**fields)
    for name in ("n", "width"):
        value = getattr(signature, name)
        if type(value) is not int or not 0 <= value <= _LARGEST_COUNT:
            raise ValueError(f"{name} is no count")
    texts = [name for name, kind in Signature.__annotations__.items() if kind == "str"]
    for name in texts:
        value = getattr(signature, name)
        if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
            raise ValueError(f"{name} is no text")
    if signature.weights not in ("pretrained", "checkpoint", "untrained"):
        raise ValueError("weights are of an unknown kind")
    return signature


def _checked_figure(name: str, value: Any) -> tuple[float, float | None, float | None] | None:
    if value is None:
        return None
    figure, low, high = value
    ends = [one for one in (low, high) if one is not None]
    for one in (figure, *ends):
        if type(one) not in (int, float) or not abs(one) <= _LARGEST_FIGURE:
            raise ValueError(f"{name} holds what is no figure")
    if len(ends) == 1 or (ends and ends[0] > ends[1]):
        raise ValueError(f"{name} has an interval that is none")
    return figure, low, high
