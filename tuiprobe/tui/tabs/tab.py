"""What the tabs of a run's results share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual.containers import Container
from textual.widget import Widget

from tuiprobe.numbers import number
from tuiprobe.probes.concepts.result import Concepts
from tuiprobe.probes.directions.result import Directions
from tuiprobe.probes.outliers.result import OutlierResult, Outliers
from tuiprobe.report.pictures import picture_file
from tuiprobe.results.report import Report
from tuiprobe.results.section import Chart, TopImage
from tuiprobe.run.directory import RunDir
from tuiprobe.tui.progress import title_warning
from tuiprobe.tui.widgets.pictures import Picture

SHOWN = 8
"""Pictures at an end: as many as a run keeps of its leading channels."""


@dataclass(frozen=True)
class ShownRun:
    """The run that is shown: its directory and its report.

    Attributes:
        run: Its directory.
        report: What it found.
        outliers: Result of that probe; None where it gave none. Likewise the following.
        directions: See there.
        concepts: See there.
    """

    run: RunDir
    report: Report
    outliers: OutlierResult | None
    directions: Directions | None
    concepts: Concepts | None

    @classmethod
    def of(cls, run: RunDir, report: Report) -> ShownRun:
        """Reads the parts that tabs of their own show.

        Raises:
            DamagedFileError: If one of them does not fit this version of its probe.
        """
        return cls(
            run,
            report,
            outliers=report.part(OutlierResult),
            directions=report.part(Directions),
            concepts=report.part(Concepts),
        )

    @property
    def about(self) -> str:
        """The model in one line: its name, kind, size and channels."""
        model = self.report.model
        words = ["PARTIAL"] if self.report.partial else []
        words.append(model.name)
        words += [f"ABLATED ({'; '.join(model.ablated)})"] if model.ablated else []
        words += [model.training] if model.training != "unknown" else []
        words += [_counted(model.parameters)] if model.parameters else []
        return " · ".join([*words, f"{model.width:,} channels"])

    @property
    def warning(self) -> str:
        """What a title must say before any figure."""
        return title_warning(self._warned)

    @property
    def short_warning(self) -> str:
        """The same without explanations."""
        return title_warning(self._warned, short=True)

    @property
    def _warned(self) -> dict[str, object]:
        return {**self.report.spec, "weights": self.report.model.weights.kind}

    @property
    def taps(self) -> tuple[Outliers, ...]:
        """Outlier figures of every set and layer."""
        return self.outliers.taps if self.outliers is not None else ()

    def charts(self, probe: str, start: str = "") -> list[Chart]:
        """Returns the charts of a probe's section whose id starts so."""
        part = self.report.part_of(probe)
        content = part.section.content if part is not None and part.section is not None else ()
        return [one for one in content if isinstance(one, Chart) and one.id.startswith(start)]

    def why_not(self, probe: str) -> str:
        """Returns why a probe gave no result, and what would make it run."""
        return f"{probe}: not run: {self.report.why_not(probe)}"

    def picture(self, data: str, image: TopImage) -> Picture:
        """Returns an image at an end of a channel, with its value."""
        name = image.path if image.path is not None else f"id {image.sample_id}"
        return Picture(picture_file(self.run, data, image.sample_id), name, number(image.value))


def _counted(parameters: int) -> str:
    """Returns a number of parameters in millions or billions.

    >>> _counted(1_450_392), _counted(38_316_896), _counted(2_539_567_000)
    ('1.5 M', '38 M', '2.5 B')
    """
    size, unit = (parameters / 1e9, "B") if parameters >= 1e9 else (parameters / 1e6, "M")
    return f"{size:.1f} {unit}" if size < 10 else f"{size:.0f} {unit}"


class ResultTab(Container):
    """One tab: a table on the left or above, details of its row beside or below.

    Args:
        found: The run.
    """

    ALLOW_SELECT = False
    SCOPED_CSS = False  # the screen has the classes for narrow and low windows
    ANSWERS: ClassVar[frozenset[str]] = frozenset()
    """Which of the screen's actions this tab answers."""
    DEFAULT_CSS = """
    ResultTab { layout: horizontal; height: 1fr; }
    ResultTab .main { width: 1fr; height: 1fr; }
    ResultTab .aside { width: 42%; min-width: 34; height: 1fr; }
    .-narrow ResultTab { layout: vertical; }
    .-narrow ResultTab .aside { width: 1fr; height: 1fr; }
    .-narrow.-low ResultTab .aside.spare { display: none; }
    ResultTab .line { height: auto; max-height: 3; }
    ResultTab .none { color: $foreground 70%; padding: 1 2; }
    .-only-main ResultTab .aside, .-only-aside ResultTab .main { display: none; }
    .-narrow.-low.-only-aside ResultTab .aside.spare { display: block; }
    .-only-aside ResultTab .aside { width: 1fr; }
    """

    def __init__(self, found: ShownRun) -> None:
        super().__init__()
        self.found = found

    def first(self) -> Widget | None:
        """Returns the widget that takes the focus when the tab is shown."""
        return None

    def copied(self) -> str:
        """Returns the row under the cursor as text; empty where there is none."""
        return ""
