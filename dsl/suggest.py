"""Turns a word that nothing is called into the name that was probably meant."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate fewest typing slips away, or None where none is near.

    A slip is a letter left out, added, replaced, or swapped with its neighbour; a difference of
    case alone counts as none. One slip is allowed for every three letters of the shorter word,
    two at least in words of five: a suggestion that is far off is worse than none. Ties go to the
    candidate with the same first letter, then to the first in the alphabet.
    """
    best: tuple[int, bool, str] | None = None
    for candidate in sorted(set(candidates)):
        if candidate == word:
            continue
        allowed = _allowed(min(len(word), len(candidate)))
        if abs(len(word) - len(candidate)) > allowed:
            continue
        slips = slips_between(word.lower(), candidate.lower())
        if slips > allowed:
            continue
        rank = (slips, word[:1].lower() != candidate[:1].lower(), candidate)
        if best is None or rank < best:
            best = rank
    return best[2] if best else None


def slips_between(a: str, b: str) -> int:
    """The fewest slips that turn `a` into `b` (optimal string alignment)."""
    before: list[int] = []
    last = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        row = [i]
        for j, other in enumerate(b, 1):
            slips = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == b[j - 2] and a[i - 2] == other:
                slips = min(slips, before[j - 2] + 1)
            row.append(slips)
        before, last = last, row
    return last[-1]


def _allowed(length: int) -> int:
    if length <= 1:
        return 0
    return max(length // 3, 2 if length >= 5 else 1)
