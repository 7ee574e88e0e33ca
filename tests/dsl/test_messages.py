"""Laws of the syntax errors: the table of messages is complete, stable, and speaks plainly."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from mercer.dsl import build, parse, scan, words
from mercer.dsl.diagnostic import MercerError
from mercer.dsl.expectations import EXPECTED, SPECIAL, Expectation
from mercer.dsl.messages import ENDS
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
    for state, read in enumerate(TABLE.read):
        todo, seen = [state], {state}
        while todo:
            at = todo.pop()
            actions = TABLE.actions[at]
            if all(action >= 0 for action in actions.values()) or ends_here(at):
                missing |= {TABLE.read[at]} - EXPECTED.keys() - BEHIND
            for reduction in {action for action in actions.values() if action < 0}:
                origin, count, _ = TABLE.rules[-1 - reduction]
                reached = {TABLE.gotos[below].get(origin) for below in behind(at, count)}
                todo += [to for to in reached if to is not None and to not in seen]
                seen |= {to for to in reached if to is not None}
        assert len(seen) > 1 or read in EXPECTED or read in BEHIND
    assert not missing


def ends_here(state: int) -> bool:
    """Whether what has been read is put together no further: see `messages.settle`."""
    first = next((TABLE.actions[state][end] for end in ENDS if end in TABLE.actions[state]), -1)
    return first >= 0


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
    if os.environ.get("REWRITE"):  # after a change of wording; review the diff
        path.with_suffix(".txt").write_text(said, encoding="utf-8")
    assert {d.code for d in found} == {path.stem.split("_")[0]}
    assert said == path.with_suffix(".txt").read_text(encoding="utf-8")


def test_every_code_has_a_reviewed_example() -> None:
    used = {e.code for e in all_expectations()}
    for module in (build, parse, scan, words):
        assert module.__file__ is not None
        text = Path(module.__file__).read_text(encoding="utf-8")
        used |= set(re.findall(r'"(M1\d\d)"', text))
    assert used | {"M184", "M197"} == {path.stem.split("_")[0] for path in golden()}
