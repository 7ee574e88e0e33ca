"""eight_schools.mercer: theta ~ Normal(mu, tau) integrated out exactly, and mu with it; tau by NUTS."""

import jax.numpy as jnp
import numpy as np
import numpyro
from numpyro import distributions as dist

from mercer.runtime.gaussian import Affine, Dense, Gaussian, Site, Term, Weights
from mercer.runtime.inference import Inference

INFERENCE = Inference(lane="exact", method="nuts", settings={})
NAMES = {"y": "y", "sigma": "sigma", "mu": "mu", "tau": "tau", "theta": "theta"}
DIMS = {"y": ("school",), "sigma": ("school",), "mu": (), "tau": (), "theta": ("school",)}


def prepare(*, sigma, y=None):
    sigma = np.asarray(sigma, float)
    y_keep = None
    if y is not None:
        y = np.asarray(y, float)
        if np.isnan(y).any():
            y_keep = np.flatnonzero(~np.isnan(y))
    return {"sigma": sigma, "y": y, "y_keep": y_keep}


def summaries(*, sigma, y=None):
    return {}


def model(*, sigma, y=None, y_keep=None):
    tau = numpyro.sample("tau", dist.HalfCauchy(5.0))
    known = {"sigma": sigma, "tau": tau}
    laws = outcomes({}, **known)
    observed = {} if y is None else {"y": (laws["y"], y, y_keep)}
    engine = Dense(processes(**known), sites(**known), observed)
    if y is None:
        at = engine.draw(numpyro.prng_key(), {"y": laws["y"].mean})
        numpyro.sample("y", dist.Normal(at["y"], laws["y"].noise))
    else:
        numpyro.factor("y", engine.log_density())


def processes(*, tau, **_):
    return {"mu": Weights(sd=5.0), "theta": Weights(sd=tau)}


def sites(*, sigma, **_):
    return {"mu": Site("mu", None, size=1), "theta": Site("theta", None, size=sigma.shape[0])}


def quantities(*, sigma, **_):
    rows = jnp.zeros(sigma.shape[0], int)
    return {
        "mu": Affine(0.0, (Term("mu"),), shape=()),
        "theta": Affine(0.0, (Term("mu", 1.0, rows), Term("theta")), shape=sigma.shape),
    }


def outcomes(at, *, sigma, **known):
    return {"y": Gaussian(mean=quantities(sigma=sigma, **known)["theta"], noise=sigma)}


def definitions(at, **_):
    return {}
