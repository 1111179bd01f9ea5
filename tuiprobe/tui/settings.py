"""What the screens keep for the next start: theme and chosen keys.

The file may hold anything: what is no setting counts as nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from tuiprobe.errors import TuiprobeError
from tuiprobe.files import Entry, parse_json, read_regular


@dataclass
class Settings:
    """The settings, as in the file.

    Attributes:
        theme: Name of a theme.
        keymap: Keys by the id of what they do, such as `runs.compare`; several with commas.
    """

    theme: str = ""
    keymap: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls) -> Settings:
        """Reads the settings; those that are not valid have their defaults."""
        try:
            values = parse_json(read_regular(_file()))
        except (OSError, ValueError, TuiprobeError):
            return cls()
        if not isinstance(values, dict):
            return cls()
        theme, keymap = values.get("theme"), values.get("keymap")
        keymap = keymap if isinstance(keymap, dict) else {}
        return cls(
            theme if isinstance(theme, str) else "",
            {id: key for id, key in keymap.items() if isinstance(key, str) and key},
        )

    def write(self) -> None:
        """Writes the settings.

        Raises:
            RunError: If the file cannot be written.
        """
        file = _file()
        values = {name: value for name, value in asdict(self).items() if value}
        Entry(file.parent, file.name).write_json(values)


def _file() -> Path:
    """Returns the path of the settings: `$XDG_CONFIG_HOME/tuiprobe/screens.json`."""
    import platformdirs

    return Path(platformdirs.user_config_dir("tuiprobe")) / "screens.json"
