"""A suggestion is the nearest name, and none is better than a far one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercer.dsl.suggest import nearest, slips_between

WORDS = st.text("abcd", max_size=7)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Matern23", "Matern32"),
        ("normal", "Normal"),
        ("HalfNorml", "HalfNormal"),
        ("lenghtscale", "lengthscale"),
        ("sgima", "sigma"),
        ("Period", "Periodic"),
    ],
)
def test_slips_of_the_fingers_are_seen_through(written: str, meant: str) -> None:
    names = ["Normal", "HalfNormal", "Matern32", "Periodic", "lengthscale", "sigma", "x", "mu"]
    assert nearest(written, names) == meant


@pytest.mark.parametrize("written", ["", "q", "zeta", "temperature"])
def test_what_is_far_from_everything_gets_no_suggestion(written: str) -> None:
    assert nearest(written, ["x", "mu", "sigma", "Normal"]) is None


def test_a_name_is_never_its_own_mend() -> None:
    assert nearest("sigma", ["sigma"]) is None


@given(WORDS, WORDS, WORDS)
def test_slips_are_a_symmetric_count_between_zero_and_the_longer_length(
    a: str, b: str, c: str
) -> None:
    assert slips_between(a, b) == slips_between(b, a) <= max(len(a), len(b))
    assert (slips_between(a, b) == 0) == (a == b)
    assert slips_between(c + a, c + b) <= slips_between(a, b)


@given(WORDS, st.lists(WORDS))
def test_the_order_of_candidates_does_not_matter(word: str, candidates: list[str]) -> None:
    assert nearest(word, candidates) == nearest(word, candidates[::-1])
