"""Turns the state in which the parser stopped into a message in the user's terms.

Where an expression could end, the state alone does not tell what it is a part of: what has been
read is first put together as if the expression ended there, and the state after that is one
that the table of messages knows: inside a call, a list, behind a declaration.
"""

from __future__ import annotations

from collections.abc import Sequence

from mercer.dsl.diagnostic import Diagnostic
from mercer.dsl.expectations import EXPECTED, FOREIGN, SPECIAL, Expectation
from mercer.dsl.scan import KEYWORDS, Token
from mercer.dsl.suggest import nearest
from mercer.dsl.table import lalr_table

# What may end an expression, the narrowest surroundings first.
ENDS = (")", "]", "EOL", "~", "..", ":")


def syntax_error(states: Sequence[int], found: Token, line: Sequence[Token]) -> Diagnostic:
    """The diagnostic for `found`, at which the parser stopped with these states on its stack."""
    read = lalr_table().read
    stopped, settled = read[states[-1]], read[settle(states)]
    kind = {"NUMBER": "number"}.get(found.type, found.type)
    expectation = (
        SPECIAL.get((stopped, kind)) or SPECIAL.get((settled, kind)) or SPECIAL.get(("*", kind))
    )
    if expectation is None:
        expectation = _foreign(settled, found, line) or EXPECTED[settled]
    at = next((i for i, token in enumerate(line) if token is found), len(line))
    names = [token.text for token in line if token.type == "NAME"]
    words = {
        "found": describe(found),
        "before": line[at - 1].text if at else "",
        "name": names[0] if names else "f",
    }
    return Diagnostic(
        code=expectation.code,
        problem=expectation.problem.format_map(words),
        span=line[0].span if expectation.code == "M184" else found.span,
        mend=expectation.mend.format_map(words),
    )


def settle(states: Sequence[int]) -> int:
    """The state behind all that is complete, read as if it ended here."""
    table = lalr_table()
    if not any(action < 0 for action in table.actions[states[-1]].values()):
        return states[-1]
    for end in ENDS:
        stack = list(states)
        while True:
            action = table.actions[stack[-1]].get(end)
            if action is None:
                break
            if action >= 0:
                return stack[-1]
            origin, count, _ = table.rules[-1 - action]
            del stack[-count:]
            stack.append(table.gotos[stack[-1]][origin])
    raise AssertionError(f"no word ends {table.read[states[-1]]}")


def describe(token: Token) -> str:
    """A word as a message names it."""
    if token.type in ("EOL", "END"):
        return "the end of the line"
    if token.type == "STRING":
        return "a string"
    if token.type == "NUMBER":
        return f"the number `{token.text}`"
    return f"`{token.text}`"


def _foreign(settled: str, found: Token, line: Sequence[Token]) -> Expectation | None:
    """A word from another language, or a mistyped one that begins a declaration."""
    if found.type == "NAME" and settled == "declaration: target" and found is line[1]:
        word = nearest(line[0].text, KEYWORDS)
        return Expectation(
            "M184",
            f"`{line[0].text}` is not a word that begins a declaration",
            f"did you mean `{word}`?" if word else "write `~`, `=` or `:` behind a name",
        )
    if found.type == "NAME" and found.text in FOREIGN:
        return Expectation(
            "M197", f"`{found.text}` is not a word of the language", FOREIGN[found.text]
        )
    return None
