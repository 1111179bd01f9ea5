"""A second, plain implementation of the certificate, one picture and one prefix at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, inf, log

BETS = (0.5, 0.9)


@dataclass(frozen=True)
class PlainPrefix:
    """A prefix of the pictures by confidence, and what labels say of it."""

    size: int
    guess: float
    walk: list[int]
    wrong: int
    labelled: list[int]
    settled: int
    now: float
    largest: float

    def proves(self, tolerated: float) -> bool | None:
        """Returns whether labels prove that few of it are wrong, or that too many are."""
        needed = floor(tolerated * self.size + 1e-9) + 1
        if self.wrong >= needed:
            return False
        return True if self.wrong + self.size - len(self.labelled) < needed else None


@dataclass(frozen=True)
class PlainCertificate:
    """The certificate of one model, by definition.

    Args:
        confidences: Of each picture.
        walk: The pictures in the order of labelling.
        tie: Rank of each picture among equal confidences.
        tolerated: ε.
        threshold: Stake that certifies.
        wrong: Whether each labelled picture counts as wrong; skipped ones are True.
    """

    confidences: Sequence[float]
    walk: Sequence[int]
    tie: Sequence[int]
    tolerated: float
    threshold: float
    wrong: Mapping[int, bool]

    def prefixes(self) -> list[PlainPrefix]:
        """Returns all prefixes with their bets."""
        n, conf = len(self.confidences), self.confidences
        ranked = sorted(range(n), key=lambda i: (-conf[i], self.tie[i]))
        return [self.prefix(ranked[: ceil(n * g / 40)]) for g in range(1, 41)]

    def prefix(self, members: list[int]) -> PlainPrefix:
        """Returns one prefix with its bets."""
        size, inside = len(members), set(members)
        needed = floor(self.tolerated * size + 1e-9) + 1
        walk = [i for i in self.walk if i in inside]
        wealth, now, largest, seen, settled, true = [1.0, 1.0], 1.0, 1.0, 0, 0, False
        for i in walk:
            if i not in self.wrong:
                break
            settled += 1
            true = true or seen >= needed
            if true:
                continue
            m = (needed - seen) / (size - settled + 1)
            if m > 1:
                now = largest = inf
                break
            x = int(self.wrong[i])
            wealth = [w * (1 + c * (m - x) / max(1 - m, 1e-9))
                      for w, c in zip(wealth, BETS, strict=True)]  # fmt: skip
            now = sum(wealth) / 2
            largest = max(largest, now)
            seen += x
        labelled = [i for i in walk if i in self.wrong]
        guess = sum(1 - self.confidences[i] for i in members) / size
        wrong = sum(self.wrong[i] for i in labelled)
        return PlainPrefix(size, guess, walk, wrong, labelled, settled, now, largest)

    def start(self, prefixes: list[PlainPrefix]) -> int | None:
        """Returns the place of the first prefix of the chain."""
        easiest, most = prefixes[0].size, -1.0
        for prefix in prefixes:
            r, e = prefix.guess, self.tolerated
            if r < e:
                divergence = (1 - r) * log((1 - r) / (1 - e)) + (r * log(r / e) if r else 0)
                if prefix.size * divergence > most:
                    easiest, most = prefix.size, prefix.size * divergence
        for place, prefix in enumerate(prefixes):
            if prefix.size >= max(easiest / 3, 1 / self.tolerated):
                return place
        return None

    def passes(self, prefix: PlainPrefix) -> bool:
        """Returns whether a prefix is refuted by nothing and certified by its bets or by proof."""
        proof = prefix.proves(self.tolerated)
        return bool(proof) or (proof is None and prefix.largest >= self.threshold)

    def read(self) -> tuple[int, int, int, int | None, object]:
        """Returns pictures of the start, of the guess and certified, the open place, the forecast.

        The forecast is a number of labels, `far` where it is out of reach, None without one.
        """
        prefixes = self.prefixes()
        guess = max((p.size for p in prefixes if p.guess <= self.tolerated), default=0)
        start = self.start(prefixes)
        if start is None:
            return 0, guess, 0, None, None
        certified = max((p.size for p in prefixes if p.proves(self.tolerated)), default=0)
        place: int | None = start
        while place is not None and self.passes(prefixes[place]):
            certified = max(certified, prefixes[place].size)
            place = place + 1 if place + 1 < len(prefixes) else None
        return prefixes[start].size, guess, certified, place, self.forecast(prefixes, place)

    def forecast(self, prefixes: list[PlainPrefix], place: int | None) -> object:
        """Returns roughly how many labels the prefix after the open one takes."""
        if place is None or place + 1 == len(prefixes):
            return None
        prefix, e = prefixes[place + 1], self.tolerated
        expected = sum(1 - self.confidences[i] for i in prefix.labelled)
        r = prefix.guess * (prefix.wrong + 2) / (expected + 2)
        growth = max(r * log(1 - c) + (1 - r) * log(1 + c * e / (1 - e)) for c in BETS)
        if r >= 0.9 * e or growth <= 0:
            return "far"
        proof = prefix.proves(e)
        if proof:
            return 1
        now = 0.0 if proof is False else max(log(prefix.now), 0.0)
        steps = prefix.settled + ceil((log(self.threshold) - now) / growth)
        return max(sum(i not in self.wrong for i in prefix.walk[: max(steps, 0)]), 1)
