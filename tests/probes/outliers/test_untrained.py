"""The same architecture with random weights stands beside the outcome."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.measure.fake_run import FakeSet, write_run
from tests.parts import part
from tests.report.samples import model, outlier_result
from tuiprobe.answer import answer
from tuiprobe.catalog.untrained import untrained
from tuiprobe.probes.outliers.probe import OutlierFeatures
from tuiprobe.probes.outliers.result import OutlierResult
from tuiprobe.probes.protocol import Subject
from tuiprobe.results import Estimate
from tuiprobe.results.section import Code, Prose, Strong, Table


def test_an_answer_has_the_shipped_figures_of_its_architecture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = untrained("ViT-B-16", "projected")
    assert reference is not None
    h = np.random.default_rng(0).standard_normal((12, 6))
    run = write_run(tmp_path / "run", {"val": FakeSet(h, None)}, None)
    assert part(answer(run), OutlierResult).untrained is None
    monkeypatch.setattr("tuiprobe.probes.outliers.probe.untrained", lambda *about: reference)
    result = part(answer(run), OutlierResult).untrained
    assert result is not None
    assert (result.architecture, result.n, result.width) == ("ViT-B-16", 64, 512)
    assert isinstance(result.kurtosis, Estimate)
    figures = (result.kurtosis.value, result.kurtosis.low, result.kurtosis.high)
    assert figures == reference.kurtosis
    assert result.persistence.value == reference.persistence
    assert result.persistence.low is None


def test_a_section_shows_them_or_says_that_there_are_none() -> None:
    subject = Subject(model(architecture="nobody's"), ())
    section = OutlierFeatures().describe(outlier_result(), subject)
    (table,) = [one for one in section.content if isinstance(one, Table) and one.id == "untrained"]
    assert table.rows[0][:2] == (Code(code="RN50-quickgelu"), Strong(strong="untrained"))
    section = OutlierFeatures().describe(outlier_result(untrained=None), subject)
    texts = [text for one in section.content if isinstance(one, Prose) for text in one.text]
    assert "No untrained reference is available for " in texts
    assert Code(code="nobody's") in texts
