"""gp_pois_regr.mercer: a GP under counts; its values at the data, whitened, and rho, alpha by NUTS."""

import jax.numpy as jnp
import numpy as np
import numpyro
from numpyro import distributions as dist

from mercer.runtime.gaussian import Affine, RandomFunction, Site, Term
from mercer.runtime.inference import Inference
from mercer.runtime.whitened import Whitened
from mercer.stdlib.kernels import RBF
from mercer.stdlib.points import Points

INFERENCE = Inference(lane="latent", method="nuts", settings={})
NAMES = {"x": "x", "k": "k", "rho": "rho", "alpha": "alpha"}
DIMS = {"x": ("n",), "k": ("n",), "rho": (), "alpha": (), "f(x)": ("n",)}


def prepare(*, x, k=None):
    x = np.asarray(x, float)
    k_keep = None
    if k is not None:
        k = np.asarray(k, float)
        if np.isnan(k).any():
            k_keep = np.flatnonzero(~np.isnan(k))
    return {"x": x, "k": k, "k_keep": k_keep}


def summaries(*, x, k=None):
    return {}


def model(*, x, k=None, k_keep=None):
    rho = numpyro.sample("rho", dist.Gamma(25.0, 4.0))
    alpha = numpyro.sample("alpha", dist.HalfNormal(2.0))
    known = {"x": x, "rho": rho, "alpha": alpha}
    places = sites(**known)
    white = {
        name: numpyro.sample(f"{name}.white", dist.Normal(jnp.zeros(place.size), 1.0).to_event(1))
        for name, place in places.items()
    }
    values = Whitened(processes(**known), places).values(white)
    at = {name: numpyro.deterministic(name, q(values)) for name, q in quantities(**known).items()}
    law = outcomes(at, **known)["k"]
    if k_keep is None:
        numpyro.sample("k", law, obs=k)
    else:
        mask = jnp.zeros(k.shape, bool).at[k_keep].set(True)
        numpyro.sample("k", law.mask(mask), obs=jnp.where(mask, k, 0))


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
