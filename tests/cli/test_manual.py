"""The manual page holds every option and command, and is troff that groff takes without a word."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tuiprobe.cli.app import all_options, run_cli
from tuiprobe.cli.manual import page
from tuiprobe.cli.reference import described


def test_every_option_and_command_is_on_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["manual"]) == 0
    shown = capsys.readouterr().out
    assert shown == page()
    for one in all_options():
        assert f'.TP\n.B "{one.flag}'.replace("-", "\\-") in shown
    for command in described():
        assert f'.SS "{command.usage.partition(" [")[0].partition("…")[0]}' in shown
    assert ".SH EXIT STATUS\nExit codes are part of the interface" in shown


def test_the_page_is_plain_troff() -> None:
    shown = page()
    assert shown.isascii()
    macros = {line.split()[0] for line in shown.splitlines() if line.startswith((".", "'"))}
    assert macros == {".TH", ".SH", ".SS", ".TP", ".PP", ".B", ".I", ".RI", ".br"}
    escapes = set(re.findall(r"\\(?:\(..|\[u[0-9A-F]{4}\]|.)", shown))
    assert {one for one in escapes if not one.startswith("\\[u")} <= {
        "\\-", "\\e", "\\&", "\\(dq", "\\(ga", "\\(ha", "\\(ti"
    }  # fmt: skip


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_groff_formats_the_page() -> None:
    done = subprocess.run(
        ["groff", "-ww", "-man", "-Kutf8", "-Tutf8"], input=page(), capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    text = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    assert "--ablate-mode mean|zero|shuffle" in text
    assert "tuiprobe fetch MODEL…" in text
