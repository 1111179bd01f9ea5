"""Text for people: untrusted strings, lists, durations, filters and globs, aligned tables."""

from __future__ import annotations

import fnmatch
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

_Value = TypeVar("_Value")

# Cc control, Cf format (bidi overrides, zero-width), Cs lone surrogates, Zl/Zp line separators.
_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}

_MARKED = ("=", "+", "-", "@", "'")
"""What a spreadsheet takes for a formula, and the mark before one."""

_LONGEST_NAME = 255
"""Characters of a file's name on most systems; names of options, classes and models are shorter."""

GAP = "  "
"""Between two columns of a table."""


def plain(text: str) -> str:
    r"""Returns `text` with every control, format and bidi character written as an escape.

    >>> plain("a\x1b[31mb\u202ec")
    'a\\x1b[31mb\\u202ec'
    >>> plain("Löwe 獅子")
    'Löwe 獅子'
    """
    if text.isprintable():
        return text
    return "".join(_escaped(c) if unicodedata.category(c) in _INVISIBLE else c for c in text)


def csv_cell(text: str) -> str:
    """Returns a text on one line that no spreadsheet takes for a formula.

    >>> csv_cell("=1+1"), csv_cell("cat.jpg")
    ("'=1+1", 'cat.jpg')
    """
    clean = plain(text)
    return f"'{clean}" if clean.lstrip().startswith(_MARKED) else clean


def csv_text(cell: str) -> str:
    """Returns the text of a cell that `csv_cell` may have written.

    >>> csv_text("'=1+1"), csv_text("'tis"), csv_text(csv_cell("'tis"))
    ('=1+1', "'tis", "'tis")
    """
    return cell[1:] if cell[:1] == "'" and cell[1:].lstrip().startswith(_MARKED) else cell


def path_key(path: str) -> str:
    r"""Returns how a path in a table is compared with the paths of a set.

    Windows writes backslashes, and macOS writes an umlaut as two characters.

    >>> path_key(".\\cats\\1.jpg"), path_key("./cats/1.jpg")
    ('cats/1.jpg', 'cats/1.jpg')
    """
    return unicodedata.normalize("NFC", path.replace("\\", "/")).removeprefix("./")


def in_any_spelling(named: Mapping[str, _Value]) -> dict[str, _Value]:
    r"""Returns values by path, and by the `path_key` of each path that has it alone.

    >>> in_any_spelling({"a\\1.jpg": 1, "b/2.jpg": 2, "b\\2.jpg": 3})
    {'a\\1.jpg': 1, 'b/2.jpg': 2, 'b\\2.jpg': 3, 'a/1.jpg': 1}
    """
    keys = {path: path_key(path) for path in named}
    count = Counter(keys.values())
    return {**named, **{key: named[path] for path, key in keys.items() if count[key] == 1}}


def count_of(count: int, noun: str, plural: str | None = None) -> str:
    """Returns a count with its noun.

    >>> count_of(1, "channel"), count_of(2_000, "image")
    ('1 channel', '2,000 images')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def joined(parts: Sequence[str], most: int | None = None) -> str:
    """Returns parts as they stand in a sentence; of more than `most`, the first and a count.

    >>> joined([]), joined(["a"]), joined(["a", "b", "c"]), joined("abcd", 2)
    ('', 'a', 'a, b and c', 'a, b and 2 more')
    """
    if most is not None and len(parts) > most:
        parts = [*parts[:most], f"{len(parts) - most:,} more"]
    return " and ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)


def first_names(names: Iterable[str]) -> str:
    """Lists the first names of a file from elsewhere, inert and shortened.

    >>> first_names(["a", "b"]), first_names("abcdefgh")
    ('a, b', 'a, b, c, d, e, f, …')
    """
    texts = [plain(name if len(name) <= 100 else f"{name[:100]}…") for name in names]
    return ", ".join([*texts[:6], *(["…"] if len(texts) > 6 else [])])


def similar_names(name: str, names: Iterable[str], most: int = 3, cutoff: float = 0.6) -> list[str]:
    """Returns the names that a misspelt one may mean, the most similar first.

    None is similar to a text that is too long for a name: comparing takes memory by its length.

    >>> similar_names("vla", ["val", "train", "sketch"]), similar_names("v" * 300, ["val"])
    (['val'], [])
    """
    from difflib import get_close_matches  # late: help needs none

    if len(name) > _LONGEST_NAME:
        return []
    return get_close_matches(name, names, most, cutoff)  # type: ignore[type-var,unused-ignore]


def did_you_mean(name: str, names: Iterable[str], most: int = 3, cutoff: float = 0.6) -> str:
    """Returns the end of a sentence that asks for names like a wrong one; empty without any.

    >>> did_you_mean("resnet5O", ["resnet50", "vit"])
    '; did you mean resnet50?'
    """
    near = similar_names(name, names, most, cutoff)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def first_line(error: Exception) -> str:
    r"""Returns the part of a library's message that names the cause, as one line.

    >>> first_line(KeyError(101)), first_line(ValueError("no end\nat 3"))
    ('KeyError', 'no end')
    """
    lines = [line.strip() for line in str(error).splitlines() if re.search("[A-Za-z]", line)]
    if not lines:
        return type(error).__name__
    # As many complete sentences as fit.
    cut = lines[0][:200].rpartition(". ")[0] if len(lines[0]) > 200 else lines[0]
    return plain(cut or lines[0][:200]).rstrip(".")


def encodable(text: str) -> str:
    r"""Returns `text` with each undecodable byte of a file name written as an escape.

    >>> encodable("caf\udce9")
    'caf\\udce9'
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def undecodable(text: str) -> str:
    r"""Returns the bytes of a file name that are not UTF-8, in words.

    >>> undecodable("caf\udce9"), undecodable("Löwe")
    ('the byte 0xe9', '')
    """
    odd = [f"0x{ord(c) & 0xFF:02x}" for c in text if "\ud800" <= c <= "\udfff"]
    return f"the byte{'s' if len(odd) > 1 else ''} {' '.join(odd[:8])}" if odd else ""


def text_of(content: bytes) -> str:
    """Returns the text of a file, without a byte order mark.

    Raises:
        ValueError: If it is not UTF-8; says where, and what to do.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        cause = f"line {line} holds the byte 0x{content[error.start]:02x}, which is not UTF-8"
        if content.startswith((b"\xff\xfe", b"\xfe\xff")):
            cause = "it is UTF-16"
        raise ValueError(f"{cause}; save the file as UTF-8") from error
    if "\0" in text:
        raise ValueError("it holds zero bytes, as UTF-16 does; save the file as UTF-8")
    return text


def json_text(value: Any) -> str:
    r"""Returns a value as strict JSON; control and bidi characters become `\u` escapes.

    >>> print(json_text({"Löwe": "a\u202eb\x85"}))
    {
     "Löwe": "a\u202eb\u0085"
    }
    """
    text = json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False)
    for letter in sorted(set(text) - {"\n"}):  # line breaks come from the JSON layout
        if unicodedata.category(letter) in _INVISIBLE:
            text = text.replace(letter, json.dumps(letter)[1:-1])
    return text


def clock(seconds: float) -> str:
    """Formats a duration for people.

    >>> clock(13.4), clock(3661)
    ('0:13', '1:01:01')
    """
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def holds_all(text: str, words: Iterable[str]) -> bool:
    """Returns whether a text contains every word of a filter; case is ignored.

    >>> holds_all("ViT-B-16 openai", ["OPEN", "b-16"]), holds_all("cat", ["cat", "dog"])
    (True, False)
    """
    lowered = text.lower()
    return all(word.lower() in lowered for word in words)


@dataclass(frozen=True)
class TextColumn:
    """One column of an aligned table.

    Attributes:
        title: Heading; cells without one are remarks, which a terminal may wrap.
        right: Whether its cells are aligned to the right, as numbers are.
        drop: Columns that do not fit go, those with the largest number first; 0 stays.
    """

    title: str
    right: bool = False
    drop: int = 0


def text_table(
    columns: Sequence[TextColumn], rows: Iterable[Sequence[str]], width: int = 0
) -> Iterator[str]:
    """Yields headings and rows as aligned lines; nothing without rows.

    Args:
        columns: The columns; the last one is not padded, and those in which no row says anything
            are left out.
        rows: One cell a column; text from outside must be inert already.
        width: Columns of the terminal; 0 for any number.

    >>> two = [TextColumn("model"), TextColumn("top-1", right=True)]
    >>> list(text_table(two, [("mini_clip", "93.2 %"), ("other", "4 %")]))
    ['model       top-1', 'mini_clip  93.2 %', 'other         4 %']
    >>> list(text_table(two, []))
    []
    """
    table = list(zip(*rows, strict=True))  # by column
    shown = [
        (column, max(map(len, (column.title, *cells))), cells)
        for column, cells in zip(columns, table, strict=False)
        if any(cell.strip() not in ("", "-") for cell in cells)
    ]
    while width and sum(most + len(GAP) for of, most, _ in shown if of.title) - len(GAP) > width:
        last = max(shown, key=lambda each: each[0].drop)
        if not last[0].drop:
            break
        shown.remove(last)
    titles = [column.title for column, *_ in shown]
    for line in (titles, *zip(*(cells for *_, cells in shown), strict=True)) if shown else ():
        padded = (
            cell.rjust(most) if column.right else cell.ljust(most)
            for (column, most, _), cell in zip(shown, line, strict=True)
        )
        yield GAP.join(padded).rstrip()


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Returns the lines of a Markdown table; cells must be escaped already."""
    return [
        "| " + " | ".join(header) + " |",
        "|" + "---|" * len(header),
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
    ]


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def matches(name: str, pattern: str) -> bool:
    """Returns whether a layer's name matches a glob: `*` stops at a dot, `**` does not.

    >>> matches("layer1", "layer*"), matches("layer1.0", "layer*"), matches("layer1.0", "layer*.*")
    (True, False, True)
    >>> matches("blocks.3.attn.qkv", "blocks.**.qkv"), matches("blocks.3", "**")
    (True, True)
    """
    return _matches(name.split("."), pattern.split("."))


def _matches(names: list[str], patterns: list[str]) -> bool:
    if not patterns:
        return not names
    if patterns[0] == "**":
        return any(_matches(names[i:], patterns[1:]) for i in range(len(names) + 1))
    return (
        bool(names)
        and fnmatch.fnmatchcase(names[0], patterns[0])
        and _matches(names[1:], patterns[1:])
    )
