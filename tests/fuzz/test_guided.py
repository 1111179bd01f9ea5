"""The coverage-guided fuzzer begins from files that its readers take."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from tests.fuzz.decisions import Decisions
from tests.fuzz.guided import where
from tests.fuzz.targets import TARGETS
from tuiprobe.errors import TuiprobeError
from tuiprobe.files import parse_json

OF_FILES = ("checkpoints", "pickles", "tars", "images", "tables", "vectors", "caches")


@pytest.mark.slow
@pytest.mark.parametrize("target", OF_FILES)
def test_readers_take_the_files_that_the_fuzzer_begins_from(target: str, tmp_path: Path) -> None:
    one = TARGETS[target](tmp_path)
    for content in one.seeds:
        one.ask(content)
        with suppress(TuiprobeError):
            one.ask(content[: len(content) // 2])


def test_decisions_end_where_their_bytes_do() -> None:
    draw = Decisions(b"\x03\xc8")
    assert draw.randrange(10) == 3
    assert [draw.choice("abc") for _ in range(5)] == ["a"] * 5
    assert draw.random() == 0.0
    assert len(draw.sample(range(9), 3)) == 3


def test_a_find_is_known_by_its_place_in_the_package() -> None:
    with pytest.raises(ValueError, match="no number") as error:
        parse_json("NaN")
    assert where(error.value).startswith("tuiprobe/files.py:")
