"""What every format shows besides the probes: model, data, software."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count

from tuiprobe.numbers import number
from tuiprobe.results import Report, TopImage
from tuiprobe.results.section import Code, Content, Heading, Strong, Table, Text, Value

NAMED_IMAGES = 5
"""Images at one end of a channel or direction that a page names."""
LISTED_IMAGES = 20
"""Images of a set that could not be used that a page names."""

DATA = ("data", "source", "images", "measured", "skipped", "not finite", "classes")
OF_EVERY_REPORT = ("figures", "data", "skipped", "nonfinite")
"""Names of the table files that are of no single probe."""


def subject_rows(report: Report) -> Iterator[tuple[str, Text]]:
    """Yields the subject of the report as names and values."""
    model, weights = report.model, report.model.weights
    pre = model.preprocessing
    yield "model", (Code(code=model.name),)
    yield "architecture", (Code(code=model.architecture), f" ({model.loader})")
    if weights.kind == "unknown":
        yield "vectors", (Code(code=weights.source),)
    else:
        yield "weights", (Strong(strong=weights.kind), ", ", Code(code=weights.source))
        yield "weights SHA-256", (Code(code=weights.digest),)
    if model.ablated:
        yield "ablated", (Strong(strong="; ".join(model.ablated)),)
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
            if (rest := len(data.skipped) - LISTED_IMAGES) > 0:
                items.append((f"and {rest:,} more in results.json",))
            yield ("Skipped images of ", name, ":"), items
        if data.nonfinite:
            items = [(Code(code=path),) for path in data.nonfinite_images[:LISTED_IMAGES]]
            if (rest := data.nonfinite - len(items)) > 0:
                items.append((f"and {rest:,} more",))
            about = (
                " with a representation that is not finite, left out of every figure of the final "
                "representation:"
            )
            yield ("Images of ", name, about), items


def table_files(report: Report) -> Iterator[tuple[str, str, Table]]:
    """Yields the tables that have files: whose it is, the name of the file, the table."""
    taken = set(OF_EVERY_REPORT)
    for part in report.parts:
        for piece in part.section.content if part.section is not None else ():
            if isinstance(piece, Table) and piece.file and piece.rows:
                name = free_name(piece.id, part.probe, taken.__contains__)
                taken.add(name)
                yield part.probe, name, piece


def opening_pieces(content: Sequence[Content]) -> int:
    """Returns how many pieces open a section: those before the second of its parts."""
    places = (i for i, piece in enumerate(content) if i and isinstance(piece, Heading))
    return next(places, len(content))


def free_name(id: str, probe: str, taken: Callable[[str], bool]) -> str:
    """Returns a name that no other table or chart of the report has.

    Args:
        id: Id of the table or chart; probes of several packages may use the same.
        probe: Whose it is.
        taken: Whether a name is taken.

    >>> free_name("a", "p", {"a"}.__contains__), free_name("a", "p", {"a", "p_a"}.__contains__)
    ('p_a', 'p_a_2')
    """
    names = (f"{probe}_{id}" + (f"_{n}" if n > 1 else "") for n in count(1))
    return id if not taken(id) else next(name for name in names if not taken(name))


def image_name(image: TopImage) -> str:
    """Returns the display name of an image: its path, or its id where none is known."""
    return image.path if image.path is not None else f"id {image.sample_id}"
