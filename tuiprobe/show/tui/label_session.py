"""The labels that Label shows and changes, in a process without Textual."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tuiprobe.choose.labelling.contest import FINAL
from tuiprobe.choose.labelling.session import Labelling, LastLabel, PictureToLabel, open_labelling
from tuiprobe.choose.labelling.standing import LabelStatus, label_status
from tuiprobe.errors import TuiprobeError
from tuiprobe.measure.run.directory import RunDir

if TYPE_CHECKING:
    from PIL.Image import Image

LARGEST = 600
"""Pixels of a side that no terminal can show."""


@dataclass(frozen=True)
class LabelView:
    """What is shown after a change.

    Attributes:
        state: How the labels stand.
        last: The label that was given last; None before the first.
        models: Name and pictures of each candidate.
        classes: The classes that may be answered.
        file: Where the labels are.
        picture: The picture to label; None where more labels decide nothing, or none is left.
        image: Its pixels; None where they cannot be shown.
        reason: Why not.
        original: Its file; None where it has none of its own.
    """

    state: LabelStatus
    last: LastLabel | None
    models: tuple[dict[str, str], ...]
    classes: tuple[str, ...]
    file: Path
    picture: PictureToLabel | None
    image: Image | None = None
    reason: str = ""
    original: Path | None = None


class LabelSession:
    """The labels of a screen, open until they are released or a change fails.

    Args:
        runs: The candidates.
        target: Name of the target set.
        trust: Ids of doubts about the labels that the user overrules.
        tolerated: As for the screen.
    """

    current: ClassVar[LabelSession | None] = None

    def __init__(
        self, runs: Sequence[Path], target: str, trust: Sequence[str], tolerated: float | None
    ) -> None:
        self.runs, self.changed = runs, False
        self._trust = trust
        self._open = partial(open_labelling, runs, target, tolerated=tolerated)
        self._labelling: Labelling | None = None

    def close(self) -> None:
        """Releases the labels for other processes."""
        if self._labelling is not None:
            self.changed |= self._labelling.changed
            self._labelling.close()
            self._labelling = None

    def view(self, narrow: bool, *change: Any) -> LabelView:
        """Makes a change, which is then on disk, and returns what the screen shows.

        Args:
            narrow: Whether to narrow differences once the best is known.
            change: A method of `Labelling` and its arguments; nothing for the labels as they are.
        """
        if self._labelling is None:
            self._labelling = self._open()
        self._labelling.narrow = narrow
        try:
            if change:
                method, *arguments = change
                getattr(self._labelling, method)(*arguments)
            return self._view(self._labelling)
        except TuiprobeError:
            self.close()  # another program may have changed the labels
            raise

    def _view(self, labelling: Labelling) -> LabelView:
        state = label_status(labelling, self._trust)
        decided = labelling.certificate is None and state.verdict in FINAL
        picture = None if decided and not labelling.narrow else labelling.following()
        view = LabelView(
            state,
            labelling.last,
            tuple({"model": of.model, "data": of.source} for of in labelling.matched.candidates),
            labelling.matched.classes,
            labelling.files.csv.path,
            picture,
        )
        if picture is None:
            return view
        try:
            image = labelling.image(picture.index)
        except TuiprobeError as error:
            return replace(view, reason=str(error))
        image.thumbnail((LARGEST, LARGEST))
        return replace(view, image=image, original=labelling.originals.file(picture.name))


def view_after(question: tuple[Any, ...], narrow: bool, *change: Any) -> LabelView:
    """Returns the view after a change, of the session of this process.

    Args:
        question: The arguments of `LabelSession`, which it begins with.
        narrow: As for `LabelSession.view`.
        change: As for `LabelSession.view`.
    """
    if LabelSession.current is None:
        LabelSession.current = LabelSession(*question)
    return LabelSession.current.view(narrow, *change)


def release() -> None:
    """Releases the labels for other processes."""
    if LabelSession.current is not None:
        LabelSession.current.close()


def renew_reports() -> None:
    """Writes the reports of the runs again, once a label has changed."""
    from tuiprobe.show.report.formats import renew_labelled

    if LabelSession.current is not None and LabelSession.current.changed:
        renew_labelled(map(RunDir, LabelSession.current.runs))
