"""Gates as a JUnit file, which CI systems show: a test case for each gate and run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import indent, tostring

from tuiprobe.report.elements import element, inside


@dataclass(frozen=True)
class Case:
    """A gate on one run.

    Attributes:
        run: The run that was compared.
        gate: The condition, as the user wrote it.
        failures: Why the gate tripped; empty if it did not.
        error: Why it could not be answered; empty if it could.
    """

    run: str
    gate: str
    failures: tuple[str, ...] = ()
    error: str = ""


def junit(first: str, cases: Sequence[Case]) -> str:
    """Returns the XML of all gates.

    Args:
        first: The run that the others are compared with.
        cases: Every gate on every other run.
    """
    failed = sum(bool(one.failures) for one in cases)
    errors = sum(bool(one.error) for one in cases)
    root = element("testsuites", tests=len(cases), failures=failed, errors=errors)
    suite = inside(root, "testsuite", name=f"tuiprobe compare {first}", tests=len(cases),
                   failures=failed, errors=errors)  # fmt: skip
    for one in cases:
        case = inside(suite, "testcase", name=one.gate, classname=one.run)
        if one.failures:
            inside(case, "failure", "; ".join(one.failures), message=one.failures[0])
        if one.error:
            inside(case, "error", one.error, message=one.error)
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"
