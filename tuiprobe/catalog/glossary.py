"""The glossary: every term of the screens, reports and docs, explained in two lines.

`python -m tuiprobe.catalog.glossary > docs/glossary.md` makes its page.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

HEADER = """\
# Glossary, and how to read the card

## How to read the card

Every run ends with a summary, the *card*. Its title is the best answer: what labels measured on
your images, else an estimate, else measured accuracies. Up to five blocks follow, then **Next**:
what to do now.

- *Your images* are the set without labels, or the labelled images if only one set has labels.
- A range in parentheses has 95 % over images; that of "about ... % right" has 80 % over estimates.
- "among these 5 classes (33 % among all 1,000)": the set has fewer classes than the head, and the
  answers were chosen among them. `--answers-among all` makes the second figure the headline.
- A figure that cannot be computed is missing, with its reason. It is never a zero.

## Terms

`?` on a screen explains the terms at the cursor. Italics say what does not follow from a term.
"""


@dataclass(frozen=True, slots=True)
class Term:
    """One term.

    Attributes:
        id: Lower-case words with hyphens.
        name: As people read it.
        short: What it is, in at most two lines of about 90 characters.
        page: The page of docs/ that defines it.
        more: One sentence on what it does not say; may be empty.
        also: Other words for it.
        common: Its everyday words, which mean the term only as a heading.
    """

    id: str
    name: str
    short: str
    page: str
    more: str = ""
    also: tuple[str, ...] = ()
    common: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """Everything that the term is called."""
        return (self.name, *self.also)


@lru_cache(maxsize=1)
def _glossary() -> dict[str, Term]:
    text = Path(__file__).with_name("glossary.toml").read_text("utf-8")
    return {id: _term(id, **row) for id, row in tomllib.loads(text).items()}


def _term(
    id: str, *, name: str, also: Sequence[str] = (), common: Sequence[str] | bool = (), **row: str
) -> Term:
    words = (name, *also) if common is True else tuple(common or ())
    return Term(id=id, name=name, also=tuple(also), common=words, **row)


def terms() -> tuple[Term, ...]:
    """Returns all terms, in the order of the file."""
    return tuple(_glossary().values())


def term(id: str) -> Term:
    """Returns the term with this id.

    Raises:
        KeyError: There is none.

    >>> term("kurtosis").page
    'outliers.md'
    """
    return _glossary()[id]


@lru_cache(maxsize=1)
def _by_words() -> dict[str, Term]:
    return {words.casefold(): term for term in terms() for words in term.words}


def named(heading: str) -> Term | None:
    """Returns the term that a heading or label names, if any.

    >>> named("after centring").id, named("image 12")
    ('centring', None)
    """
    return _by_words().get(heading.strip().casefold())


@lru_cache(maxsize=1)
def _pattern() -> re.Pattern[str]:
    # A single letter is a term as a heading, and any letter in a sentence.
    words = [w for term in terms() for w in term.words if len(w) > 1 and w not in term.common]
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", re.IGNORECASE)


def mentions(text: str) -> Iterator[tuple[int, int, Term]]:
    """Yields where a sentence uses a term: start, end and term; everyday words count for nothing.

    >>> [(start, end, term.id) for start, end, term in mentions("its kurtosis")]
    [(4, 12, 'kurtosis')]
    """
    for match in _pattern().finditer(text):
        yield match.start(), match.end(), _by_words()[match.group().casefold()]


def mentioned(text: str) -> tuple[Term, ...]:
    """Returns the terms that a sentence uses, in its order; everyday words count for nothing.

    >>> [term.id for term in mentioned("Kurtosis after centring 3.35, effective channels 4.7.")]
    ['centring', 'persistence']
    """
    return tuple(dict.fromkeys(term for _, _, term in mentions(text)))


def page() -> str:
    """Returns the page of all terms, by name."""
    by_name = sorted(terms(), key=lambda term: term.name.casefold())
    return HEADER + "\n" + "\n".join(map(_entry, by_name)) + "\n"


def _entry(term: Term) -> str:
    more = f" *{term.more}*" if term.more else ""
    return f'- <a id="{term.id}"></a>[{term.name}]({term.page}): {term.short}{more}'


if __name__ == "__main__":
    sys.stdout.write(page())
