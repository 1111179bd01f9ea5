"""A Slurm array script for a grid: one task a model."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

_HEAD = """\
#!/bin/bash
# One task for each of the {count} models of a grid. Submit it: sbatch FILE
# Set the partition, the GPU and the time for your cluster; delete the first # of a line to use it.
##SBATCH --partition=gpu
##SBATCH --gres=gpu:1
##SBATCH --time=12:00:00
#SBATCH --job-name=tuiprobe-grid
#SBATCH --array=0-{last}
#SBATCH --output=tuiprobe-grid-%A-%a.log
#SBATCH --open-mode=append
# A task that is preempted is queued again and resumes. The signal comes 60 seconds before the time
# is up: what is measured is kept, and submitting the script again resumes what is not finished.
#SBATCH --requeue
#SBATCH --signal=B:TERM@60
"""


def array_script(
    models: Sequence[str],
    arguments: Sequence[str],
    *,
    folder: Path,
    program: Sequence[str] = (sys.executable, "-m", "tuiprobe"),
) -> str:
    """Returns a script that runs one model of a grid as each task of a Slurm array.

    Args:
        models: Models of the grid, in order.
        arguments: Arguments of `tuiprobe grid`: the file and the options of every task.
        folder: Working folder of the tasks.
        program: Command that starts tuiprobe.
    """
    command = shlex.join([*program, "grid", *arguments])
    names = "".join(f"  {shlex.quote(name)}\n" for name in models)
    return (
        f"{_HEAD.format(count=len(models), last=len(models) - 1)}"
        f"set -euo pipefail\n"
        f"models=(\n{names})\n"
        f"cd -- {shlex.quote(str(folder))}\n"
        f"# The shell becomes the program, so that the signal reaches it.\n"
        f'exec {command} --only "${{models[SLURM_ARRAY_TASK_ID]}}"\n'
    )
