"""Fits of the programs in `programs/`, made once and shared by the tests."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np

from mercer.runtime.data.bind import bind
from mercer.runtime.posterior.fit import Fit
from mercer.runtime.run import run
from tests.runtime.data_models import needs

_DATA = {
    "gp_regr": ("data x[n], y[n] : Real", "y"),
    "gp_pois_regr": ("data x[n] : Real\ndata k[n] : Count", "k"),
    "eight_schools": ("data y[school] : Real\ndata sigma[school] : Positive", "y"),
    "kidscore": ("data kid_score[child], mom_hs[child], mom_iq[child] : Real", "kid_score"),
}
SCHOOLS = {
    "school": list("ABCDEFGH"),
    "y": [28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0],
    "sigma": [15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0],
}


def rebind(name: str) -> Any:
    """`bind(new, fitted)` for a program."""
    text, outcome = _DATA[name]
    return lambda new, fitted: bind(needs(text, outcomes=outcome), new, fitted=fitted)


def fitted(name: str, data: dict[str, Any], **options: Any) -> Fit:
    """A program fitted to data."""
    program = import_module(f"tests.runtime.programs.{name}")
    text, outcome = _DATA[name]
    bound = bind(needs(text, outcomes=outcome), data)
    settings = {"chains": 2, "warmup": 150, "draws": 150, "seed": 1, **options}
    return run(program, bound, bind=rebind(name), **settings)


def regression_data() -> dict[str, Any]:
    """A sine under noise, with one missing value."""
    rng = np.random.default_rng(3)
    x = np.linspace(-10, 10, 25)
    y = 2 * np.sin(x / 3) + 0.4 * rng.normal(size=25)
    y[7] = np.nan
    return {"x": x, "y": y}


def count_data() -> dict[str, Any]:
    rng = np.random.default_rng(5)
    x = np.linspace(-10, 10, 16)
    return {"x": x, "k": rng.poisson(np.exp(1 + np.sin(x / 3))).astype(float)}


def child_data() -> dict[str, Any]:
    rng = np.random.default_rng(7)
    hs, iq = rng.integers(0, 2, 60).astype(float), rng.normal(100, 15, 60)
    return {"mom_hs": hs, "mom_iq": iq, "kid_score": 25 + 6 * hs + 0.5 * iq + rng.normal(0, 15, 60)}


@lru_cache
def regression() -> Fit:
    return fitted("gp_regr", regression_data())


@lru_cache
def schools() -> Fit:
    return fitted("eight_schools", SCHOOLS)


@lru_cache
def counts() -> Fit:
    return fitted("gp_pois_regr", count_data())


@lru_cache
def children() -> Fit:
    return fitted("kidscore", child_data())
