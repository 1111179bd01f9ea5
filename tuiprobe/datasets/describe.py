"""Describes a data source as JSON: `python -m tuiprobe.datasets.describe SOURCE`."""

from __future__ import annotations

import json
import sys
from typing import Any

from tuiprobe.datasets.base import Suite
from tuiprobe.datasets.load import load_suite
from tuiprobe.errors import TuiprobeError


def describe(suite: Suite) -> dict[str, Any]:
    """Returns name and sets of a suite as plain data; no image is opened."""
    return {
        "name": suite.name,
        "sets": [
            {
                "name": name,
                "source": dataset.source,
                "images": len(dataset.samples),
                "classes": len(dataset.classes),
                "notes": list(dataset.notes),
            }
            for name, dataset in suite.sets.items()
        ],
    }


def main(arguments: list[str]) -> int:
    """Prints the description of the source in the first argument; returns the exit code."""
    try:
        print(json.dumps(describe(load_suite(arguments[0]))))
    except TuiprobeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
