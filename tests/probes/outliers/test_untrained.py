"""The same architecture with random weights stands beside the outcome."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.engine.fake_run import FakeSet, write_run
from tests.parts import part
from tests.report.samples import model, outlier_result
from tuiprobe.catalog.untrained import untrained
from tuiprobe.probes.outliers.describe import OutlierFeatures
from tuiprobe.probes.outliers.result import OutlierResult
from tuiprobe.probes.protocol import Subject
from tuiprobe.probes.report import make_report
from tuiprobe.results import Estimate
from tuiprobe.results.section import Code, Prose, Strong

UNTRAINED = Strong(strong="untrained")


def test_an_answer_has_the_shipped_figures_of_its_architecture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = untrained("ViT-B-16", "projected")
    assert reference is not None
    h = np.random.default_rng(0).standard_normal((12, 6))
    run = write_run(tmp_path / "run", {"val": FakeSet(h, None)}, None)
    assert part(make_report(run), OutlierResult).untrained is None
    monkeypatch.setattr("tuiprobe.probes.outliers.describe.untrained", lambda *about: reference)
    result = part(make_report(run), OutlierResult).untrained
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
    prose = [block.text for block in section.content if isinstance(block, Prose)]
    assert any(Code(code="RN50-quickgelu") in text and UNTRAINED in text for text in prose)
    section = OutlierFeatures().describe(outlier_result(untrained=None), subject)
    prose = [block.text for block in section.content if isinstance(block, Prose)]
    missing = "No untrained reference is available for "
    assert any(text[:2] == (missing, Code(code="nobody's")) for text in prose)
