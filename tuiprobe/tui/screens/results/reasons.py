"""Why a part of a report is empty, and which key or option fills it."""

from __future__ import annotations

from tuiprobe.results.report import Report

_FILL = {
    "directions": "a head is needed: pass --classes FILE or --head FILE",
    "robustness": "labels and a head are needed: pass --classes FILE or --head FILE",
    "concepts": "a concept set is needed: pass --concepts broden:DIR",
}


def reason_for(report: Report, part: str) -> str:
    """One sentence: the report's own reason, and what to do.

    >>> from types import SimpleNamespace
    >>> reason_for(SimpleNamespace(not_run=()), "concepts")
    'not run: a concept set is needed: pass --concepts broden:DIR'
    """
    own = next((one.reason for one in report.not_run if one.part == part), "")
    if not own:
        return f"not run: {_FILL[part]}"
    return f"not run, because {own} ({_FILL[part].partition(': ')[2]} may give it)"
