"""kidscore.mercer, every unknown by NUTS (`infer nuts`): the general lane without a random function."""

import jax.numpy as jnp
import numpy as np
import numpyro
from numpyro import distributions as dist
from numpyro.distributions import constraints

from mercer.runtime.inference import Inference

INFERENCE = Inference(lane="direct", method="nuts", settings={})
NAMES = {name: name for name in ("kid_score", "mom_hs", "mom_iq", "b0", "b_hs", "b_iq", "sigma")}
DIMS = {
    "kid_score": ("child",),
    "mom_hs": ("child",),
    "mom_iq": ("child",),
    "b0": (),
    "b_hs": (),
    "b_iq": (),
    "sigma": (),
}


def prepare(*, mom_hs, mom_iq, kid_score=None):
    kid_score_keep = None
    if kid_score is not None:
        kid_score = np.asarray(kid_score, float)
        if np.isnan(kid_score).any():
            kid_score_keep = np.flatnonzero(~np.isnan(kid_score))
    return {
        "mom_hs": np.asarray(mom_hs, float),
        "mom_iq": np.asarray(mom_iq, float),
        "kid_score": kid_score,
        "kid_score_keep": kid_score_keep,
    }


def summaries(*, mom_hs, mom_iq, kid_score=None):
    return {}


def model(*, mom_hs, mom_iq, kid_score=None, kid_score_keep=None):
    b0 = numpyro.sample("b0", dist.ImproperUniform(constraints.real, (), ()))
    b_hs = numpyro.sample("b_hs", dist.ImproperUniform(constraints.real, (), ()))
    b_iq = numpyro.sample("b_iq", dist.ImproperUniform(constraints.real, (), ()))
    sigma = numpyro.sample("sigma", dist.HalfCauchy(2.5))
    known = {"mom_hs": mom_hs, "mom_iq": mom_iq, "b0": b0, "b_hs": b_hs, "b_iq": b_iq}
    law = outcomes({}, **known, sigma=sigma)["kid_score"]
    if kid_score_keep is None:
        numpyro.sample("kid_score", law, obs=kid_score)
    else:
        mask = jnp.zeros(kid_score.shape, bool).at[kid_score_keep].set(True)
        filled = jnp.where(mask, kid_score, 0.0)
        numpyro.sample("kid_score", law.mask(mask), obs=filled)


def processes(**_):
    return {}


def sites(**_):
    return {}


def quantities(**_):
    return {}


def outcomes(at, *, mom_hs, mom_iq, b0, b_hs, b_iq, sigma, **_):
    return {"kid_score": dist.Normal(b0 + b_hs * mom_hs + b_iq * mom_iq, sigma)}


def definitions(at, **_):
    return {}
