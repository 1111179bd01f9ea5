"""The coverage-guided fuzzer begins from files that its readers take."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS
from tuiprobe.errors import TuiprobeError

OF_FILES = ("checkpoints", "pickles", "tars", "images", "tables", "lists", "vectors", "caches")


@pytest.mark.slow
@pytest.mark.parametrize("target", OF_FILES)
def test_readers_take_the_files_that_the_fuzzer_begins_from(target: str, tmp_path: Path) -> None:
    item = TARGETS[target](tmp_path)
    for content in item.seeds:
        item.ask(content)
        with suppress(TuiprobeError):
            item.ask(content[: len(content) // 2])
