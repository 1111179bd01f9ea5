"""A real network on real photographs: the page does what it says, with its answers."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, arguments, blocks, lines, words

PAGE = ROOT / "docs" / "howto" / "photographs.md"


@pytest.mark.nightly
def test_a_real_network_answers_real_photographs_as_the_page_says(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite_pytorch", reason="installed by .ci/nightly")
    (code,) = (block.text for block in blocks(PAGE) if block.language == "python")
    (tmp_path / "photographs.py").write_text(code, "utf-8")
    _, commands = (block for block in blocks(PAGE) if block.language == "sh")
    for line in lines(commands.text):
        given = arguments(words(line))
        command = words(line)[1:] if given is None else ["-m", "tuiprobe", *given]
        subprocess.run([sys.executable, *command], cwd=tmp_path, check=True)
    with (tmp_path / "answers" / "predictions.csv").open(encoding="utf-8") as file:
        answers = {row["path"].removesuffix(".png"): row for row in csv.DictReader(file)}
    rows = re.findall(r"^\| (\w+)[^|]* \| ([^|]+) \| (\d+) % \|", PAGE.read_text(), re.MULTILINE)
    assert len(answers) == 12
    assert len(rows) == 7
    for name, answer, confidence in rows:
        assert answers[name]["class"] == answer
        assert float(answers[name]["confidence"]) == pytest.approx(int(confidence) / 100, abs=0.02)
