"""Words that are right in other languages are told by what they are called here."""

from __future__ import annotations

import re

import pytest

import mercer
from mercer.compiler.rules_spaces import WORDS
from mercer.dsl import elsewhere
from mercer.stdlib import catalog

OURS = {
    *catalog.distributions(), *catalog.kernels(), *catalog.elementwise(), *catalog.reductions(),
    *WORDS, "standardize", "where",
}  # fmt: skip


def test_every_word_that_is_proposed_is_one_of_ours_and_none_that_it_stands_for_is() -> None:
    assert set(elsewhere._NAMES.values()) <= OURS
    small = {*elsewhere._NAMES, *elsewhere._WAYS, *elsewhere._SPACES}
    assert small.isdisjoint(OURS) and all(word == word.lower() for word in small)
    arguments = {p.name for e in (*catalog.distributions().values(), *catalog.kernels().values())
                 for p in e.parameters}  # fmt: skip
    assert {ours for known in elsewhere._ARGUMENTS.values() for ours in known} <= arguments


DATA = "data x[n], y[n] : Real\nb ~ Normal(0, 1)\n"
SAID = {
    "y ~ Normal(mu = b, sigma = 1)": ["`loc`", "`scale`"],
    "y ~ Normal(pow(x, 2) * b, 1)": ["write `x^2`"],
    "y ~ Normal(ifelse(x > 0, b, 0), 1)": ["here it is called `where`"],
    "s ~ InvGamma(2, 1)\ny ~ Normal(b, s)": ["here it is called `InverseGamma`"],
    "s ~ HalfCauchy(0, 5)\ny ~ Normal(b, s)": ["no location"],
    "f ~ GP(ExpQuad(ls = 1))\ny ~ Normal(f(x), 1)": ["here it is called `RBF`"],
    "data z[n] : Vector(3)": ["a vector is `Real^3`"],
    "data z[n] : Int": ["here it is called `Count`"],
    "y ~ Normal(x @ b, 1)": ["`sum(x * beta, d)`"],
    "y ~ Normal(mean, 1)": [],
    "y ~ Normal(mu, 1)": ["declare it"],
}


@pytest.mark.parametrize("line", SAID)
def test_a_word_of_another_language_gets_ours_and_a_name_left_out_does_not(line: str) -> None:
    with pytest.raises(mercer.MercerError) as caught:
        mercer.compile(f"{DATA}{line}\n")
    mends = [problem.mend or "" for problem in caught.value.diagnostics]
    for wanted in SAID[line]:
        assert any(re.search(re.escape(wanted), mend) for mend in mends), mends
    if line.startswith(("y ~ Normal(mean", "y ~ Normal(mu,")):
        assert not any("here it is called" in mend for mend in mends)


@pytest.mark.parametrize("law", ["Uniform(0, 10)", "Uniform(-2, 3)", "Uniform(0, 1)"])
def test_a_uniform_number_without_a_space_lies_where_its_law_does(law: str) -> None:
    model = mercer.compile(f"{DATA}u ~ {law}\ny ~ Normal(b + u * x, 1)\n")
    low, high = (float(end) for end in re.findall(r"-?\d+", law))
    draws = [float(model.simulate({"n": [0, 1], "x": [0, 1]}, seed=s)["u"]) for s in range(20)]
    assert low <= min(draws) < max(draws) <= high and max(draws) - min(draws) > (high - low) / 2
