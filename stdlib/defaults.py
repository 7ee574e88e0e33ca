"""Names of default priors into laws relative to the data that they meet.

A law is written as a model would write it. `input` stands for the spread of the inputs that a
kernel sees (root mean square over coordinates of their standard deviations) and `outcome` for the
standard deviation of the outcome on the scale of its link; both are taken once, at the fit.
"""

from __future__ import annotations

from dataclasses import dataclass

from mercer.stdlib.entry import Entry


@dataclass(frozen=True)
class DefaultEntry(Entry):
    """`law` in the words of the language; `space` is that of the unknown."""

    law: str = ""
    space: str = "Positive"


def _default(name: str, law: str, doc: str, space: str = "Positive") -> DefaultEntry:
    return DefaultEntry(name, (), doc, None, formula=law, law=law, space=space)


DEFAULTS = (
    _default(
        "lengthscale",
        "LogNormal(log(input), 1)",
        "between a seventh and seven times the spread of the inputs, with 95 % probability",
    ),
    _default("period", "LogNormal(log(input), 1)", "as uncertain as a lengthscale"),
    _default("scale", "HalfNormal(outcome)", "no larger than about twice the outcome's spread"),
    _default("slope", "HalfNormal(outcome / input)", "the outcome's spread over that of the input"),
    _default("dimensionless", "LogNormal(0, 1)", "a ratio, around 1"),
    _default("weights", "Normal(0, 1)", "weights without units", "Real"),
    _default("coregion_weights", "Normal(0, outcome)", "each label's share of a function", "Real"),
    _default("coregion_kappa", "HalfNormal(outcome^2)", "the variance of a label's own part"),
)
