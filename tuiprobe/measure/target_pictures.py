"""Small pictures of the target sets, for pages and screens that have no access to the images."""

from __future__ import annotations

from tuiprobe.measure.plan import Plan
from tuiprobe.measure.thumbs import write_thumbnails
from tuiprobe.results import Report
from tuiprobe.run.directory import RunDir


def write_target_pictures(plan: Plan, directory: RunDir, report: Report) -> None:
    """Writes the pictures of target sets that the report shows: unsure and common answers.

    Args:
        plan: The plan of the run, whose data sets are open.
        directory: The run directory.
        report: What its sections show.
    """
    for one in report.data:
        if one.target and one.name in plan.suite.sets:
            shown = sorted(report.pictured(one.name))
            write_thumbnails(directory, one.name, plan.suite.sets[one.name], shown)
