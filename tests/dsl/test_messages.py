"""Laws of the syntax errors: the table of messages is complete, stable, and speaks plainly."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mercer.dsl import build, parse, scan, words
from mercer.dsl.diagnostic import MercerError
from mercer.dsl.expectations import EXPECTED, SPECIAL, Expectation
from mercer.dsl.parse import parse_partial
from mercer.dsl.table import build_table, lalr_table, table_text

ERRORS = Path(__file__).parent / "errors"
TABLE = lalr_table()
DSL = Path(parse.__file__).parent

# Behind the end of a line nothing can come, so nothing can be wrong there.
BEHIND = {"$root_line: line", "line: STRING EOL", "line: declaration EOL"} | {
    "line: declaration STRING EOL"
}


def all_expectations() -> list[Expectation]:
    return [*EXPECTED.values(), *SPECIAL.values()]


def test_the_stored_table_belongs_to_the_grammar() -> None:
    grammar = (DSL / "mercer.lark").read_text(encoding="utf-8")
    stored = (DSL / "table.json").read_text(encoding="utf-8")
    assert table_text(build_table(grammar)) == stored, "run python -m mercer.dsl.table"


def test_what_has_been_read_tells_the_states_apart() -> None:
    assert len(set(TABLE.read)) == len(TABLE.read)


def test_every_state_of_the_parser_leads_to_a_message() -> None:
    """Follows all reductions from all states, over every stack that the table allows."""
    before: list[set[int]] = [set() for _ in TABLE.read]
    for state, (actions, gotos) in enumerate(zip(TABLE.actions, TABLE.gotos, strict=True)):
        for to in [a for a in actions.values() if a >= 0] + list(gotos.values()):
            before[to].add(state)

    def behind(state: int, count: int) -> set[int]:
        reached = {state}
        for _ in range(count):
            reached = set().union(*(before[s] for s in reached))
        return reached

    missing = set()
    for state, actions in enumerate(TABLE.actions):
        todo, seen = [state], {state}
        while todo:
            at = todo.pop()
            shifts = [a for a in TABLE.actions[at].values() if a >= 0]
            reductions = {a for a in TABLE.actions[at].values() if a < 0}
            can_settle = bool(shifts) and TABLE.read[at] in EXPECTED
            if not reductions and not can_settle and TABLE.read[at] not in BEHIND:
                missing.add(TABLE.read[at])
            for reduction in reductions:
                origin, count, _ = TABLE.rules[-1 - reduction]
                for below in behind(at, count):
                    to = TABLE.gotos[below].get(origin)
                    if to is not None and to not in seen:
                        seen.add(to)
                        todo.append(to)
        assert actions, TABLE.read[state]
    assert not missing


def test_the_messages_are_about_states_that_exist() -> None:
    states = set(TABLE.read)
    assert set(EXPECTED) <= states
    assert {state for state, _ in SPECIAL} - {"*"} <= states


def test_a_code_stands_for_one_mistake() -> None:
    texts: dict[str, set[tuple[str, str]]] = {}
    for e in all_expectations():
        texts.setdefault(e.code, set()).add((e.problem, e.mend))
    assert {code: seen for code, seen in texts.items() if len(seen) > 1} == {}


def test_no_message_contains_the_name_of_a_terminal_or_rule() -> None:
    rules = {origin for origin, _, _ in TABLE.rules} - {
        # words that are English as well
        *("declaration", "expression", "argument", "arguments", "line", "names", "labels"),
        *("list", "items", "field", "fields", "sum", "product", "power", "comparison"),
        *("coordinate", "coordinates", "alternative", "signature", "target", "targets"),
    }
    terminals = {*TABLE.patterns, "EOL", "END"}
    for e in all_expectations():
        said = set(re.findall(r"[\w$]+", f"{e.problem} {e.mend}"))
        assert not said & (rules | terminals), e


def test_every_message_proposes_a_mend() -> None:
    for e in all_expectations():
        assert e.mend and not e.problem.endswith(".") and len(e.problem) < 120


def golden() -> list[Path]:
    return sorted(ERRORS.glob("*.mercer"))


@pytest.mark.parametrize("path", golden(), ids=lambda path: path.stem)
def test_errors_read_as_reviewed(path: Path) -> None:
    model, found = parse_partial(path.read_text(encoding="utf-8"), path.name)
    said = str(MercerError(found, {path.name: model.source})) + "\n"
    assert {d.code for d in found} == {path.stem.split("_")[0]}
    assert said == path.with_suffix(".txt").read_text(encoding="utf-8")


def test_every_code_has_a_reviewed_example() -> None:
    used = {e.code for e in all_expectations()}
    for module in (build, parse, scan, words):
        assert module.__file__ is not None
        text = Path(module.__file__).read_text(encoding="utf-8")
        used |= set(re.findall(r'"(M1\d\d)"', text))
    assert used | {"M184", "M197"} == {path.stem.split("_")[0] for path in golden()}
