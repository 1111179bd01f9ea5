"""The name of a probe of another package must serve as its id in a report."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from pydantic import ValidationError

from tuiprobe.options import PROBE_GROUP
from tuiprobe.probes import BUILT_IN, registry
from tuiprobe.results import Part


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    registry.cache_clear()
    yield
    registry.cache_clear()


@pytest.mark.parametrize("name", ["my-probe", "Edges", "a.b", "x" * 65, "é"])
def test_a_name_that_is_no_id_leaves_its_probe_out(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "stranger_by_name.py").write_text(
        "from tuiprobe.probes.protocol import Probe\n"
        f"class Mine(Probe):\n    id, title = {name!r}, 'Mine'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "stranger_by_name", raising=False)
    point = EntryPoint(name, "stranger_by_name:Mine", PROBE_GROUP)
    monkeypatch.setattr("tuiprobe.plugins.entry_points", lambda group: [point])
    found = registry()
    assert [one.id for one in found.probes] == list(BUILT_IN)
    [fault] = found.faults
    assert "lower-case letters, digits and underscores" in fault
    assert repr(name) in fault
    with pytest.raises(ValidationError):  # why: its part would not fit a report
        Part(probe=name, title="Mine")
