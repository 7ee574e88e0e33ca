"""Truncated, censored, weighted and transformed laws: their log densities, from SciPy's laws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mercer.dsl import syntax
from tests.reference import laws
from tests.reference.arrays import Named

if TYPE_CHECKING:
    from tests.reference.interpreter import Reference

_WORDS = {
    "Truncated": ("distribution", "low", "high"),
    "Censored": ("distribution", "below", "above"),
    "Weighted": ("distribution", "weight"),
}
_DRAW = "the draw"


def is_wrapped(law: syntax.Expression | None) -> bool:
    return _parts(law) is not None


def unwrapped(law: syntax.Expression) -> tuple[syntax.Expression, list[syntax.Expression]]:
    """The law inside, and the expressions around it that no draw is an argument of."""
    others: list[syntax.Expression] = []
    while (parts := _parts(law)) is not None:
        word, arguments = parts
        law = arguments.pop("distribution")
        others += arguments.values() if word != "|>" else ()
    return law, others


def log_density(
    reference: Reference, law: syntax.Expression, owner: str, dims: tuple[str, ...], y: np.ndarray
) -> np.ndarray:
    """At every row of `y`, over `dims`."""
    sizes = dict(zip(dims, y.shape, strict=True))
    parts = _parts(law)
    if parts is None:
        word, a = _plain(reference, law, owner, dims, sizes)
        return np.asarray(laws.log_probability(word, a, y))
    word, arguments = parts
    base = arguments.pop("distribution")
    if word == "|>":
        return _pushed(reference, base, arguments["image"], owner, dims, y)
    inside = log_density(reference, base, owner, dims, y)
    around = {k: reference.number(node).ordered(dims, sizes) for k, node in arguments.items()}
    if word == "Weighted":
        return np.asarray(around["weight"] * inside)
    name, a = _plain(reference, base, owner, dims, sizes)
    known = laws.frozen(name, a)
    step = 1 if hasattr(known.dist, "pmf") else 0  # a bound of whole numbers is inside
    if word == "Truncated":
        low, high = around.get("low"), around.get("high")
        low = -np.inf if low is None else low - step
        return np.asarray(inside - _log_between(known, low, np.inf if high is None else high))
    below_, above_ = (around.get(k, np.zeros(y.shape)) != 0 for k in ("below", "above"))
    return np.select([below_, above_], [known.logcdf(y - step), known.logsf(y)], inside)


def _log_between(known: Any, low: Any, high: Any) -> np.ndarray:
    """log P(low < draw <= high), as a difference in the nearer tail."""

    def difference(more: Any, less: Any) -> Any:
        return more + np.log(-np.expm1(less - more))

    with np.errstate(divide="ignore", invalid="ignore"):  # in the tail that is not taken
        upper = difference(known.logsf(low), known.logsf(high))
        lower = difference(known.logcdf(high), known.logcdf(low))
    return np.asarray(np.where(known.logsf(low) < known.logcdf(high), upper, lower))


def _pushed(
    reference: Reference,
    base: syntax.Expression,
    image: syntax.Expression,
    owner: str,
    dims: tuple[str, ...],
    y: np.ndarray,
) -> np.ndarray:
    """By bisection for the draw, and differences of fourth order for the slope there."""
    call = syntax.Call(
        image, (syntax.Argument(syntax.Name(_DRAW, span=image.span), span=image.span),),
        span=image.span,
    )  # fmt: skip
    node: Any = call
    if isinstance(image, syntax.Name) and image.id in reference.defs:
        node = reference.expanded(image.id, call.arguments)

    def forward(draw: np.ndarray) -> np.ndarray:
        reference.memo[_DRAW] = Named(dims, draw)
        found = reference.number(node)
        return found.ordered(dims, dict(zip(dims, y.shape, strict=True)))

    word = "" if _parts(base) else reference.law_with_arguments(base, owner)[0]
    lowest, highest = {"Positive": (1e-9, 50.0), "Unit": (1e-9, 1 - 1e-9)}.get(
        laws.SUPPORT.get(word, "Real"), (-50.0, 50.0)
    )
    low, high = np.full(y.shape, lowest), np.full(y.shape, highest)
    rises = forward(high) > forward(low)
    for _ in range(200):
        middle = (low + high) / 2
        beyond = (forward(middle) > y) == rises
        low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
    draw, step = (low + high) / 2, 1e-3
    near, far = (forward(draw + k * step) - forward(draw - k * step) for k in (1, 2))
    slope = np.abs(8 * near - far) / (12 * step)
    return log_density(reference, base, owner, dims, draw) - np.log(slope)


def _plain(
    reference: Reference,
    law: syntax.Expression,
    owner: str,
    dims: tuple[str, ...],
    sizes: dict[str, int],
) -> tuple[str, dict[str, np.ndarray]]:
    word, arguments = reference.law_with_arguments(law, owner)
    return word, {k: v.ordered(dims, sizes) for k, v in arguments.items()}


def _parts(law: Any) -> tuple[str, dict[str, syntax.Expression]] | None:
    """The word of a wrapper and what it holds, by name; None for a plain distribution."""
    match law:
        case syntax.Binary("|>", base, image):
            return "|>", {"distribution": base, "image": image}
        case syntax.Call(syntax.Name(word), arguments) if word in _WORDS:
            names = _WORDS[word]
            return word, {a.name or names[i]: a.value for i, a in enumerate(arguments)}
    return None
