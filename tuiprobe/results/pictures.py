"""Which images the sections of a report show."""

from tuiprobe.results.report import Report
from tuiprobe.results.section import Strip


def pictured(report: Report, data: str | None = None) -> set[int]:
    """Returns the sample ids of the images in the strips of a report.

    Args:
        report: Its sections are looked through.
        data: Only images of this set; None for all.
    """
    return {
        image.sample_id
        for part in report.parts
        if part.section is not None
        for strip in part.section.content
        if isinstance(strip, Strip) and data in (None, strip.data)
        for end in strip.ends
        for image in end.images
    }
