"""kidscore.mercer, every unknown by NUTS (`infer nuts`): the lane without a random function."""

import numpyro
from numpyro import distributions as dist
from numpyro.distributions import constraints

from mercer.runtime.inference import Inference
from mercer.runtime.statements import observe_each, observed_rows

INFERENCE = Inference(lane="direct", method="nuts", settings={})
ENGINE = None
NAMES = {name: name for name in ("kid_score", "mom_hs", "mom_iq", "b0", "b_hs", "b_iq", "sigma")}
NAMES["kid_score_keep"] = "kid_score keep"
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
    keep = observed_rows(kid_score)
    return {
        "mom_hs": mom_hs,
        "mom_iq": mom_iq,
        "kid_score": kid_score,
        "kid_score_keep": keep,
    }


def summaries(*, mom_hs, mom_iq, kid_score=None):
    return {}


def model(*, mom_hs, mom_iq, kid_score=None, kid_score_keep=None):
    b0 = numpyro.sample("b0", dist.ImproperUniform(constraints.real, (), ()))
    b_hs = numpyro.sample("b_hs", dist.ImproperUniform(constraints.real, (), ()))
    b_iq = numpyro.sample("b_iq", dist.ImproperUniform(constraints.real, (), ()))
    sigma = numpyro.sample("sigma", dist.HalfCauchy(2.5))
    known = {"mom_hs": mom_hs, "mom_iq": mom_iq, "b0": b0, "b_hs": b_hs, "b_iq": b_iq}
    laws = outcomes({}, **known, sigma=sigma)
    observe_each("kid_score", laws["kid_score"], kid_score, kid_score_keep)


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
