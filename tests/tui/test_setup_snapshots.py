"""Models and setup as pictures: sizes and themes.

`pytest tests/tui/test_setup_snapshots.py --snapshot-update` renews them after a wanted change.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static

from tests.tui.asked import answered, one_set
from tests.tui.conftest import until
from tuiprobe.tui.app import TuiprobeApp
from tuiprobe.tui.screens.models import ModelsScreen
from tuiprobe.tui.screens.setup import SetupScreen

pytestmark = [
    pytest.mark.skipif(
        sys.version_info[:2] != (3, 11), reason="pictures are compared on one version of Python"
    ),
    pytest.mark.slow,
]

MODELS = {
    "models": ((110, 36), ()),
    "models_small": ((80, 24), ("space",)),
    "models_light": ((110, 36), ("ctrl+t", "down")),
    "models_smallest": ((60, 20), ("end",)),
    "models_too_small": ((50, 12), ()),
}
SETUP = {
    "setup": (110, 36),
    "setup_small": (80, 24),
    "setup_light": (80, 24),
    "setup_smallest": (60, 20),
    "setup_wrong": (80, 24),
    "setup_vectors": (110, 36),
}


@pytest.mark.parametrize("name", MODELS)
def test_models(
    name: str, snap_compare: Callable[..., bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    size, keys = MODELS[name]
    monkeypatch.setattr(ModelsScreen, "_load", lambda self: None)  # the presets alone
    versions = {"open_clip": "3.3.0", "timm": "1.0.31"}
    monkeypatch.setattr("tuiprobe.catalog.names.generated_with", lambda file: versions)
    monkeypatch.setattr("tuiprobe.catalog.names.listed_on", lambda file: "2026-11-24")
    app = TuiprobeApp()

    async def act(pilot: Pilot[None]) -> None:
        await pilot.press(*keys)
        await pilot.pause()

    assert snap_compare(app, terminal_size=size, run_before=act)


@pytest.mark.parametrize("name", SETUP)
def test_setup(
    name: str, snap_compare: Callable[..., bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answered(monkeypatch)
    monkeypatch.setattr(ModelsScreen, "_load", lambda self: None)
    app = TuiprobeApp()
    fields = {}
    if name == "setup_small":
        asked.finds(done=775)
    elif name == "setup_wrong":
        gone = "imagefolder:photos: there is no such folder; name one of images"
        asked.finds(problems={"data": gone}, sets=[], images={})
        fields = {"data": "imagefolder:photos", "sample": "many"}
    elif name == "setup_vectors":
        rows = [one_set("img_emb", 1_000_000, "unlabelled", width=512)]
        asked.finds(sets=rows, images={"embeddings": 1_000_000})
        fields = {"embeddings": "img_emb/*.npy"}

    async def act(pilot: Pilot[None]) -> None:
        if name == "setup_light":
            await pilot.press("ctrl+t")
        app.push_screen(SetupScreen(["mini_clip"]))
        await until(pilot, lambda: app.screen.query("#understood"))
        for one in app.screen.query(Input):
            one.cursor_blink = False
        words = app.screen.query_one("#understood", Static)
        await until(pilot, lambda: "PROBES" in str(words.content) and not app.screen._trial_note)
        for field, text in fields.items():
            app.screen.query_one(f"#{field}", Input).value = text
        await pilot.pause()
        await until(pilot, lambda: app.screen._found is not None)

    assert snap_compare(app, terminal_size=SETUP[name], run_before=act)
