"""The card of a report as plain text, for standard output."""

from tuiprobe.plaintext import plain
from tuiprobe.report.text import line
from tuiprobe.results.card import card
from tuiprobe.results.report import Report


def summary(report: Report) -> str:
    """Returns the title, the warnings and the blocks of the card."""
    lines = [plain(report.title)]
    lines += [plain(f"warning: {warning}") for warning in report.warnings]
    for block in card(report):
        lines.append(f"{block.title}:")
        lines += [f"  {line(one)}" for one in block.lines]
    return "\n".join(lines) + "\n"
