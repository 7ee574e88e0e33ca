"""The table of mean functions, for `GP(kernel, mean = ...)`; a number is a constant mean."""

from __future__ import annotations

from typing import Any

from mercer.stdlib.entry import Entry, Parameter
from mercer.stdlib.lazy import jnp


def identity(x: Any) -> Any:
    return x


def linear(x: Any, weights: Any, bias: Any = 0.0) -> Any:
    """x [n, d], weights [d] or [d, p]."""
    return jnp.asarray(x) @ weights + bias


MEANS = (
    Entry("Identity", (), "f(x) = x: from a space to itself.", identity, "x"),
    Entry(
        "Linear",
        (
            Parameter("weights", "Real", "weights", False, per_coordinate=True),
            Parameter("bias", "Real", 0.0, False),
        ),
        "A random linear map.",
        linear,
        "weights x + bias",
    ),
)
