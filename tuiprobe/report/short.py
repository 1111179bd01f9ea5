"""Earlier place of the short forms of `tuiprobe.report.numbers`, for what names it still."""

from tuiprobe.report.numbers import change, few, interval, short

__all__ = ["change", "few", "interval", "short"]
