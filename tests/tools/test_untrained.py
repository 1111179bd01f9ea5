"""The shipped figures of random weights are those that the tool measures."""

from __future__ import annotations

import pytest

from tools.untrained import architectures, build, measure
from tuiprobe.catalog.presets import presets
from tuiprobe.catalog.untrained import references, untrained


def test_every_preset_has_a_reference() -> None:
    rows = {row.architecture: row for row in references()}
    assert {architecture for _, architecture in architectures()} == set(rows)
    for preset in presets().values():
        row = rows[preset.architecture]
        assert row.width == preset.width
        assert untrained(preset.architecture, row.representation) == row
    for row in rows.values():
        low, value, high = row.kurtosis[1], row.kurtosis[0], row.kurtosis[2]
        assert 1 < low < value < high < row.width


def test_measured_again_the_figures_are_the_same() -> None:
    row = untrained("mini_clip", "projected")
    again = measure(build("miniature", "mini_clip"), "mini_clip")
    assert row is not None
    assert (again.digest, again.n, again.width) == (row.digest, row.n, row.width)
    assert again.kurtosis == pytest.approx(row.kurtosis, rel=1e-5)
    assert again.persistence == pytest.approx(row.persistence, rel=1e-5)
