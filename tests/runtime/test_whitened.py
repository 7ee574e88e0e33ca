"""Laws of whitened values, of simulation, and of NumPyro's chains over an exact block."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.handlers import seed, substitute, trace

from mercer.runtime.engines import whitened
from mercer.runtime.engines.gaussian import (
    Affine,
    Dense,
    Gaussian,
    RandomFunction,
    Site,
    Term,
    Weights,
    observe,
)
from mercer.stdlib.kernels import RBF
from mercer.stdlib.points import Points

ROOT = Path(__file__).parents[2]
CHAINS = Path(__file__).with_name("chains_program.py")
X = np.linspace(0, 3, 6)[:, None]


def _processes():
    return {"f": RandomFunction(RBF(lengthscale=0.8, scale=1.5)), "b": Weights(sd=2.0)}


def _sites():
    return {
        "f(x)": Site("f", Points((jnp.asarray(X),)), 6),
        "f(z)": Site("f", Points((jnp.asarray(X[:2] + 0.1),)), 2),
        "b": Site("b", size=3),
    }


def test_whitened_values_have_the_prior_law():
    values = jax.vmap(lambda key: seed(lambda: whitened.sample(_processes(), _sites()), key)())(
        jax.random.split(jax.random.key(0), 20000)
    )
    x = np.concatenate([X, X[:2] + 0.1])
    expected = 1.5**2 * np.exp(-0.5 * ((x - x.T) / 0.8) ** 2)
    together = jnp.concatenate([values["f(x)"], values["f(z)"]], axis=1)
    np.testing.assert_allclose(np.cov(together.T) / 2.25, expected / 2.25, atol=0.05)
    np.testing.assert_allclose(values["b"].std(0), 2.0, rtol=0.03)


def test_given_values_are_interpolated_and_drawn_through():
    values = seed(lambda: whitened.sample(_processes(), _sites()), 1)()
    block = whitened.given(_processes(), _sites(), values)
    at_data = Affine(0.0, (Term("f(x)"),), (6,))
    mean, variance = block.condition({}, at_data)
    np.testing.assert_allclose(mean, values["f(x)"], atol=1e-3)
    assert (variance < 1e-6).all()
    draw = block.draw(jax.random.key(2), {"f": at_data})["f"]
    np.testing.assert_allclose(draw, values["f(x)"], atol=1e-3)


def _law(noise=0.3):
    return Gaussian(Affine(1.0, (Term("f(x)"),), (6,)), noise)


def test_observe_adds_the_joint_density():
    y = np.arange(6.0)
    sites = {"f(x)": _sites()["f(x)"]}
    steps = trace(lambda: observe(_processes(), sites, {"y": _law()}, {"y": y})).get_trace()
    expected = Dense(_processes(), sites, {"y": (_law(), y, None)}).log_density()
    np.testing.assert_allclose(steps["block"]["fn"].log_factor, expected)


def test_an_outcome_left_out_is_simulated_given_the_others():
    sites = {"f(x)": _sites()["f(x)"]}
    laws = {"y": _law(), "again": _law(0.0)}
    y = np.sin(np.arange(6.0))

    def simulate(key):
        run = seed(lambda: observe(_processes(), sites, laws, {"y": y, "again": None}), key)
        return run()["again"]

    draws = jax.jit(jax.vmap(simulate))(jax.random.split(jax.random.key(0), 20000))
    block = Dense(_processes(), sites, {"y": (laws["y"], y, None)})
    mean, variance = block.condition({}, laws["again"].mean)
    np.testing.assert_allclose((draws.mean(0) - mean) / variance**0.5, 0.0, atol=0.04)
    np.testing.assert_allclose(draws.std(0), variance**0.5, rtol=0.04)


@pytest.mark.parametrize(
    ("whose", "method"),
    [
        *(("mercer", method) for method in ("threads", "sequential", "vectorized", "parallel")),
        *(("numpyro", method) for method in ("vectorized", "parallel")),
    ],
)
def test_chains_over_a_thousand_points_finish_in_time(whose, method):
    """In a process of its own: a chain that waits for ever, as batched LAPACK does, is killed."""
    devices = "2" if method == "parallel" else "1"
    done = subprocess.run(
        [sys.executable, str(CHAINS), whose, method],
        env=os.environ
        | {
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
            "PYTHONPATH": str(ROOT),
            "JAX_PLATFORMS": "cpu",
        },
        capture_output=True,
        text=True,
        timeout=300,  # of the wall clock: other work on the machine counts
        check=False,
    )
    assert done.returncode == 0, done.stderr
    count, *draws = done.stdout.split()
    assert count == devices and len(set(draws)) >= 2


def test_whitened_values_are_differentiable():
    def total(lengthscale):
        processes = {"f": RandomFunction(RBF(lengthscale=lengthscale, scale=1.5))}
        sites = {"f(x)": _sites()["f(x)"]}
        white = {"f.whitened": jnp.arange(6.0)}
        run = substitute(lambda: whitened.sample(processes, sites), white)
        return jnp.sum(jnp.sin(run()["f(x)"]))

    slope = (total(0.8 + 1e-5) - total(0.8 - 1e-5)) / 2e-5
    np.testing.assert_allclose(jax.grad(total)(0.8), slope, rtol=1e-5)
