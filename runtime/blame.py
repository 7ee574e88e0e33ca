"""A point without a finite density turned into the name of the term that makes it so, and a row."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpyro.handlers import seed, substitute, trace
from numpyro.infer.util import constrain_fn

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.dsl.span import Source, Span


class Culprit(NamedTuple):
    """The outcome or unknown `name`; `row`: its first impossible one, `value`: what that holds."""

    name: str
    row: tuple[int, ...] = ()
    value: float = np.nan


class NoStart(MercerError):
    """M603: no start has a finite density. `culprit` is the term to blame, where one was found."""

    def __init__(
        self,
        culprit: Culprit | None,
        span: Span | None = None,
        sources: Mapping[str, Source] | None = None,
    ) -> None:
        self.culprit = culprit
        problem = "no starting point of finite density was found"
        why = "the data are impossible under every value of the unknowns that was tried"
        if culprit is not None:
            row = f" in row {', '.join(str(i + 1) for i in culprit.row)}" if culprit.row else ""
            held = "" if np.isnan(culprit.value) else f", which is {culprit.value:.6g},"
            why = f"{culprit.name}{row}{held} has no finite density at any of the points tried"
        mend = "check the data and the priors: `simulate` shows what the model expects"
        super().__init__([Diagnostic("M603", problem, span, why=why, mend=mend)], sources)


def culprit_of(
    model: Callable[..., Any], arrays: Mapping[str, Any], unknowns: Mapping[str, Any]
) -> Culprit | None:
    """The first term of `model` without a finite density at unconstrained `unknowns`.

    Outcomes come before unknowns: a prior is seldom wrong alone.
    """
    values = constrain_fn(model, (), dict(arrays), dict(unknowns))
    sites = trace(substitute(seed(model, 0), data=values)).get_trace(**arrays)
    found = [site for site in sites.values() if site["type"] == "sample"]
    for site in sorted(found, key=lambda site: not site["is_observed"]):
        with warnings.catch_warnings():  # that a value is outside the support, which is told below
            warnings.simplefilter("ignore")
            density = np.asarray(site["fn"].log_prob(site["value"]))
        if not np.isfinite(density).all():
            at = tuple(int(i) for i in np.argwhere(~np.isfinite(density))[0])
            value = np.asarray(site["value"], dtype=float)
            is_plain = site["is_observed"] and value.shape == density.shape and value.ndim
            return Culprit(str(site["name"]), at, float(value[at]) if is_plain else np.nan)
    return None
