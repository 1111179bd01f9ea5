"""Says which question the results of a directory answer, before those of another one replace them.

The head is not part of a run's key: another head, other names and other options of probes are
answered from the same measurements, in the same directory.
"""

from __future__ import annotations

from tuiprobe.engine.head_building import head_is_another
from tuiprobe.engine.plan import Plan
from tuiprobe.files import DamagedFileError
from tuiprobe.plaintext import plain
from tuiprobe.run.records import read_spec
from tuiprobe.spec import RunSpec, run_options

_LONGEST = 500


def replaced_answers(plan: Plan) -> str:
    """Returns what to say before results are replaced; empty if the question is the same."""
    directory = plan.directory
    if not directory.results_file.exists():
        return ""
    try:
        before = read_spec(directory)
    except DamagedFileError:
        return ""
    changed = [
        option
        for option in run_options()
        if option.option.changes == "answers"
        and getattr(before, option.name) != getattr(plan.spec, option.name)
    ]
    if not changed and not head_is_another(plan):
        return ""
    questions = [
        ", ".join(f"{option.flag} {_value(spec, option.name)}" for option in changed)
        or f"{what} head or class names"
        for spec, what in ((before, "another"), (plan.spec, "this"))
    ]
    return (
        f"the results in {directory.path} were answered with {questions[0]}; they are replaced by "
        f"those with {questions[1]}. Copy the directory first to keep both"
    )


def _value(spec: RunSpec, name: str) -> str:
    value = getattr(spec, name)
    if value in (None, ()):
        return "left out"
    return plain(" ".join(value) if isinstance(value, tuple) else str(value))[:_LONGEST]
