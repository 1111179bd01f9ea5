"""Paths of the user's own files; files that can be rebuilt go into the cache folders instead."""

from __future__ import annotations

from pathlib import Path


def settings_file() -> Path:
    """Returns the path of what the screens remember: `$XDG_CONFIG_HOME/tuiprobe/screens.json`."""
    import platformdirs

    return Path(platformdirs.user_config_dir("tuiprobe")) / "screens.json"
