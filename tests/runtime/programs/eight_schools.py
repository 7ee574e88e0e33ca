"""eight_schools.mercer: theta ~ Normal(mu, tau) integrated out with mu; tau by NUTS."""

import jax.numpy as jnp
import numpyro
from numpyro import distributions as dist

from mercer.runtime.engines.gaussian import Affine, Dense, Gaussian, Site, Term, Weights, observe
from mercer.runtime.inference import Inference
from mercer.runtime.statements import observed_rows

INFERENCE = Inference(lane="exact", method="nuts", settings={})
ENGINE = Dense
NAMES = {"y": "y", "sigma": "sigma", "mu": "mu", "tau": "tau", "theta": "theta", "y_keep": "y keep"}
DIMS = {"y": ("school",), "sigma": ("school",), "mu": (), "tau": (), "theta": ("school",)}


def prepare(*, sigma, y=None):
    return {"sigma": sigma, "y": y, "y_keep": observed_rows(y)}


def summaries(*, sigma, y=None):
    return {}


def model(*, sigma, y=None, y_keep=None):
    tau = numpyro.sample("tau", dist.HalfCauchy(5.0))
    known = {"sigma": sigma, "tau": tau}
    laws = outcomes({}, **known)
    observe(processes(**known), sites(**known), laws, {"y": y}, keep={"y": y_keep})


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
