"""Stops a run with too many unreadable images."""

from __future__ import annotations

from tuiprobe.datasets import Sample
from tuiprobe.errors import DataError
from tuiprobe.events import Event, Listener

_SHOWN = 3


class UnreadableLimit:
    """Counts unreadable images and stops the run once they are too many.

    Args:
        total: Number of images of the whole run.
        share: Largest share of them that may be unreadable.
        before: Number of unreadable images in shards of earlier attempts.
        listen: Told about each unreadable image.
    """

    def __init__(self, total: int, share: float, before: int, listen: Listener) -> None:
        self._total, self._share, self._before, self._listen = total, share, before, listen
        self._seen: dict[tuple[str, int], str] = {}

    def add(self, set_name: str, sample: Sample, reason: str) -> None:
        """Counts an unreadable image, once however often it is tried.

        Raises:
            DataError: If more than the allowed share of all images is unreadable.
        """
        if (set_name, sample.id) in self._seen:
            return
        message = self._seen[set_name, sample.id] = f"{sample.path}: {reason}"
        self._listen(Event("skipped", message, {"set": set_name}))
        count = self._before + len(self._seen)
        if count > self._share * self._total:
            raise DataError(
                f"{count} of {self._total} images cannot be read, more than the "
                f"{self._share:.0%} allowed by --max-unreadable: "
                f"{'; '.join(list(self._seen.values())[:_SHOWN])}"
            )
