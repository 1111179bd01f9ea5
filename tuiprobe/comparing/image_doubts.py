"""Why images of two runs are not compared in pairs."""

from __future__ import annotations

from collections.abc import Iterator

from tuiprobe.comparing.inference import NO_VALUES, Pairing
from tuiprobe.datasets.registry import last_part
from tuiprobe.results import Report
from tuiprobe.results.doubt import Doubt


def image_doubts(first: Report, second: Report, pairing: Pairing) -> Iterator[Doubt]:
    """Yields why images are not compared in pairs, and which ones differ or are left out."""
    for report, images in ((first, pairing.first), (second, pairing.second)):
        if not images and (pairing.first or pairing.second):
            text = f"{report.model.name}: {NO_VALUES.why}, so differences are not paired"
            yield Doubt(id="other-pictures", sentence=text)
    of_second = {data.name: data for data in second.data}
    for data in first.data:
        other = of_second.get(data.name)
        if other is None:
            continue
        unpaired, texts = pairing.why_not(data.name), []
        if unpaired and data.name in pairing.first and data.name in pairing.second:
            texts.append(f"{data.name}: differences are not paired: {unpaired.why}")
        sources = last_part(data.source), last_part(other.source)
        if unpaired and (sources[0] != sources[1] or data.measured != other.measured):
            texts.append(
                f"{data.name} differs: {data.measured} images of {data.source} against "
                f"{other.measured} of {other.source}"
            )
        if data.name in pairing.rows:
            both = len(pairing.rows[data.name][0])
            most = max(len(of[data.name].ids) for of in (pairing.first, pairing.second))
            if both < most:
                texts.append(f"{data.name}: compared on the {both:,} images that both could use")
        if data.nonfinite or other.nonfinite:
            texts.append(
                f"{data.name}: images left out because their representation is not finite: "
                f"{data.nonfinite} against {other.nonfinite}"
            )
        yield from (Doubt(id="other-pictures", data=data.name, sentence=text) for text in texts)
