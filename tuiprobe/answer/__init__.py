"""A run directory to answers: every probe is asked, from files alone."""

from tuiprobe.answer.report import answer
from tuiprobe.answer.schema import json_schema

__all__ = ["answer", "json_schema"]
