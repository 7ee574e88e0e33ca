"""Elementwise functions and operators: their JAX text, and the space of a result.

`space_of` reads and gives names of spaces ("Real", "Positive", "Unit", "Count", "Bool",
"Interval", ...); what it does not know it calls "Real".
"""

from __future__ import annotations

from collections.abc import Callable

from mercer.stdlib.entry import ElementwiseEntry, Parameter
from mercer.stdlib.lazy import LazyModule, jax, jnp

Spaces = tuple[str, ...]

_AT_LEAST_ZERO = ("Positive", "Unit", "Count", "Bool")


def _real(spaces: Spaces) -> str:
    return "Real"


def _positive(spaces: Spaces) -> str:
    return "Positive"


def _unit(spaces: Spaces) -> str:
    return "Unit"


def _bool(spaces: Spaces) -> str:
    return "Bool"


def _same(spaces: Spaces) -> str:
    """A function from `Positive` to `Positive`; else nothing is known."""
    return "Positive" if spaces[0] == "Positive" else "Real"


def _sum(spaces: Spaces) -> str:
    """Positive where one is > 0 and the other at least 0; counts stay counts."""
    if all(s in ("Count", "Bool") for s in spaces):
        return "Count"
    if "Positive" in spaces and all(s in _AT_LEAST_ZERO for s in spaces):
        return "Positive"
    return "Real"


def _product(spaces: Spaces) -> str:
    for known in (("Bool",), ("Bool", "Unit"), ("Bool", "Count"), ("Positive",)):
        if all(s in known for s in spaces):
            return known[-1]
    return "Real"


def _quotient(spaces: Spaces) -> str:
    return "Positive" if spaces == ("Positive", "Positive") else "Real"


def _power(spaces: Spaces) -> str:
    return "Positive" if spaces[0] == "Positive" else "Real"


def _join(spaces: Spaces) -> str:
    return spaces[0] if len(set(spaces)) == 1 else "Real"


def _largest(spaces: Spaces) -> str:
    return "Positive" if "Positive" in spaces else _join(spaces)


def _word(
    name: str,
    doc: str,
    source: str,
    space_of: Callable[[Spaces], str] = _real,
    *,
    arguments: tuple[tuple[str, str], ...] = (("x", "Real"),),
    monotone: int = 0,
    inverse: str | None = None,
    formula: str = "",
) -> ElementwiseEntry:
    special = LazyModule("jax.scipy.special")

    def implementation(*values: object) -> object:
        # The text is the only definition: what the emitter writes is what a test evaluates.
        from mercer.stdlib.roots import root

        names = {"jnp": jnp, "jax": jax, "special": special, "root": root}
        formals = [chr(97 + i) for i in range(len(values))]
        return eval(source.format(*formals), names, dict(zip(formals, values, strict=True)))

    return ElementwiseEntry(
        name=name,
        parameters=tuple(Parameter(n, s) for n, s in arguments),
        doc=doc,
        implementation=implementation,
        formula=formula,
        arity=len(arguments),
        space_of=space_of,
        monotone=monotone,
        inverse=inverse,
        source=source,
    )


_TWO = (("x", "Real"), ("y", "Real"))

OPERATORS = (
    _word("add", "x + y", "{0} + {1}", _sum, arguments=_TWO),
    _word("subtract", "x - y", "{0} - {1}", arguments=_TWO),
    _word("multiply", "x * y", "{0} * {1}", _product, arguments=_TWO),
    _word("divide", "x / y", "{0} / {1}", _quotient, arguments=_TWO),
    _word("power", "x ^ y", "{0} ** {1}", _power, arguments=_TWO),
    _word("negative", "-x", "-{0}", monotone=-1, inverse="negative"),
    _word("less", "x < y", "jnp.asarray({0} < {1}, float)", _bool, arguments=_TWO),
    _word("less_equal", "x <= y", "jnp.asarray({0} <= {1}, float)", _bool, arguments=_TWO),
    _word("greater", "x > y", "jnp.asarray({0} > {1}, float)", _bool, arguments=_TWO),
    _word("greater_equal", "x >= y", "jnp.asarray({0} >= {1}, float)", _bool, arguments=_TWO),
    _word("equal", "x == y", "jnp.asarray({0} == {1}, float)", _bool, arguments=_TWO),
    _word("not_equal", "x != y", "jnp.asarray({0} != {1}, float)", _bool, arguments=_TWO),
)

_POSITIVE = (("x", "Positive"),)
_OF_UNIT = (("x", "Unit"),)

FUNCTIONS = (
    _word("exp", "e to the power x", "jnp.exp({0})", _positive, monotone=1, inverse="log"),
    _word("log", "the natural logarithm", "jnp.log({0})", arguments=_POSITIVE, monotone=1,
          inverse="exp"),
    _word("sqrt", "the square root", "root({0})", _same, arguments=_POSITIVE, monotone=1),
    _word("abs", "the size without the sign", "jnp.abs({0})", _same),
    _word("sign", "-1, 0 or 1", "jnp.sign({0})"),
    _word("floor", "the next whole number below", "jnp.floor({0})"),
    _word("ceil", "the next whole number above", "jnp.ceil({0})"),
    _word("round", "the nearest whole number", "jnp.round({0})"),
    _word("sin", "of radians", "jnp.sin({0})"),
    _word("cos", "of radians", "jnp.cos({0})"),
    _word("tan", "of radians", "jnp.tan({0})"),
    _word("asin", "inverse of sin, in radians", "jnp.arcsin({0})", monotone=1),
    _word("acos", "inverse of cos, in radians", "jnp.arccos({0})", monotone=-1),
    _word("atan", "inverse of tan, in radians", "jnp.arctan({0})", monotone=1),
    _word("atan2", "the angle of the point (x, y), written atan2(y, x)", "jnp.arctan2({0}, {1})",
          arguments=(("y", "Real"), ("x", "Real"))),
    _word("sinh", "hyperbolic sine", "jnp.sinh({0})", monotone=1, inverse="asinh"),
    _word("asinh", "inverse of sinh", "jnp.arcsinh({0})", monotone=1, inverse="sinh"),
    _word("cosh", "hyperbolic cosine", "jnp.cosh({0})", _positive),
    _word("tanh", "hyperbolic tangent", "jnp.tanh({0})", monotone=1, inverse="atanh"),
    _word("atanh", "inverse of tanh", "jnp.arctanh({0})", monotone=1, inverse="tanh"),
    _word("expm1", "exp(x) - 1, exact near 0", "jnp.expm1({0})", _same, monotone=1,
          inverse="log1p"),
    _word("log1p", "log(1 + x), exact near 0", "jnp.log1p({0})", _same, monotone=1,
          inverse="expm1"),
    _word("logistic", "1 / (1 + exp(-x))", "jax.nn.sigmoid({0})", _unit, monotone=1,
          inverse="logit"),
    _word("sigmoid", "1 / (1 + exp(-x)), as `logistic`", "jax.nn.sigmoid({0})", _unit, monotone=1,
          inverse="logit"),
    _word("logit", "log(x / (1 - x))", "jax.scipy.special.logit({0})", arguments=_OF_UNIT,
          monotone=1, inverse="logistic"),
    _word("softplus", "log(1 + exp(x))", "jax.nn.softplus({0})", _positive, monotone=1),
    _word("relu", "x where it is positive, else 0", "jax.nn.relu({0})", _same),
    _word("Phi", "the distribution function of the standard Normal",
          "jax.scipy.special.ndtr({0})", _unit, monotone=1, inverse="probit"),
    _word("probit", "inverse of Phi", "jax.scipy.special.ndtri({0})", arguments=_OF_UNIT,
          monotone=1, inverse="Phi"),
    _word("erf", "the error function", "jax.scipy.special.erf({0})", monotone=1),
    _word("erfc", "1 - erf(x)", "jax.scipy.special.erfc({0})", _positive, monotone=-1),
    _word("lgamma", "the logarithm of the gamma function", "jax.scipy.special.gammaln({0})",
          arguments=_POSITIVE),
    _word("digamma", "the derivative of lgamma", "jax.scipy.special.digamma({0})",
          arguments=_POSITIVE, monotone=1),
    _word("maximum", "the larger of two", "jnp.maximum({0}, {1})", _largest, arguments=_TWO),
    _word("minimum", "the smaller of two", "jnp.minimum({0}, {1})", _join, arguments=_TWO),
    _word("where", "y where x is true, else z", "jnp.where({0}, {1}, {2})",
          lambda spaces: _join(spaces[1:]),
          arguments=(("x", "Bool"), ("y", "Real"), ("z", "Real"))),
)  # fmt: skip

ELEMENTWISE = (*OPERATORS, *FUNCTIONS)
