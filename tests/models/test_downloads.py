"""Downloads are narrated by the bytes that arrive, whichever client fetches them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tuiprobe.catalog.model_list import hub_cache, url_folder
from tuiprobe.models.loaders.published_weights import printing_downloads


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_CACHE", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))


def said_until(capsys: pytest.CaptureFixture[str], part: str) -> str:
    """Waits until the narration holds a part, and returns it."""
    lines, deadline = "", time.monotonic() + 120
    while part not in lines:
        assert time.monotonic() < deadline, lines
        time.sleep(0.01)
        lines += capsys.readouterr().err
    return lines


@pytest.mark.parametrize("place", ["hub", "clip", "torch"])
def test_bytes_are_told_as_they_come(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = {
        "hub": hub_cache() / "models--timm--x" / "blobs",
        "clip": url_folder("open_clip"),
        "torch": url_folder("torchvision"),
    }[place]
    folder.mkdir(parents=True)
    (folder / "before").write_bytes(b"\0" * 9_000_000)  # another model's, which does not count
    with printing_downloads("vitb16", seconds=0.01):
        time.sleep(0.05)
        assert capsys.readouterr().err == ""  # nothing has come yet
        file = folder / "abc.incomplete"
        file.write_bytes(b"\0" * 1_500_000)
        assert said_until(capsys, "1.5 MB").splitlines()[-1] == "vitb16: 1.5 MB downloaded"
        with file.open("ab") as more:
            more.write(b"\0" * 2_000_000)
        said_until(capsys, "vitb16: 3.5 MB downloaded\n")
        file.rename(folder / "abc")  # published: the same bytes under their name
        time.sleep(0.1)
        assert "MB" not in capsys.readouterr().err
    (folder / "later").write_bytes(b"\0" * 1_000_000)
    time.sleep(0.05)
    assert capsys.readouterr().err == ""


def test_the_command_narrates_on_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tuiprobe.cli.app import run_cli
    from tuiprobe.models import fetch
    from tuiprobe.models.loaders import published_weights

    fetched: list[str] = []

    def slow(name: str) -> tuple[()]:
        folder = url_folder("open_clip")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file-{len(fetched)}").write_bytes(b"\0" * 2_000_000)
        said_until(capsys, "2.0 MB") if progress else None
        fetched.append(name)
        return ()

    monkeypatch.setattr(published_weights, "SECONDS", 0.01)
    monkeypatch.setattr(fetch, "fetch", slow)
    for progress in (True, False):
        assert run_cli(["fetch", "vitb16_openai", *["--progress"] * progress]) == 0
    assert fetched == ["vitb16_openai"] * 2
    assert "MB" not in capsys.readouterr().err
