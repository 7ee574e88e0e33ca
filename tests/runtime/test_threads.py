"""Threads side by side give what one after another gives."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mercer.runtime import threads
from mercer.runtime.posterior import batches
from tests.runtime.fits import child_data, fitted


def test_results_come_in_the_order_of_the_inputs():
    found = threads.side_by_side(lambda x: jnp.sum(x**2), [jnp.arange(3.0) + i for i in range(9)])
    np.testing.assert_array_equal(found, [sum((k + i) ** 2 for k in range(3)) for i in range(9)])


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_number_of_threads_changes_no_draw(workers, monkeypatch):
    monkeypatch.setattr(threads, "workers", lambda: workers)

    def compute(key, draw, arrays):
        return draw["a"] * arrays["b"] + jax.random.normal(key, (3,))

    draws = {"a": np.arange(14.0)}
    arguments = {"b": np.arange(3.0)}
    found = batches.over_draws(compute, draws, arguments, seed=3, count=14, size=3)
    keys = jax.random.split(jax.random.key(3), 14)
    expected = [a * np.arange(3.0) + jax.random.normal(k, (3,)) for a, k in zip(draws["a"], keys)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_fault_in_a_thread_reaches_the_caller():
    def compute(key, draw, arrays):
        raise ZeroDivisionError("no")

    with pytest.raises(ZeroDivisionError):
        batches.over_draws(compute, {"a": np.arange(4.0)}, {}, seed=0, count=4, size=1)


def test_chains_in_threads_are_the_chains_in_turn():
    options = {"warmup": 30, "draws": 20, "chains": 3}
    found = [
        fitted("kidscore", child_data(), chain_method=method, **options).idata["posterior"]
        for method in ("threads", "sequential")
    ]
    for name in found[0].data_vars:
        np.testing.assert_allclose(found[0][name], found[1][name], rtol=1e-6)
