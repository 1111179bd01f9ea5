"""Rows on the model and the sets of images, which every format shows besides the probes."""

from __future__ import annotations

from collections.abc import Iterator

from tuiprobe.numbers import number
from tuiprobe.results import Report
from tuiprobe.results.section import Code, Strong, Text, Value

LISTED_IMAGES = 20
"""Images of a set that could not be used that a page names."""

DATA = ("data", "source", "images", "measured", "skipped", "not finite", "classes")


def subject_rows(report: Report) -> Iterator[tuple[str, Text]]:
    """Yields the subject of the report as names and values."""
    model, weights = report.model, report.model.weights
    pre = model.preprocessing
    yield "model", (Code(code=model.name),)
    yield "architecture", (Code(code=model.architecture), f" ({model.loader})")
    if weights.kind == "unknown":
        yield "vectors", (Code(code=weights.source),)
    elif weights.kind == "answers":
        yield "answers", (Code(code=weights.source),)
        yield "answers SHA-256", (Code(code=weights.digest),)
    else:
        yield "weights", (Strong(strong=weights.kind), ", ", Code(code=weights.source))
        yield "weights SHA-256", (Code(code=weights.digest),)
    if model.representation == "none":
        return
    yield "representation", (f"{model.representation}, {model.width} channels",)
    if weights.kind != "unknown":
        yield "parameters", (model.parameters,)
    steps = "not known"
    if pre.known:
        mean, std = (", ".join(map(number, values)) for values in (pre.mean, pre.std))
        steps = (
            f"{pre.size[0]} x {pre.size[1]}, {pre.interpolation}, mean {mean}, std {std}; "
            f"from {pre.source}"
        )
    yield "preprocessing", (steps,)


def data_rows(report: Report) -> tuple[tuple[str, ...], list[tuple[Value, ...]]]:
    """Returns header and rows of the sets of images."""
    rows: list[tuple[Value, ...]] = [
        (
            Code(code=data.name),
            Code(code=data.source),
            data.images,
            data.measured,
            len(data.skipped),
            data.nonfinite,
            data.classes if data.labelled else "target" if data.target else "unlabelled",
        )
        for data in report.data
    ]
    return DATA, rows


def left_out(report: Report) -> Iterator[tuple[Text, list[Text]]]:
    """Yields lists of images that could not be used, each with the line above it."""
    for data in report.data:
        name = Code(code=data.name)
        if data.skipped:
            items: list[Text] = [
                (Code(code=image.path), f": {image.reason}")
                for image in data.skipped[:LISTED_IMAGES]
            ]
            if (more := len(data.skipped) - LISTED_IMAGES) > 0:
                items.append((f"and {more:,} more in results.json",))
            yield ("Skipped images of ", name, ":"), items
        if data.nonfinite:
            items = [(Code(code=path),) for path in data.nonfinite_images[:LISTED_IMAGES]]
            if (more := data.nonfinite - len(items)) > 0:
                items.append((f"and {more:,} more",))
            about = (
                " with a representation that is not finite, left out of every figure of the final "
                "representation:"
            )
            yield ("Images of ", name, about), items
