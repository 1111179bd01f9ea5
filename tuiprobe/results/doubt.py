"""What speaks against believing a figure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final, get_args

from pydantic import Field

from tuiprobe.errors import UsageError
from tuiprobe.results.base import ByName, Frozen, Real
from tuiprobe.spec import DoubtId

DOUBTS: Final[tuple[DoubtId, ...]] = get_args(DoubtId)


class Doubt(Frozen):
    """What speaks against believing a figure.

    Attributes:
        id: What it is about.
        case: The exact case, such as the order of names; empty if the id is exact.
        data: The set whose figures are in doubt; empty for all.
        sentence: What was found, with its numbers, and what to do; without a full stop.
        withholds: Whether no model is named, no gate passes and no labelling is decided by it.
        figures: The numbers of the sentence.
        trusted: Whether the user overruled it by `--trust`; it then withholds nothing.
    """

    id: DoubtId
    case: str = ""
    data: str = ""
    sentence: str
    withholds: bool = False
    figures: ByName[Real] = Field(default_factory=dict)
    trusted: bool = False

    @property
    def stops(self) -> bool:
        """Whether it withholds decisions and passes of gates."""
        return self.withholds and not self.trusted

    @property
    def words(self) -> str:
        """The sentence, with what overrules it."""
        if self.trusted:
            return f"{self.sentence} (overruled by --trust {self.id})"
        overrule = f"; if this is meant: --trust {self.id}" if self.withholds else ""
        return self.sentence + overrule


def ordered(doubts: Iterable[Doubt], trust: Collection[str] = ()) -> tuple[Doubt, ...]:
    """Returns doubts once each, those that stop a decision first.

    Args:
        doubts: The doubts.
        trust: Ids of those that the user overrules.
    """
    known = (
        doubt.model_copy(update={"trusted": True}) if doubt.id in trust else doubt
        for doubt in doubts
    )
    once = {(doubt.id, doubt.data, doubt.sentence): doubt for doubt in known}
    return tuple(sorted(once.values(), key=lambda doubt: not doubt.stops))


def stopping(doubts: Iterable[Doubt], sets: Collection[str] | None = None) -> list[Doubt]:
    """Returns the doubts that stop a decision.

    Args:
        doubts: The doubts.
        sets: The sets that the decision rests on; None for any.
    """
    return [
        doubt for doubt in doubts if doubt.stops and (sets is None or doubt.data in ("", *sets))
    ]


def checked_trust(ids: Sequence[str]) -> tuple[str, ...]:
    """Returns the ids of doubts that a user overrules.

    Raises:
        UsageError: If one is no id of a doubt.
    """
    for id in ids:
        if id not in DOUBTS:
            raise UsageError(f"--trust takes the id of a doubt, such as {', '.join(DOUBTS)}")
    return tuple(ids)
