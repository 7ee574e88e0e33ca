"""Hypothesis strategies for syntax trees of well-formed models."""

from __future__ import annotations

from hypothesis import strategies as st

from mercer.dsl import syntax
from mercer.dsl.span import Source, Span

NOWHERE = Span("<generated>", 1, 1, 1, 1)

_LETTERS = "abcxyzABCXYZαβé"
_REFUSED = ("else", "data", "index", "def", "use", "infer", "by")


def names() -> st.SearchStrategy[str]:
    """Names as users write them, those of contextual words and other scripts among them."""
    plain = st.text(_LETTERS + "0123456789_", max_size=6).flatmap(
        lambda rest: st.sampled_from(_LETTERS).map(lambda first: first + rest)
    )
    return st.one_of(plain, st.sampled_from(_REFUSED[1:]))


def index_names() -> st.SearchStrategy[str]:
    return st.one_of(names(), names().map(lambda name: name + "'"))


def texts() -> st.SearchStrategy[str]:
    """What a string can hold: anything that prints, and the four escapes."""
    return st.text(
        st.one_of(st.characters(exclude_categories=("C", "Zl", "Zp")), st.sampled_from('"\\\n\t')),
        max_size=12,
    )


def numbers() -> st.SearchStrategy[syntax.Number]:
    return st.one_of(
        st.integers(0, 10**6).map(str),
        st.floats(0, 1e6).map(str),
        st.sampled_from(["1e-3", "2.50", "007", "1E5"]),
    ).map(lambda text: syntax.Number(text, span=NOWHERE))


def expressions(max_leaves: int = 15) -> st.SearchStrategy[syntax.Expression]:
    """Expressions and spaces of every kind."""
    leaves = st.one_of(
        index_names().map(lambda name: syntax.Name(name, span=NOWHERE)),
        numbers(),
        texts().map(lambda value: syntax.String(value, span=NOWHERE)),
        st.just(syntax.List((), span=NOWHERE)),
    )
    return st.recursive(leaves, _larger, max_leaves=max_leaves)


def _larger(part: st.SearchStrategy[syntax.Expression]) -> st.SearchStrategy[syntax.Expression]:
    operators = st.sampled_from("+ - * / ^ < <= > >= == != |> else".split())
    some = st.lists(part, min_size=1, max_size=3).map(tuple)
    arguments = st.lists(_arguments(part), max_size=3).map(tuple)
    fields = st.lists(_fields(part), min_size=1, max_size=3).map(tuple)
    coordinates = st.lists(st.tuples(names(), part), min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.builds(syntax.Binary, operators, part, part, span=st.just(NOWHERE)),
        st.builds(syntax.Unary, st.sampled_from("+-"), part, span=st.just(NOWHERE)),
        st.builds(syntax.Call, part, arguments, span=st.just(NOWHERE)),
        st.builds(syntax.Lookup, part, some, span=st.just(NOWHERE)),
        st.builds(syntax.Member, part, names(), span=st.just(NOWHERE)),
        st.builds(syntax.List, some, span=st.just(NOWHERE)),
        st.builds(syntax.Record, fields, span=st.just(NOWHERE)),
        st.builds(syntax.NamedProduct, coordinates, span=st.just(NOWHERE)),
    )


def _arguments(part: st.SearchStrategy[syntax.Expression]) -> st.SearchStrategy[syntax.Argument]:
    indices = st.lists(index_names(), max_size=2).map(tuple)
    return st.one_of(
        st.builds(syntax.Argument, part, span=st.just(NOWHERE)),
        _fields(part),
        st.builds(syntax.Argument, part, names(), indices, st.just("~"), span=st.just(NOWHERE)),
    )


def _fields(part: st.SearchStrategy[syntax.Expression]) -> st.SearchStrategy[syntax.Argument]:
    return st.builds(
        syntax.Argument, part, names(), st.just(()), st.just("="), span=st.just(NOWHERE)
    )


def targets() -> st.SearchStrategy[syntax.Target]:
    indices = st.lists(index_names(), max_size=3).map(tuple)
    return st.builds(syntax.Target, names(), indices, span=st.just(NOWHERE))


def declarations() -> st.SearchStrategy[syntax.Declaration]:
    """Declarations of every kind, with and without documentation."""
    here, part = st.just(NOWHERE), expressions()
    common = {"doc": st.none() | texts(), "span": here}
    labels = st.one_of(
        st.builds(syntax.Range, part, part, span=here),
        st.builds(syntax.List, st.lists(part, max_size=3).map(tuple), span=here),
    )
    methods = st.builds(
        syntax.Call,
        names().map(lambda name: syntax.Name(name, span=NOWHERE)),
        st.lists(_arguments(part), max_size=2).map(tuple),
        span=here,
    )
    signature = st.builds(syntax.Signature, st.none() | part, part, span=here)
    dotted = st.lists(names(), min_size=1, max_size=3).map(".".join)
    return st.one_of(
        st.builds(
            syntax.Data, st.lists(targets(), min_size=1, max_size=3).map(tuple), part, **common
        ),
        st.builds(syntax.Index, names(), labels, name_span=here, **common),
        st.builds(syntax.Tilde, targets(), st.none() | signature, part, **common),
        st.builds(syntax.Define, targets(), part, **common),
        st.builds(
            syntax.Def, names(), st.lists(names(), max_size=3).map(tuple), part,
            name_span=here, **common,
        ),
        st.builds(syntax.Use, texts(), **common),
        st.builds(syntax.Infer, st.none() | dotted, methods, **common),
    )  # fmt: skip


def models() -> st.SearchStrategy[syntax.Model]:
    """Whole models; their spans and their source say nothing."""
    return st.builds(
        syntax.Model,
        st.lists(declarations(), min_size=1, max_size=6).map(tuple),
        st.none() | texts(),
        source=st.just(Source("<generated>", "")),
        span=st.just(NOWHERE),
    )
