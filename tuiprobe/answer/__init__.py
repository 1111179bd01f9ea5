"""A run directory to answers: every probe is asked, from files alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuiprobe.results import Report
    from tuiprobe.run.directory import RunDir

__all__ = ["answer"]


def answer(directory: RunDir) -> Report:
    """Asks every probe; see `tuiprobe.answer.report.answer`."""
    from tuiprobe.answer import report  # loads torch, which `tuiprobe.answer.ablation` never does

    return report.answer(directory)
