"""Results of a run, one file a tab."""

from tuiprobe.tui.screens.results.screen import ResultsScreen

__all__ = ["ResultsScreen"]
