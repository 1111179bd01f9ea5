"""How many unreadable images a run puts up with."""

from __future__ import annotations

from tuiprobe.errors import DataError
from tuiprobe.events import Event, Listener

_SHOWN = 3


class UnreadableLimit:
    """Counts unreadable images and stops the run once they are too many.

    Args:
        total: Images of the whole run.
        share: Largest share of them that may be unreadable.
        before: Unreadable images in shards measured by an earlier attempt.
        listen: Told about each.
    """

    def __init__(self, total: int, share: float, before: int, listen: Listener) -> None:
        self._total, self._share, self._count, self._listen = total, share, before, listen
        self._shown: list[str] = []

    def add(self, set_name: str, path: str, reason: str) -> None:
        """Counts one unreadable image.

        Raises:
            DataError: If more than the allowed share of all images cannot be read.
        """
        self._count += 1
        message = f"{path}: {reason}"
        self._listen(Event("skipped", message, {"set": set_name}))
        if len(self._shown) < _SHOWN:
            self._shown.append(message)
        if self._count > self._share * self._total:
            raise DataError(
                f"{self._count} of {self._total} images cannot be read, more than the "
                f"{self._share:.0%} allowed by --max-unreadable: {'; '.join(self._shown)}"
            )
