"""gp_pois_regr.mercer: a GP under counts; its whitened values at the data, rho, alpha by NUTS."""

import jax.numpy as jnp
import numpyro
from numpyro import distributions as dist

from mercer.runtime.engines.gaussian import Affine, RandomFunction, Site, Term
from mercer.runtime.inference import Inference
from mercer.runtime.statements import observe_each, observed_rows, sample_whitened
from mercer.stdlib.kernels import RBF
from mercer.stdlib.points import Points

INFERENCE = Inference(lane="latent", method="nuts", settings={})
ENGINE = None
LATENT = ("f(x)",)
NAMES = {"x": "x", "k": "k", "rho": "rho", "alpha": "alpha", "k_keep": "k keep"}
DIMS = {"x": ("n",), "k": ("n",), "rho": (), "alpha": (), "f(x)": ("n",)}


def prepare(*, x, k=None):
    return {"x": x, "k": k, "k_keep": observed_rows(k)}


def summaries(*, x, k=None):
    return {}


def model(*, x, k=None, k_keep=None):
    rho = numpyro.sample("rho", dist.Gamma(25.0, 4.0))
    alpha = numpyro.sample("alpha", dist.HalfNormal(2.0))
    known = {"x": x, "rho": rho, "alpha": alpha}
    places, wanted = sites(**known), quantities(**known)
    at = sample_whitened(processes(**known), places, wanted)
    observe_each("k", outcomes(at, **known)["k"], k, k_keep)


def processes(*, rho, alpha, **_):
    return {"f": RandomFunction(RBF(lengthscale=rho, scale=alpha))}


def sites(*, x, **_):
    return {"f(x)": Site(process="f", points=Points((x[:, None],)), size=x.shape[0])}


def quantities(*, x, **_):
    return {"f(x)": Affine(0.0, (Term("f(x)"),), shape=x.shape)}


def outcomes(at, *, x, **_):
    return {"k": dist.Poisson(jnp.exp(at["f(x)"]))}


def definitions(at, **_):
    return {}
