"""The listing of a syntax tree shows every node once, where it stands."""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise

from hypothesis import given, settings

from mercer.dsl import syntax
from mercer.dsl.format import format_model
from mercer.dsl.parse import parse
from mercer.dsl.show import show_syntax
from tests.dsl.strategies import models


def test_a_tree_reads_from_the_whole_to_its_parts() -> None:
    text = '"A line."\nf : Real -> Real ~ GP(RBF(lengthscale[d] ~ LogNormal(0, 1)))  "doc"\n'
    lines = show_syntax(parse(text)).splitlines()
    assert lines[0] == "Model 'A line.'"
    assert lines[1].startswith("  Tilde") and lines[1].endswith("@2:1")
    depths = [len(line) - len(line.lstrip()) for line in lines]
    assert all(below <= above + 2 for above, below in pairwise(depths))
    assert any("lengthscale [d] ~" in line for line in lines)


@given(models())
@settings(max_examples=60, deadline=None)
def test_every_node_has_its_line(model: syntax.Model) -> None:
    assert len(show_syntax(model).splitlines()) == 1 + sum(map(_nodes, model.declarations))


@given(models())
@settings(max_examples=60, deadline=None)
def test_equal_listings_without_places_mean_equal_trees(model: syntax.Model) -> None:
    again = parse(format_model(model))
    assert _without_places(show_syntax(again)) == _without_places(show_syntax(model))


def _nodes(value: object) -> int:
    if isinstance(value, tuple):
        return sum(map(_nodes, value))
    if not isinstance(value, syntax.Node):
        return 0
    return 1 + sum(_nodes(getattr(value, f.name)) for f in fields(value) if f.compare)


def _without_places(listing: str) -> list[str]:
    return [line.rpartition("  @")[0] for line in listing.splitlines()[1:]]
