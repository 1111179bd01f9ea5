"""What one run may answer alone: its question, the certificate of its pictures, and its words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from typing import Final

import numpy as np

from tuiprobe.errors import DataError, UsageError
from tuiprobe.labelling.certificate import Certificate, CertificateStatus
from tuiprobe.labelling.matching import Matched
from tuiprobe.plaintext import count_of, plain

MOST_TOLERATED: Final = 0.5

SMALL: Final = 500
SMALL_SHARE: Final = 0.05
"""In at most so many pictures, with at most this share of errors, a certificate hardly pays."""

NO_DEARER: Final = 0.05
"""Labels for the next 5 % of the pictures, as a share of them, that labelling all of it takes."""

_SHARE = re.compile(r"\s*(\d*\.?\d+)\s*(%?)\s*")


def tolerated_share(text: str) -> float:
    """Returns a tolerated share of errors that a user names, such as `5%` or `0.05`.

    Raises:
        UsageError: If it is none, or not above 0 and at most `MOST_TOLERATED`.

    >>> tolerated_share("5%"), tolerated_share("0.02")
    (0.05, 0.02)
    """
    match = _SHARE.fullmatch(text)
    share = float(match[1]) / (100 if match[2] else 1) if match else 0.0
    if not 0 < share <= MOST_TOLERATED:
        raise UsageError(
            f"--unattended {plain(text)!r} is no share of wrong answers: give one such as 5% or "
            f"0.05, at most {MOST_TOLERATED:.0%}"
        )
    return share


def question_digest(matched: Matched, tolerated: float) -> str:
    """Returns the SHA-256 of what is asked: pictures, answers and confidences of a run, and ε.

    A run whose confidences changed asks another question: the order of the pictures must be fixed
    before the first label.
    """
    rows = zip(matched.digests, matched.answers[0], matched.ranking[0].tolist(), strict=True)
    lines = sorted(f"{digest} {matched.classes[n]} {sure!r}\n" for digest, n, sure in rows)
    content = f"{tolerated!r}\n{''.join(lines)}"
    return sha256(content.encode("utf-8", "backslashreplace")).hexdigest()


def certificate_of(matched: Matched, tolerated: float, questions: int) -> Certificate:
    """Returns the certificate of one run, without labels.

    Args:
        matched: The run.
        tolerated: ε.
        questions: See `Certificate`.

    Raises:
        DataError: If its answers have no confidences.
    """
    if np.isnan(matched.ranking).any():
        raise DataError(
            f"{matched.source_run.directory.path} has no confidences, so its answers cannot be "
            "ordered"
        )
    pool = replace(matched.pool.of_candidate(0), confidences=matched.ranking)
    tie = np.empty(pool.pictures, dtype=np.int64)
    tie[matched.shuffled(b"tie")] = np.arange(pool.pictures)
    return Certificate(pool, matched.shuffled(b"alone"), tie, tolerated, questions)


def promise(state: CertificateStatus, pictures: int) -> str:
    """Returns what is certified, as a sentence.

    Args:
        state: The certificate.
        pictures: All pictures.
    """
    errors = f"{100 * state.tolerated:g} % errors"
    if not state.certified:
        return f"none of {pictures:,} certified for at most {errors}"
    left = ""
    if state.seen_wrong:
        left = (
            f"; {state.seen_wrong:,} of these you have seen, so at most "
            f"{state.most_wrong - state.seen_wrong:,} are left"
        )
    at_most = f"at most {state.most_wrong:,} of them are wrong (95 %)"
    return f"{state.certified:,} of {pictures:,} certified: {at_most}{left}"


def outlook(state: CertificateStatus, pictures: int, labelled: int) -> Iterator[str]:
    """Yields what more labels would do, and what the promise is about, a sentence each.

    Args:
        state: The certificate.
        pictures: All pictures.
        labelled: Those that have a label.
    """
    share = f"{100 * state.tolerated:g} %"
    if state.taken_back is not None:
        size, wrong = state.taken_back
        yield f"taken back: {wrong:,} of these {size:,} were wrong"
    if not labelled and pictures <= SMALL and state.tolerated <= SMALL_SHARE:
        yield (
            f"with at most {SMALL} pictures and {share} errors this saves little work: label "
            "all of them"
        )
    if state.outlook == "impossible":
        yield f"nothing can be certified: {pictures:,} pictures are too few for {share}"
    elif state.outlook == "ended":
        yield (
            f"labels show that the next pictures have more than {share} errors: no more can be "
            "certified"
        )
    elif state.outlook == "complete":
        yield "all pictures are certified"
    elif state.outlook == "unreachable":
        yield "as it looks now, the next 5 % of the pictures have too many errors to be certified"
    elif state.more is not None:
        least, most = state.more
        by_hand = least >= NO_DEARER * pictures
        dear = ": labelling them by hand costs no more" if by_hand else ""
        yield f"roughly {least:,} to {most:,} labels for the next 5 %{dear}"
    yield f"if every confidence is right, {count_of(state.guess, 'picture')} could be certified"
    if state.questions:
        yield (
            f"{count_of(state.questions, 'further question')} on these pictures: each needs "
            "more evidence than the first, and all of them together hold with 95 %"
        )
    yield "this holds for these pictures, not for new ones"
