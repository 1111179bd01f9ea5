"""From a run directory to answers: every probe is asked, from files only."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuiprobe.results import Report
    from tuiprobe.run.directory import RunDir

__all__ = ["answer"]


def answer(directory: RunDir) -> Report:
    """Asks every probe; see `tuiprobe.answer.report.answer`."""
    from tuiprobe.answer import report  # imports torch, which `tuiprobe.answer.ablation` must not

    return report.answer(directory)
