"""The page to label pictures in a browser: one file that works without a server.

It holds the next pictures to label, encoded again and so without position or camera, the classes
that candidates answer, and no name of a model. Everything from outside is data in JSON, which the
page's script sets as text alone.
"""

from __future__ import annotations

import base64
import io
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from PIL import Image

from tuiprobe.choose.labelling.handed_out import BATCH_COLUMNS, SKIPPED_ONCE, batch_of
from tuiprobe.choose.labelling.label_log import NONE_OF_THESE, UNSURE
from tuiprobe.choose.labelling.session import Labelling, PictureToLabel
from tuiprobe.errors import TuiprobeError, UsageError
from tuiprobe.files import Entry
from tuiprobe.measure.run.results import read_results
from tuiprobe.plaintext import plain
from tuiprobe.results.reproduce import provenance
from tuiprobe.show.report.html import page_file, render

SIDE: Final = 224
"""Pixels of the shorter side of a picture; the longer one has twice as many at most."""

LARGEST: Final = 27 * 1024
"""Bytes of a picture: 200 of them, in base64, leave 600 kB of 8 MB for all else."""

_QUALITIES: Final = (90, 85, 80, 70, 60, 50, 40, 30, 20, 10)


def write_label_page(labelling: Labelling, path: Path, count: int) -> str:
    """Writes `label_page` to a file.

    Returns:
        What was written, in words.

    Raises:
        UsageError: If the file exists, or every picture is labelled.
        DataError: If a picture is gone or has changed since the runs measured it.
        RunError: If the operating system refuses.
    """
    if os.path.lexists(path):
        raise UsageError(f"{path} exists: name another file")
    pictures = labelling.upcoming(count)
    if not pictures:
        raise UsageError(f"{labelling.nothing_to_label}: there is none for a page")
    text = label_page(labelling, pictures)
    Entry(path.absolute().parent, path.name).write_text(text)
    return (
        f"{path}: {len(pictures):,} pictures, {len(text) / 1000:,.0f} kB; label them in a browser, "
        "save the labels there and read them with --answers FILE"
    )


def label_page(labelling: Labelling, pictures: list[PictureToLabel]) -> str:
    """Returns a page to label some pictures, as HTML.

    Args:
        labelling: The session.
        pictures: The pictures in their order.

    Raises:
        DataError: If a picture is gone or has changed since the runs measured it.
    """
    matched, target = labelling.matched, labelling.matched.source_run.target
    numbers = {name: number for number, name in enumerate(matched.classes)}
    data = {
        "batch": batch_of(picture.digest for picture in pictures),
        "target": target,
        "columns": BATCH_COLUMNS,
        "classes": [plain(name) for name in matched.classes],
        "none": NONE_OF_THESE,
        "unsure": UNSURE,
        "pictures": [
            {
                "image": plain(picture.name),
                "sha256": picture.digest,
                "skipped": SKIPPED_ONCE if picture.skipped else "",
                "choices": [numbers[name] for name in picture.choices],
                "jpeg": base64.b64encode(small_jpeg(labelling.image(picture.index))).decode(),
            }
            for picture in pictures
        ],
    }
    return render(
        "label.html",
        f"Label {target}",
        page_file("label.css"),
        "label.js",
        measured=_measured(labelling),
        data=data,
    )


def _measured(labelling: Labelling) -> str:
    """Returns dates and versions of the runs, without their models."""
    texts = set()
    for candidate in labelling.matched.candidates:
        with suppress(TuiprobeError):
            texts.add(provenance(read_results(candidate.directory)))
    return "; ".join(sorted(texts))


def small_jpeg(image: Image.Image) -> bytes:
    """Returns a small JPEG file of a picture, with its pixels and nothing else of its file.

    Args:
        image: RGB, of any size. One smaller than the page's is not enlarged.
    """
    shorter, longer = sorted(image.size)
    scale = min(1.0, SIDE / shorter, 2 * SIDE / longer)
    width, height = (max(1, round(side * scale)) for side in image.size)
    small = image.resize((width, height), Image.Resampling.LANCZOS)
    small.info = {}  # a comment would be written
    for quality in _QUALITIES:
        file = io.BytesIO()
        small.save(file, "JPEG", quality=quality, optimize=True)
        if file.tell() <= LARGEST:
            break
    return file.getvalue()
