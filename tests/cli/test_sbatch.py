"""The Slurm script of a grid: whatever models and folders are called, each task gets its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tuiprobe.cli.sbatch import array_script

NAMES = ("plain", "timm:it's $(touch hurt); `x`", 'two "words" \\', "-n", "line\nbreak", "#SBATCH")


def test_every_task_gets_its_model_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "a b'$c"
    folder.mkdir()
    script = array_script(NAMES, ["my grid.toml"], folder=folder, program=["printf", "%s|"])
    for number, name in enumerate(NAMES):
        task = {"SLURM_ARRAY_TASK_ID": str(number), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            ["bash"], input=script, text=True, capture_output=True, env=task, check=True
        )
        assert done.stdout == f"grid|my grid.toml|--only|{name}|"
    assert list(folder.iterdir()) == []
    assert [one for one in script.splitlines() if one.startswith("#SBATCH --")] == [
        "#SBATCH --job-name=tuiprobe-grid", "#SBATCH --array=0-5",
        "#SBATCH --output=tuiprobe-grid-%A-%a.log", "#SBATCH --open-mode=append",
        "#SBATCH --requeue", "#SBATCH --signal=B:TERM@60",
    ]  # fmt: skip
