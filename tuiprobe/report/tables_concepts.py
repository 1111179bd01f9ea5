"""CSV rows of the concept probe."""

from collections.abc import Iterator

from tuiprobe.probes.concepts.result import Concepts
from tuiprobe.report.cells import FIGURE, Row, cells
from tuiprobe.results.report import Report


def concept_tables(report: Report) -> dict[str, tuple[list[str], Iterator[Row]]]:
    """Header and rows by table name; nothing where there is no concept set."""
    found = report.concepts
    if found is None:
        return {}
    return {
        "concepts": (
            ["family", "directions", "figure", "threshold", "category", *FIGURE],
            _families(found),
        ),
        "concepts_encoded": (["family", "concept"], _encoded(found)),
        "concepts_top": (
            ["family", "direction", "rank", "concept", "category", "sign", "train_ap", "val_ap"],
            _top(found),
        ),
        "concepts_images": (
            ["family", "direction", "end", "rank", "sample_id", "path", "value"],
            _images(found),
        ),
    }


def _families(found: Concepts) -> Iterator[Row]:
    for one in found.families:
        about: Row = [one.family, one.directions]
        at = found.threshold
        yield [*about, "unique", at, None, *cells(one.unique)]
        yield [*about, "rarefied", at, None, *cells(one.rarefied)]
        if one.excess is not None:
            yield [*about, "rarefied excess over random", at, None, *cells(one.excess)]
        yield [*about, "polysemanticity", at, None, *cells(one.polysemanticity)]
        for point in one.curve:
            yield [*about, "unique", point.threshold, None, *cells(point.concepts)]
        for category in one.categories:
            yield [*about, "unique", at, category.category, *cells(category.concepts)]
    for matrix, figure in (("W", found.excess), ("centred W", found.excess_centred)):
        about = [f"singular vectors of {matrix}", None]
        yield [*about, "excess over random", found.threshold, None, *cells(figure)]


def _encoded(found: Concepts) -> Iterator[Row]:
    for one in found.families:
        for name in one.encoded:
            yield [one.family, name]


def _top(found: Concepts) -> Iterator[Row]:
    for one in found.top:
        for rank, c in enumerate(one.concepts, start=1):
            about: Row = [found.top_of, one.index, rank, c.name, c.category]
            yield [*about, "positive" if c.sign > 0 else "negative", c.train, c.val]


def _images(found: Concepts) -> Iterator[Row]:
    for one in found.top:
        for end, images in (("positive", one.largest), ("negative", one.smallest)):
            for rank, image in enumerate(images, start=1):
                about: Row = [found.top_of, one.index, end, rank]
                yield [*about, image.sample_id, image.path, image.value]
