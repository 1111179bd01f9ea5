"""Completion for shells: `tuiprobe completion SHELL` prints a script, which asks for candidates.

The script calls `tuiprobe --complete WORD…` at every press of Tab, so this module loads what
`--help` loads, and no library of models. A shell may insert a candidate into the command line
unquoted, so only candidates of harmless letters are given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

BASH = """\
_tuiprobe() {
    local line=${COMP_LINE:0:COMP_POINT} head
    local -a words
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("$line")
    done < <("$1" --complete "${words[@]:1}" 2>/dev/null)
    # Bash replaces only what follows the last colon.
    head=${words[${#words[@]} - 1]}
    if [[ $head == *:* && $COMP_WORDBREAKS == *:* ]]; then
        head=${head%"${head##*:}"}
        COMPREPLY=("${COMPREPLY[@]#"$head"}")
    fi
}
complete -o default -F _tuiprobe tuiprobe
"""

ZSH = """\
#compdef tuiprobe
_tuiprobe() {
    local -a found
    found=("${(@f)$(${words[1]} --complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    found=(${found:#})
    (( ${#found} )) && compadd -a found || _files
}
compdef _tuiprobe tuiprobe
"""

FISH = """\
function __tuiprobe_complete
    set -l words (commandline -opc) (commandline -ct)
    $words[1] --complete $words[2..] 2>/dev/null
end
complete -c tuiprobe -a '(__tuiprobe_complete)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}

_HARMLESS = re.compile(r"[A-Za-z0-9_./:@%+,=-]+")
_DEVICES = ("auto", "cpu", "cuda", "mps")
_RUNS = ("run", "runs", "first", "others")
_MODELS = ("model", "models")


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="bash, zsh or fish.")],
) -> None:
    """Print a script that completes commands, options, models and runs in a shell.

    For bash: `source <(tuiprobe completion bash)` in ~/.bashrc; zsh likewise; for fish
    `tuiprobe completion fish > ~/.config/fish/completions/tuiprobe.fish`.
    """
    print(SCRIPTS[shell], end="")


def candidates(root: Any, words: Sequence[str]) -> list[str]:
    """Returns what the last word may become, sorted.

    Args:
        root: The command line, a group of commands.
        words: The words after the name of the program; the last one is incomplete.
    """
    *before, current = words or [""]
    command, place, asked = root, 0, None
    for word in before:
        if asked is not None:
            asked = None
        elif word.startswith("-"):
            found = next((one for one in command.params if word in one.opts), None)
            asked = None if found is None or found.is_flag else found
        elif word in getattr(command, "commands", {}):
            command, place = command.commands[word], 0
        else:
            place += 1
    if asked is not None:
        found = _values(asked.name)
    elif current.startswith("-"):
        found = (flag for one in command.params for flag in (*one.opts, *one.secondary_opts))
        found = (flag for flag in (*found, "--help") if flag.startswith("--"))
    else:
        found = (*getattr(command, "commands", {}), *_arguments(command, place))
    return sorted({one for one in found if one.startswith(current) and _HARMLESS.fullmatch(one)})


def _arguments(command: Any, place: int) -> Iterable[str]:
    """Returns what the argument at a place may be."""
    arguments = [one for one in command.params if not one.opts[0].startswith("-")]
    if not arguments:
        return ()
    at = arguments[min(place, len(arguments) - 1)]
    return _values(at.name) if place < len(arguments) or at.nargs == -1 else ()


def _values(name: str) -> Iterable[str]:
    """Returns what the value of an option or argument may be; nothing where it is a file."""
    from tuiprobe.spec import run_options

    if name in _MODELS:
        return _models()
    if name in _RUNS:
        return _runs(Path("runs"))
    if name == "shell":
        return SCRIPTS
    if name == "device":
        return _DEVICES
    return next((one.choices for one in run_options() if one.name == name), ())


def _models() -> Iterator[str]:
    from tuiprobe.catalog.names import all_published
    from tuiprobe.catalog.presets import presets

    yield from presets()
    yield from all_published()


def _runs(root: Path) -> Iterator[str]:
    """Yields the run directories in a folder."""
    try:
        found = [one for one in root.iterdir() if (one / "key").is_file()]
    except OSError:
        return
    yield from map(str, found)
