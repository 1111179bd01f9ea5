"""CSV tables: every figure of a report in plain rows."""

import csv
import io
from collections.abc import Iterable, Iterator

from pydantic import BaseModel

from tuiprobe.probes.outliers.result import PersistentChannels
from tuiprobe.report.cells import FIGURE, Row, cells
from tuiprobe.report.tables_concepts import concept_tables
from tuiprobe.report.tables_head import head_tables
from tuiprobe.report.text import cell
from tuiprobe.results import Estimate, Figure, NotRun
from tuiprobe.results.report import Report


def tables(report: Report) -> dict[str, str]:
    """CSV text by table name; numbers in full precision, empty where there is none."""
    found = {
        "figures": _csv(["data", "tap", "figure", *FIGURE], _figures(report)),
        "channels": _csv(
            ["data", "tap", "channel", "mean", "std", "figure", *FIGURE], _channels(report)
        ),
        "persistence_curve": _csv(
            ["data", "tap", "fraction", "channels", "rows", "sampled"], _curve(report)
        ),
        "criteria": _csv(
            ["data", "tap", "criterion", "source", "unit", "met", "channels", *FIGURE, "note"],
            _criteria(report),
        ),
        "top_images": _csv(
            ["data", "tap", "channel", "end", "rank", "sample_id", "path", "value", "position"],
            _top_images(report),
        ),
        "data": _csv(
            ["data", "source", "images", "measured", "skipped", "nonfinite", "classes"],
            _data(report),
        ),
        "skipped": _csv(["data", "path", "reason"], _skipped(report)),
        "nonfinite": _csv(["data", "path"], _nonfinite(report)),
    }
    for name, (header, rows) in {**head_tables(report), **concept_tables(report)}.items():
        if filled := list(rows):
            found[name] = _csv(header, filled)
    return found


def _csv(header: list[str], rows: Iterable[Row]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([cell(one) if isinstance(one, str) else one for one in row])
    return file.getvalue()


def named_figures(model: BaseModel, prefix: str = "") -> Iterator[tuple[str, Figure]]:
    """Every figure held directly or in a nested model (not in lists), under a dotted name."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, Estimate | NotRun):
            yield prefix + name, value
        elif isinstance(value, BaseModel):
            yield from named_figures(value, f"{prefix}{name}.")


def _figures(report: Report) -> Iterator[Row]:
    for one in report.outliers:
        for name, figure in named_figures(one):
            yield [one.data, one.tap, name, *cells(figure)]


def _channels(report: Report) -> Iterator[Row]:
    for one in report.outliers:
        for share in one.shares:
            about: Row = [one.data, one.tap, share.channel, share.mean, share.std]
            yield [*about, "share", *cells(share.share)]
            yield [*about, "leading", *cells(share.leading)]
        if isinstance(one.persistent, PersistentChannels):
            for channel in one.persistent.channels:
                about = [one.data, one.tap, channel.channel, channel.mean, None]
                yield [*about, "outlier_fraction", *cells(channel.fraction)]


def _curve(report: Report) -> Iterator[Row]:
    for one in report.outliers:
        if isinstance(one.persistent, PersistentChannels):
            rest: Row = [one.persistent.rows, one.persistent.sampled]
            for point in one.persistent.curve:
                yield [one.data, one.tap, point.fraction, point.channels, *rest]


def _criteria(report: Report) -> Iterator[Row]:
    places = [(one.data, one.tap, c) for one in report.outliers for c in one.criteria]
    first = report.data[0].name if report.data else ""
    places += [(first, "all blocks", c) for c in report.cross_layer]
    for data, tap, c in places:
        channels = " ".join(str(channel) for channel in c.channels)
        about: Row = [data, tap, c.name, c.source, c.unit, c.met, channels]
        yield [*about, *cells(c.figure), c.note]


def _top_images(report: Report) -> Iterator[Row]:
    for one in report.outliers:
        for channel in one.top_images:
            ends = (("largest", channel.largest), ("smallest", channel.smallest))
            for end, images in ends:
                for rank, image in enumerate(images, start=1):
                    where: Row = [one.data, one.tap, channel.channel, end, rank]
                    yield [*where, image.sample_id, image.path, image.value, image.position]


def _data(report: Report) -> Iterator[Row]:
    for one in report.data:
        counts: Row = [one.images, one.measured, len(one.skipped), one.nonfinite, one.classes]
        yield [one.name, one.source, *counts]


def _skipped(report: Report) -> Iterator[Row]:
    for data in report.data:
        for image in data.skipped:
            yield [data.name, image.path, image.reason]


def _nonfinite(report: Report) -> Iterator[Row]:
    """The images that are listed; ``data`` has the full count."""
    for data in report.data:
        for path in data.nonfinite_images:
            yield [data.name, path]
