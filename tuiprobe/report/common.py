"""What every format shows besides the probes: model, data, software."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, count

from tuiprobe.numbers import number
from tuiprobe.results import DataSet, Report, TopImage
from tuiprobe.results.section import Code, Content, Heading, Strong, Table, Text, Value

NAMED_IMAGES = 5
"""Images at one end of a channel or direction that a page names."""

DATA = ("data", "source", "images", "measured", "skipped", "not finite", "classes")


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
    if not pre.known:
        yield "preprocessing", ("not known",)
        return
    yield (
        "preprocessing",
        (
            f"{pre.size[0]} x {pre.size[1]}, {pre.interpolation}, mean {_channels(pre.mean)}, "
            f"std {_channels(pre.std)}; from {pre.source}",
        ),
    )


def _channels(values: tuple[float, ...]) -> str:
    return ", ".join(number(value) for value in values)


def data_rows(report: Report) -> tuple[tuple[str, ...], list[tuple[Value, ...]]]:
    """Returns header and rows of the sets of images."""
    rows: list[tuple[Value, ...]] = [
        (
            Code(code=one.name),
            Code(code=one.source),
            one.images,
            one.measured,
            len(one.skipped),
            one.nonfinite,
            one.classes if one.labelled else "target" if one.target else "unlabelled",
        )
        for one in report.data
    ]
    return DATA, rows


OF_EVERY_REPORT = ("figures", "data", "skipped", "nonfinite")
"""Names of the table files that are of no single probe."""


def table_files(report: Report) -> Iterator[tuple[str, str, Table]]:
    """Yields the tables that have files: whose it is, the name of the file, the table."""
    taken = set(OF_EVERY_REPORT)
    for part in report.parts:
        for one in part.section.content if part.section is not None else ():
            if isinstance(one, Table) and one.file and one.rows:
                name = free_name(one.id, part.probe, taken.__contains__)
                taken.add(name)
                yield part.probe, name, one


def opening_pieces(content: Sequence[Content]) -> int:
    """Returns how many pieces open a section: those before the second of its parts."""
    places = (i for i, one in enumerate(content) if i and isinstance(one, Heading))
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
    if not taken(id):
        return id
    name = f"{probe}_{id}"
    numbered = (f"{name}_{number}" for number in count(2))
    return next(one for one in chain((name,), numbered) if not taken(one))


def image_name(image: TopImage) -> str:
    """Returns the display name of an image: its path, or its id where none is known."""
    return image.path if image.path is not None else f"id {image.sample_id}"


def nonfinite_rest(one: DataSet, listed: int) -> int:
    """Returns how many non-finite images are not listed by name."""
    return one.nonfinite - min(listed, len(one.nonfinite_images))
