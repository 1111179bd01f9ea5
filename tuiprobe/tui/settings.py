"""What the screens remember from one start to the next: the theme."""

from __future__ import annotations

from pathlib import Path

from tuiprobe.errors import TuiprobeError
from tuiprobe.files import Entry, parse_json, read_regular

_MOST_BYTES = 4096


def _file() -> Path:
    """Returns the path of the settings: `$XDG_CONFIG_HOME/tuiprobe/screens.json`."""
    import platformdirs

    return Path(platformdirs.user_config_dir("tuiprobe")) / "screens.json"


def read_theme() -> str | None:
    """Returns the name of the theme that was chosen last; None if none is known.

    The file may hold anything: what is no theme's name counts as nothing.
    """
    try:
        kept = parse_json(read_regular(_file(), _MOST_BYTES))
    except (OSError, ValueError, TuiprobeError):
        return None
    theme = kept.get("theme") if isinstance(kept, dict) else None
    return theme if isinstance(theme, str) else None


def write_theme(name: str) -> None:
    """Keeps the name of a theme.

    Raises:
        RunError: If the file cannot be written.
    """
    file = _file()
    Entry(file.parent, file.name).write_json({"theme": name})
