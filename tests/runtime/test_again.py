"""A second fit of one model to other data of the same shapes traces and compiles nothing."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import mercer

TEXT = """
data x[n], y[n] : Real
f ~ GP(RBF())
s ~ HalfNormal(1)
y ~ Normal(f(x), s)
"""


@pytest.fixture
def compilations():
    """What is compiled from now on."""
    found: list[str] = []

    def listen(event: str, _: float, **__: object) -> None:
        if "backend_compile" in event:
            found.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield found
    jax.monitoring.unregister_event_duration_listener(listen)


def _data(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(0, 5, 17))
    return {"x": x, "y": np.sin(x) + 0.2 * rng.normal(size=17)}


@pytest.mark.parametrize("infer", ["nuts", "map"])
def test_a_second_fit_compiles_nothing(infer, compilations):
    new = {"x": np.linspace(0, 5, 7)}
    options = {"chains": 2, "warmup": 60, "draws": 60, "progress": False}
    fits = []
    for seed in range(2):
        before = len(compilations)
        fits.append(mercer.compile(TEXT).fit(_data(seed), infer, seed=seed, **options))
        fits[-1].predict(new)
        fits[-1].component("f", new)
    assert before > 0 and len(compilations) == before
    assert float(fits[0].idata.posterior["s"].mean()) != float(fits[1].idata.posterior["s"].mean())
