"""A file picker: a tree of folders, whose names are shown inert."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import DirectoryTree, Input

from tuiprobe.plaintext import plain
from tuiprobe.tui.widgets.keyline import KeyLine


class Folders(DirectoryTree):
    """A directory tree without hidden entries."""

    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "screen.take", "take", tooltip="Take the folder or file under the cursor"),
    ]
    ICON_NODE = "▸ "
    ICON_NODE_EXPANDED = "▾ "
    ICON_FILE = "  "

    def process_label(self, label: object) -> Text:
        """Returns a name as inert text."""
        return Text(plain(str(label)))

    def filter_paths(self, paths: Iterable[Path]) -> Iterable[Path]:
        """Leaves hidden files and folders out."""
        return [path for path in paths if not path.name.startswith(".")]


class PickerScreen(ModalScreen[Path | None]):
    """Pick a folder of images or a file: Enter opens a folder, space takes what is marked.

    Args:
        start: Folder to begin at.
    """

    ALLOW_SELECT = False
    AUTO_FOCUS = "Folders"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("backspace", "parent", "parent folder", tooltip="Go to the folder above"),
        Binding("escape", "dismiss(None)", "cancel", tooltip="Close without a choice"),
        Binding("question_mark,f1", "app.help", "help", tooltip="Terms, and keys of this dialog"),
    ]
    DEFAULT_CSS = """
    PickerScreen { align: center middle; }
    PickerScreen #picker {
        width: 84; max-width: 96%; height: 80%; background: $surface; border: round $primary;
    }
    """

    def __init__(self, start: Path) -> None:
        super().__init__()
        self._start = start

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of what may be picked."""
        return ("set",)

    def compose(self) -> ComposeResult:
        """Lays out the path and the tree."""
        with Vertical(id="picker") as box:
            yield Input(
                str(self._start), placeholder="a path; Enter goes there", id="path", compact=True
            )
            yield Folders(self._start)
            yield KeyLine()
        box.border_title = "pick images: a folder, a .tar or a suite's .toml"

    @on(Input.Submitted, "#path")
    def _go(self, event: Input.Submitted) -> None:
        path = Path(event.value).expanduser()
        if path.is_dir():
            self._show(path)
        elif path.is_file():
            self.dismiss(path.absolute())
        else:
            self.notify("no such file or folder", severity="warning", markup=False)

    @on(DirectoryTree.FileSelected)
    def _file(self, event: DirectoryTree.FileSelected) -> None:
        self.dismiss(event.path.absolute())

    def action_take(self) -> None:
        """Chooses the folder or file under the cursor."""
        node = self.query_one(Folders).cursor_node
        if node is not None and node.data is not None:
            self.dismiss(node.data.path.absolute())

    def action_parent(self) -> None:
        """Goes to the folder above."""
        self._show(Path(self.query_one(Folders).path).absolute().parent)

    def _show(self, path: Path) -> None:
        tree = self.query_one(Folders)
        tree.path = path
        self.query_one("#path", Input).value = str(path)
        tree.focus()
