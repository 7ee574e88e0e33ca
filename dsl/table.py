"""Turns the grammar `mercer.lark` into the LALR table that the parser runs on.

Lark builds the table; it is stored beside the grammar as `table.json`, because importing Lark and
building anew takes 0.15 s and an editor opens files in milliseconds. A stored table that does not
belong to the grammar is never used. After a change: `python -m mercer.dsl.table`.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

_GRAMMAR = Path(__file__).parent / "mercer.lark"
_STORED = Path(__file__).parent / "table.json"


@dataclass(frozen=True)
class Table:
    """A parser as data.

    `words` are spelled out in the grammar (`data`, `->`), `patterns` are the other words by name.
    `actions[state][word]` is `n >= 0`: go to state n; `n < 0`: reduce by `rules[-1 - n]`.
    `gotos[state][rule]` is the state behind a reduced rule. A rule is its name, how many parts
    it takes, and what is built from them ("" passes its one part on). `read[state]` says what has
    been read on the way there: the rule and its parts so far, as in `declaration: target ~`.
    `mark` tells the grammar that the table was built from.
    """

    mark: int
    start: int
    words: list[str]
    patterns: dict[str, str]
    rules: list[tuple[str, int, str]]
    read: list[str]
    actions: list[dict[str, int]]
    gotos: list[dict[str, int]]


@cache
def lalr_table() -> Table:
    """The table of the grammar: the stored one or, where that is out of date, a new one."""
    grammar = _GRAMMAR.read_text(encoding="utf-8")
    if _STORED.exists():
        stored: dict[str, Any] = json.loads(_STORED.read_text(encoding="utf-8"))
        if stored["mark"] == zlib.crc32(grammar.encode()):
            return Table(**stored)
    return build_table(grammar)


def build_table(grammar: str) -> Table:
    """The LALR(1) table of `grammar`, by Lark; a conflict in the grammar is a ValueError."""
    from lark import Lark
    from lark.parsers.lalr_analysis import LALR_Analyzer

    # Lark's analysis is used, and not its parser: the messages need the items of each state.
    lark = Lark(grammar, parser="lalr", start="line", lexer="basic", keep_all_tokens=True)
    analysis: Any = LALR_Analyzer(lark.parser.parser_conf)
    analysis.compute_lalr()
    spelled = {t.name: str(t.pattern.value) for t in lark.terminals if t.pattern.type == "str"}
    spelled["$END"] = "END"

    def shown(symbol: Any) -> str:
        return spelled.get(symbol.name, str(symbol.name))

    # Lark's sets come in no fixed order: states are numbered by what has been read in them.
    read = {itemset: _read(itemset, shown) for itemset in analysis.lr0_itemsets}
    order = sorted(read, key=lambda itemset: read[itemset])
    number = {itemset: i for i, itemset in enumerate(order)}
    rules = sorted(lark.rules, key=lambda rule: (rule.origin.name, rule.order))

    actions: list[dict[str, int]] = []
    gotos: list[dict[str, int]] = []
    for itemset in order:
        shifts = {shown(s): number[to] for s, to in itemset.transitions.items() if s.is_term}
        for word, candidates in itemset.lookaheads.items():
            if len(candidates) > 1 or shown(word) in shifts:
                raise ValueError(f"the grammar is ambiguous at {shown(word)} in {read[itemset]}")
            (rule,) = candidates
            shifts[shown(word)] = -1 - rules.index(rule)
        actions.append(dict(sorted(shifts.items())))
        after = {shown(s): number[to] for s, to in itemset.transitions.items() if not s.is_term}
        gotos.append(dict(sorted(after.items())))

    (start,) = analysis.lr0_start_states.values()
    return Table(
        mark=zlib.crc32(grammar.encode()),
        start=number[start],
        words=sorted(set(spelled.values()) - {"END"}),
        patterns={t.name: t.pattern.value for t in lark.terminals if t.pattern.type == "re"},
        rules=[(str(r.origin.name), len(r.expansion), r.alias or "") for r in rules],
        read=[read[itemset] for itemset in order],
        actions=actions,
        gotos=gotos,
    )


def store_table() -> None:
    """Writes `table.json` anew from `mercer.lark`."""
    table = build_table(_GRAMMAR.read_text(encoding="utf-8"))
    _STORED.write_text(table_text(table), encoding="utf-8")


def table_text(table: Table) -> str:
    """The table as JSON, one state a line, so that a change of the grammar shows as a diff."""
    parts = []
    for name, value in asdict(table).items():
        if isinstance(value, list):
            rows = ",\n".join(json.dumps(item, ensure_ascii=False) for item in value)
            parts.append(f'"{name}": [\n{rows}\n]')
        else:
            parts.append(f'"{name}": {json.dumps(value, ensure_ascii=False)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _read(itemset: Any, shown: Callable[[Any], str]) -> str:
    """The items of a state up to their dot; the longest, which tell most, stand for all."""
    longest = max(item.index for item in itemset.kernel)
    items = set()
    for item in itemset.kernel:
        if item.index == longest:
            before = " ".join(shown(symbol) for symbol in item.rule.expansion[:longest])
            items.add(f"{item.rule.origin.name}: {before}".strip())
    return " | ".join(sorted(items))


if __name__ == "__main__":
    store_table()
