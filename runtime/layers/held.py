"""What layers of known weights make of images, kept and given again while what follows is sampled.

A program asks for it by `by_rows`, always in the same order. `recording` takes down what it gets,
and under `held` it gets that instead of going through the layers at every density.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from jax import Array

_RECORD: ContextVar[list[Array] | None] = ContextVar("record", default=None)
_HELD: ContextVar[Iterator[Array] | None] = ContextVar("held", default=None)


@contextmanager
def recording() -> Iterator[list[Array]]:
    """A list that gets all features that are made inside."""
    made: list[Array] = []
    token = _RECORD.set(made)
    try:
        yield made
    finally:
        _RECORD.reset(token)


@contextmanager
def held(features: Sequence[Array]) -> Iterator[None]:
    """Inside, no features are made: these are given, one after another."""
    token = _HELD.set(iter(features))
    try:
        yield
    finally:
        _HELD.reset(token)


def given_features() -> Array | None:
    """The next of the features that are held; None where none are."""
    left = _HELD.get()
    return None if left is None else next(left)


def noted(features: Array) -> Array:
    """The features, taken down where that is wanted."""
    if (made := _RECORD.get()) is not None:
        made.append(features)
    return features
