"""How to reproduce a report: the command, the versions, the key, and what was verified first.

Every format shows the same lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tuiprobe.errors import UsageError
from tuiprobe.options import OptionError
from tuiprobe.request import command_of
from tuiprobe.results.accuracy import on_your_pictures
from tuiprobe.results.base import NotRun, is_known
from tuiprobe.results.report import Report
from tuiprobe.results.section import Code, Section, Text
from tuiprobe.results.subject import PROBE
from tuiprobe.spec import path_options

PATHS_CUT: Final = (
    "It has only the last part of each path; `tuiprobe runs NAME` prints the full command."
)
_NO_PATHS: Final = ("miniature", "none", "probe", "zero-shot")
OTHER_VERSION: Final = "The options of this run come from another version of tuiprobe."


def provenance(report: Report, verb: str = "Measured") -> str:
    """Returns when a run was measured and by which version, and when it was probed again.

    Args:
        report: The report.
        verb: The first word; empty behind a heading that says it.
    """
    timings = report.timings
    again = timings.reprobed is not None
    version = timings.measured_by or ("" if again else report.tuiprobe)
    text = f"{verb} {timings.finished[:10]}" if timings.finished else verb
    text += f" with tuiprobe {version}" if version else ""
    if timings.reprobed is not None:
        text += f", reprobed {timings.reprobed[:10]} with tuiprobe {report.tuiprobe}"
    return text.lstrip(" ,")


def command(report: Report) -> str:
    """Returns the command of the run, with the last part of each path.

    It is empty where its spec is of no version.
    """
    try:
        return command_of(report.spec)
    except UsageError:
        return ""


def command_note(report: Report) -> str:
    """Returns a note on the command, for example that paths are cut."""
    try:
        command_of(report.spec)
    except OptionError:
        return OTHER_VERSION
    except UsageError as error:
        return f"No command can repeat this run: {error}."
    values = (report.spec.get(name) for name in path_options())
    texts = (text for value in values for text in (value if isinstance(value, list) else [value]))
    return PATHS_CUT if any(text and not str(text).startswith(_NO_PATHS) for text in texts) else ""


def next_step(report: Report, run: str = "RUN") -> Text:
    """Returns the next step, with its command.

    Args:
        report: The report.
        run: Its run directory, as a word of a shell; files that are passed on hold none.
    """
    accuracy = on_your_pictures(report)
    if report.partial or report.model.weights.kind == "untrained":
        return ()
    id_name = report.data[0].name if report.data else None
    fitted = report.figure_or_absent("linear", id_name)
    if isinstance(accuracy, NotRun):  # the card says what would give one
        if not is_known(fitted):
            return ()
        return (f"a head fitted to these labels has {fitted.with_interval()} right: ",
                Code(code="--head probe"))  # fmt: skip
    better = report.figure_or_absent("linear.difference", id_name)
    if is_known(better) and (better.low or 0.0) > 0:
        return (f"a head fitted to these labels would be {better.with_interval()} better: ",
                Code(code="--head probe"))  # fmt: skip
    if accuracy.evidence in ("labels", "measured"):
        return ("compare it with another model on the same pictures: ",
                Code(code=f"tuiprobe compare {run} OTHER"))  # fmt: skip
    return ("labels show how often it is right: ", Code(code=f"tuiprobe label {run}"),
            ", and which it may answer alone: ", Code(code=f"tuiprobe label {run} --unattended 5%")
            )  # fmt: skip


def software(report: Report) -> Iterator[tuple[str, Text]]:
    """Yields versions, machine and keys, as names and values."""
    made = report.fingerprint
    yield "tuiprobe", (Code(code=report.tuiprobe),)
    yield "torch", (Code(code=made.torch),)
    yield "device", (Code(code=made.device), ", ", Code(code=made.isa), f", {made.threads} threads")
    yield "run key", (Code(code=report.key),)
    if report.probe_key:
        yield "key of the answers", (Code(code=report.probe_key),)
    if made.flags:
        flags = ", ".join(f"{name}={value}" for name, value in sorted(made.flags.items()))
        yield "flags", (Code(code=flags),)


def speed(report: Report) -> Iterator[tuple[str, Text]]:
    """Yields the speed and duration of a run, as names and values; nothing if unknown."""
    timings = report.timings
    if timings.images_per_second is not None:
        yield "speed", (timings.images_per_second, " images/s")
    if timings.seconds:
        spent = ", ".join(f"{name} {value:.1f}" for name, value in timings.seconds.items())
        yield "seconds", (spent,)


def verified(report: Report) -> Section | None:
    """Returns the section on the checks of encoder and labels before the first image."""
    part = report.part_of(PROBE)
    return None if part is None else part.section
