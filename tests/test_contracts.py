"""What is imported when: the contracts, looked at from outside in `sys.modules`."""

import json
import subprocess
import sys

import pytest

HEAVY = {"torch", "textual", "open_clip", "timm", "scipy", "pydantic", "numpy", "PIL"}


def imported(code: str) -> set[str]:
    """Returns the top-level packages a fresh interpreter holds after running `code`."""
    show = "import json, sys; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{show}"], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        (
            "import tuiprobe, tuiprobe.show.cli, tuiprobe.errors, tuiprobe.show.tui.start,"
            "tuiprobe.catalog.effective_robustness, tuiprobe.catalog.published_models,"
            "tuiprobe.catalog.published_models",
            set(),
        ),
        (
            "import tuiprobe.spec, tuiprobe.results, tuiprobe.measure.run.directory,"
            "tuiprobe.show.report,"
            "tuiprobe.choose.comparing.decision_section, tuiprobe.choose.comparing.forest",
            {"numpy", "pydantic"},
        ),
        (
            "import tuiprobe.miniature as m, tuiprobe.datasets.imagefolder;"
            "m.render('val', 0); m.suite(); m.data.SOURCE.concepts(''); m.world.caption('web', 0)",
            {"numpy", "PIL"},
        ),
        (
            "import tuiprobe.show.tui.app, tuiprobe.show.tui.screens.models,"
            "tuiprobe.show.tui.screens.setup,"
            "tuiprobe.show.tui.screens.dialogs, tuiprobe.show.tui.screens.dialogs",
            {"textual"},
        ),
        ("import tuiprobe.show.tui.screens.live", {"textual", "pydantic"}),  # it draws accuracies
    ],
)
def test_light_rooms_stay_light(code: str, allowed: set[str]) -> None:
    assert imported(code) & HEAVY <= allowed


def test_the_embedded_model_loads_without_libraries_of_models() -> None:
    """Each of them takes longer to import than the rest of a small run."""
    code = (
        "import tuiprobe.show.cli.headless, tuiprobe.probes.report, tuiprobe.show.report, sys\n"
        "from tuiprobe.models import load_encoder\n"
        "load_encoder('mini_clip').head(['cat', 'dog'])\n"
        "assert 'scipy.stats' not in sys.modules\n"
        "assert 'torch._dynamo' not in sys.modules"
    )
    assert not imported(code) & {"open_clip", "timm", "torchvision", "transformers"}


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_version_and_help_import_nothing_heavy(argument: str) -> None:
    code = (
        f"import sys; sys.argv = ['tuiprobe', {argument!r}]\n"
        "from tuiprobe.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass"
    )
    assert not imported(code) & HEAVY
