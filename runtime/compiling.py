"""A function turned into a program that XLA compiles quickly.

XLA has two ways to write the loops of a CPU program. The older writes loops as fast in about half
the time; and of LLVM's three levels of optimisation the last takes a third of the rest, most of it
for random numbers, which gain nothing. The first answer of a model is mostly compilation. JAX takes
options for whole programs only: what is called inside another is a plain `jax.jit`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import jax

_QUICK = {"xla_cpu_use_fusion_emitters": False, "xla_backend_optimization_level": 2}
_PLAIN = {"xla_backend_optimization_level": 0}


@cache
def options() -> dict[str, Any]:
    """What `compiler_options` of JAX are set to: nothing where there is no such choice."""
    if jax.default_backend() != "cpu":
        return {}
    try:
        jax.jit(lambda x: x, compiler_options=_QUICK).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:  # a version of XLA that does not know the word
        return {}
    return _QUICK


def quick_jit(function: Callable[..., Any], **more: Any) -> Callable[..., Any]:
    """`jax.jit` of a function that is called by itself, never inside another one."""
    return jax.jit(function, compiler_options=options() or None, **more)


@cache
def normal_numbers(shape: tuple[int, ...]) -> Callable[[Any], jax.Array]:
    """seed -> the standard normal numbers of a shape that JAX draws by it: they are drawn once, so
    that optimising their program is wasted."""

    def draw(seed: jax.Array) -> jax.Array:
        return jax.random.normal(jax.random.key(seed), shape)

    return jax.jit(draw, compiler_options={**options(), **_PLAIN} if options() else None)
