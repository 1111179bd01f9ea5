"""The keys of the screens: one list for the line of keys, the help, the palette and the settings.

They stand here so that the palette finds the keys of screens that are not loaded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from textual.binding import Binding, BindingType

MAX_TABS = 8
"""Parts of results that a number key goes to."""

NUMBER_KEYS = 9
"""Answers of candidates that a number key gives."""


def with_ids(place: str, bindings: Iterable[BindingType]) -> list[BindingType]:
    """Returns bindings whose keys the settings can change, by the place and what the footer says.

    >>> [binding.id for binding in with_ids("runs", [Binding("c", "compare", "compare runs")])]
    ['runs.compare-runs']
    """
    identified: list[BindingType] = []
    seen = set()
    for binding in bindings:
        assert isinstance(binding, Binding)
        word = binding.description.replace(" ", "-")
        first = word and word not in seen  # of 1 to 8 only the first is a key of its own
        seen.add(word)
        identified.append(replace(binding, id=f"{place}.{word}") if first else binding)
    return identified


_KEYS: dict[str, list[BindingType]] = {
    "models": [
        Binding("space", "mark", "mark", tooltip="Mark this model; several run side by side"),
        Binding(
            "slash", "filter", "filter", key_display="/", tooltip="Filter the list as you type"
        ),
        Binding("down", "list", "list", show=False, tooltip="From the filter to the list"),
        Binding("escape", "clear", "clear", show=False, tooltip="Clear the filter"),
        Binding("y", "copy", "copy", show=False, tooltip="Copy the command that probes this model"),
    ],
    "runs": [
        Binding("r", "resume", "resume", tooltip="Resume a stopped run, or try a failed one again"),
        Binding("space", "mark", "mark", tooltip="Mark this run, to compare or to delete"),
        Binding("c", "compare", "compare", tooltip="Marked runs side by side"),
        Binding(
            "slash", "filter", "filter", key_display="/", tooltip="Filter the list as you type"
        ),
        Binding("x", "delete", "delete", tooltip="Delete the marked runs, or this one"),
        Binding("e", "export", "export", tooltip="Write reports of this run"),
        Binding("y", "copy", "copy", show=False, tooltip="Copy the path of this run"),
        Binding("escape", "clear", "back", show=False, tooltip="Clear the filter, or go back"),
    ],
    "setup": [
        Binding("r", "run", "start", show=False, tooltip="Start the run, or go on with it"),
        Binding("ctrl+l,t", "trial", "load", tooltip="Load the model now, downloading its weights"),
        Binding("ctrl+y,c,y", "copy", "copy command", tooltip="Copy this command line"),
        Binding("pagedown", "meaning(1)", "more", show=False, tooltip="What this means: further"),
        Binding("pageup", "meaning(-1)", "back", show=False, tooltip="What this means: back"),
        # At once, so that what is typed ahead goes to the next field.
        Binding("tab", "app.focus_next", show=False, priority=True),
        Binding("shift+tab", "app.focus_previous", show=False, priority=True),
        Binding("down", "field(1)", "next field", show=False, priority=True, tooltip="Next field"),
        Binding(
            "up", "field(-1)", "field before", show=False, priority=True, tooltip="Field before"
        ),
    ],
    "live": [
        Binding("x", "cancel", "stop", tooltip="Stop the run; what it has is kept and reported"),
        Binding("d", "detach", "detach", tooltip="Leave this screen; the run goes on"),
        Binding("enter", "results", "results", tooltip="The results, once they are there"),
        Binding("r", "resume", "resume", tooltip="Resume a stopped run, or try a failed one again"),
        Binding("l", "log", "log", tooltip="Show or hide the log"),
        Binding("left", "layer(-1)", "layer", key_display="←→", tooltip="Layer before"),
        Binding("right", "layer(1)", "layer", show=False, tooltip="Next layer"),
        Binding("t", "set", "next set", tooltip="Look at the next set of images"),
        Binding("n", "next_model", "next run", tooltip="Next model of the group"),
        Binding("X", "kill", "kill", show=False, tooltip="Kill the engine at once"),
        Binding("escape", "leave", "back", show=False, tooltip="Close the log, or leave"),
        Binding("c", "copy_command", "command", show=False, tooltip="Copy the command of this run"),
    ],
    "results": [
        Binding("tab", "next_tab(1)", "next", priority=True, tooltip="Next part"),
        Binding(
            "shift+tab",
            "next_tab(-1)",
            "previous part",
            show=False,
            priority=True,
            tooltip="Previous part",
        ),
        Binding("1", "part(0)", "part", show=False, key_display="1-8", tooltip="Part by number"),
        *(Binding(str(i + 1), f"part({i})", "part", show=False) for i in range(1, MAX_TABS)),
        Binding("m", "maximise", "maximise", tooltip="One half alone, then the other"),
        Binding("p", "pictures", "pictures", tooltip="Pictures: wrong, least sure, each class"),
        Binding("b", "label", "label", tooltip="Label a few of your pictures: how many are right"),
        Binding(
            "B",
            "label(0.05)",
            "unattended",
            show=False,
            tooltip="Label: which pictures it may answer alone, with 5 % errors at most",
        ),
        Binding("r", "resume", "resume", tooltip="Measure the images that are missing"),
        Binding("e", "export", "export", tooltip="Write reports in formats of your choice"),
        Binding("c", "command", "command", show=False, tooltip="Copy the command of this run"),
        Binding("escape", "leave", "back", tooltip="Back to where you came from"),
    ],
    "section": [
        Binding("slash", "filter", "filter", key_display="/", tooltip="Filter as you type"),
    ],
    "compare": [
        Binding("f", "everything", "figures", tooltip="All figures, or the decision"),
        Binding("b", "label", "label", tooltip="Label a few pictures: which model is best there"),
        Binding("o", "results", "results", tooltip="All results of one of the models"),
        Binding("slash", "filter", "filter", key_display="/", tooltip="Filter all figures"),
        Binding("y", "copy", "copy", tooltip="Copy the row"),
        Binding("c", "command", "command", show=False, tooltip="Copy the command that prints this"),
        Binding("escape", "clear", "back", tooltip="Clear the filter, or go back"),
    ],
    "pictures": [
        Binding("slash", "filter", "filter", key_display="/", tooltip="Filter sets and classes"),
        Binding("b", "label", "label", tooltip="Label a few of your pictures"),
        Binding("escape", "clear", "back", tooltip="Back to the rows, or to where you came from"),
    ],
    "label": [
        Binding("1", "choose(0)", "answer", key_display="1-9", tooltip="The answer of that number"),
        *(Binding(str(i + 1), f"choose({i})", "answer", show=False) for i in range(1, NUMBER_KEYS)),
        Binding("slash", "another", "another class", key_display="/", tooltip="Any other class"),
        Binding("n", "answer('none')", "none of these", tooltip="It shows none of the classes"),
        Binding("s", "answer('unsure')", "unsure", tooltip="You cannot tell; it is counted"),
        Binding("k", "answer('skip')", "skip", tooltip="Ask it again soon; twice is unsure"),
        Binding("u", "undo", "undo", tooltip="Take the last label back, on disk too"),
        Binding("d", "more", "go on", tooltip="Label on, to narrow the differences"),
        Binding("v", "names", "names", tooltip="Models by name, or as A, B, C again"),
        Binding("o", "open", "open", tooltip="Open the file of the picture in its program"),
    ],
}

KEYS = {name: with_ids("results" if name == "section" else name, _KEYS[name]) for name in _KEYS}
"""By screen; those of `section` work in the parts of results that have rows."""
