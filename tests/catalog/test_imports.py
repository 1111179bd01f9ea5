"""The catalog is for screens that must paint at once: standard library only."""

import subprocess
import sys

CODE = """
import sys
import tuiprobe.catalog.baselines, tuiprobe.catalog.presets, tuiprobe.catalog.names
foreign = {"torch", "numpy", "pydantic", "open_clip", "timm", "scipy", "rich", "textual", "typer"}
print(sorted(foreign & {name.partition(".")[0] for name in sys.modules}))
"""


def test_standard_library_only() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
