"""gp_regr.mercer: a GP under Gaussian noise, f integrated out, rho, alpha, sigma by NUTS."""

import jax.numpy as jnp
import numpyro
from numpyro import distributions as dist

from mercer.runtime.engines.gaussian import (
    Affine,
    Dense,
    Gaussian,
    RandomFunction,
    Site,
    Term,
    observe,
)
from mercer.runtime.inference import Inference
from mercer.runtime.statements import observed_rows
from mercer.stdlib.kernels import RBF
from mercer.stdlib.points import Points

INFERENCE = Inference(lane="exact", method="nuts", settings={})
ENGINE = Dense
NAMES = {"x": "x", "y": "y", "rho": "rho", "alpha": "alpha", "sigma": "sigma", "y_keep": "y keep"}
DIMS = {"x": ("n",), "y": ("n",), "rho": (), "alpha": (), "sigma": (), "f(x)": ("n",)}


def prepare(*, x, y=None):
    return {"x": x, "y": y, "y_keep": observed_rows(y)}


def summaries(*, x, y=None):
    return {}


def model(*, x, y=None, y_keep=None):
    rho = numpyro.sample("rho", dist.Gamma(25.0, 4.0))
    alpha = numpyro.sample("alpha", dist.HalfNormal(2.0))
    sigma = numpyro.sample("sigma", dist.HalfNormal(1.0))
    known = {"x": x, "rho": rho, "alpha": alpha, "sigma": sigma}
    laws = outcomes({}, **known)
    observe(processes(**known), sites(**known), laws, {"y": y}, keep={"y": y_keep})


def processes(*, rho, alpha, **_):
    return {"f": RandomFunction(RBF(lengthscale=rho, scale=alpha))}


def sites(*, x, **_):
    return {"f(x)": Site(process="f", points=Points((x[:, None],)), size=x.shape[0])}


def quantities(*, x, **_):
    return {"f(x)": Affine(0.0, (Term("f(x)"),), shape=x.shape)}


def outcomes(at, *, x, sigma, **_):
    return {"y": Gaussian(mean=Affine(0.0, (Term("f(x)"),), shape=x.shape), noise=jnp.sqrt(sigma))}


def definitions(at, **_):
    return {}
