"""A run directory to answers: every probe is asked, from files alone."""

from tuiprobe.answer.report import answer

__all__ = ["answer"]
