"""Turns the place where the parser stopped into a message in the user's terms."""

from __future__ import annotations

from collections.abc import Sequence

from mercer.dsl.diagnostic import Diagnostic
from mercer.dsl.scan import Token


def syntax_error(states: Sequence[int], found: Token, line: Sequence[Token]) -> Diagnostic:
    """What was expected where `found` stands."""
    return Diagnostic("M120", f"`{found.text}` is not expected here", found.span)
