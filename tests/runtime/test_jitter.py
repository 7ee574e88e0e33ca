"""What a factorisation had to add to its diagonal is kept, and told where it grew."""

from __future__ import annotations

import numpy as np
import pytest

import mercer

TEXT = """data t[n], y[n] : Real
f ~ GP(RBF(lengthscale = {lengthscale}, scale = 1))
y ~ Normal({location}, {noise})
"""
T = np.linspace(0.0, 1.0, 12)


def fitted(**words: object) -> mercer.Fit:
    text = TEXT.format(**{"location": "f(t)", "noise": 0.1, "lengthscale": 0.3, **words})
    data = {"t": T, "y": np.sin(T)}
    return mercer.compile(text).fit(data, "map", chains=1, draws=4, progress=False)


def test_no_jitter_is_noted_where_none_was_needed() -> None:
    fit = fitted()
    assert (fit.idata["sample_stats"]["jitter"].values == 0).all()
    assert fit.idata["posterior"].attrs["jitter"] == 0.0
    assert not any("added" in sentence for sentence in fit.diagnostics)


def test_jitter_that_grew_is_kept_and_told() -> None:
    fit = fitted(lengthscale=50, noise=1e-9)
    jitter = fit.idata["sample_stats"]["jitter"]
    assert jitter.dims == ("chain", "draw") and (jitter.values >= 1e-12).all()
    assert fit.idata["posterior"].attrs["jitter"] == pytest.approx(jitter.values.max())
    told = [sentence for sentence in fit.diagnostics if "covariance of the data" in sentence]
    assert len(told) == 1 and told[0].startswith("In 4 of 4 draws")


def test_values_of_functions_that_are_sampled_have_a_jitter_of_their_own() -> None:
    text = """data t[n] : Real
data k[n] : Count
f ~ GP(RBF(lengthscale = 0.3, scale = 1))
k ~ Poisson(exp(f(t)))
"""
    fit = mercer.compile(text).fit(
        {"t": T, "k": np.arange(12) % 3}, "map", chains=1, draws=4, progress=False
    )
    assert fit.idata["sample_stats"]["latent_jitter"].values == pytest.approx(1e-9)
    assert not any("singular" in sentence for sentence in fit.diagnostics)
