"""Writes the decision between runs as a file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from tuiprobe.choose.comparing.decide import decide
from tuiprobe.choose.comparing.decision import Decision
from tuiprobe.choose.comparing.decision_section import describe_decision
from tuiprobe.choose.comparing.runs import read_runs
from tuiprobe.files import Entry
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.probes.content import bullets
from tuiprobe.results.section import Section
from tuiprobe.show.report.markdown import section_markdown
from tuiprobe.show.report.terminal import PLAIN, Terminal, section_text


def write_decision(
    directories: Sequence[RunDir],
    folder: Path,
    gaps: Sequence[str] = (),
    terminal: Terminal = PLAIN,
) -> tuple[Path, str, Decision]:
    """Decides between finished runs, and writes the decision as a file named by their keys.

    Returns its path, the same as text for a terminal, and the decision.

    Args:
        directories: The runs.
        folder: Folder of the file.
        gaps: Models that have no run, each with the reason.
        terminal: What the text is printed to.

    Raises:
        DataError: If a run has no readable report.
        RunError: If the file cannot be written.
    """
    runs = read_runs([directory.path for directory in directories])
    keys = "".join(sorted(run.report.key for run in runs))
    file = Entry(folder, f"comparison-{hashlib.sha256(keys.encode()).hexdigest()[:8]}.md")
    decision = decide(runs)
    sections = [describe_decision(decision, runs)]
    if gaps:
        sections.append(Section(title="Not measured", headline=(), content=(bullets(gaps),)))
    file.write_text("\n".join(map(section_markdown, sections)))
    return file.path, "".join(section_text(section, terminal) for section in sections), decision
