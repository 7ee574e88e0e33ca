"""The table of distributions: NumPyro's names, arguments and their order (sizes excepted).

A row says what NumPyro's classes do not: the space of each argument and of a draw in the words of
the language, the link that default priors measure an outcome by, and which laws are shifted and
stretched copies of one law. A test holds the table against the classes themselves.
"""

from __future__ import annotations

from typing import Any, Literal

from mercer.stdlib.entry import Default, DistributionEntry, Parameter
from mercer.stdlib.lazy import dist


def _given(name: str, space: str = "Real", default: Default = None) -> Parameter:
    """An argument that must be given unless it has a number."""
    return Parameter(name, space, default, required=default is None)


def _either(name: str, space: str) -> Parameter:
    """One of several arguments of which exactly one is given."""
    return Parameter(name, space, None, required=False)


def _law(
    name: str,
    support: str,
    doc: str,
    *parameters: Parameter,
    link: str = "identity",
    family: Literal["location-scale", "other"] = "other",
    event: int = 0,
    is_discrete: bool = False,
    concave: dict[str, str] | None = None,
    has_cdf: bool | None = None,
) -> DistributionEntry:
    choices = tuple(p.name for p in parameters if p.default is None and not p.required)

    def implementation(**arguments: Any) -> Any:
        return getattr(dist, name)(**arguments)

    return DistributionEntry(
        name=name,
        parameters=parameters,
        doc=doc,
        implementation=implementation,
        support=support,
        family=family,
        alternatives=(choices,) if choices else (),
        link=link,
        event=event,
        is_discrete=is_discrete,
        concave=concave or {},
        has_cdf=not event if has_cdf is None else has_cdf,
    )


_LOC = _given("loc", default=0.0)
_LOC_REQUIRED = _given("loc")
_SCALE = _given("scale", "Positive", 1.0)
_SCALE_REQUIRED = _given("scale", "Positive")
_RATE = _given("rate", "Positive", 1.0)
_CONCENTRATION = _given("concentration", "Positive")
_PROBS, _LOGITS = _either("probs", "Unit"), _either("logits", "Real")
_SHAPES = (_given("concentration1", "Positive"), _given("concentration0", "Positive"))
_TRIALS = _given("total_count", "Count", 1.0)
_IN_LOC, _IN_RATE, _IN_SCALE = {"loc": "identity"}, {"rate": "exp"}, {"scale": "exp"}
_IN_ODDS = {"logits": "identity", "probs": "logistic"}
_SIMPLEX, _SCORES = _either("probs", "Simplex(k)"), _either("logits", "Real^k")

_ON_THE_LINE = (
    _law("Normal", "Real", "The bell curve; `scale` is its standard deviation.", _LOC, _SCALE,
         family="location-scale"),
    _law("Cauchy", "Real", "Tails so heavy that there is no mean.", _LOC, _SCALE,
         family="location-scale"),
    _law("StudentT", "Real", "Heavy tails; Normal as `df` grows.", _given("df", "Positive"), _LOC,
         _SCALE, family="location-scale"),
    _law("Laplace", "Real", "Two exponentials back to back.", _LOC, _SCALE,
         family="location-scale"),
    _law("Logistic", "Real", "Its distribution function is the logistic curve.", _LOC, _SCALE,
         family="location-scale", concave=_IN_LOC),
    _law("Gumbel", "Real", "The largest of many draws.", _LOC, _SCALE, family="location-scale",
         concave=_IN_LOC),
    _law("SoftLaplace", "Real", "Laplace with a smooth peak.", _LOC_REQUIRED, _SCALE_REQUIRED,
         family="location-scale", concave=_IN_LOC),
    _law("AsymmetricLaplace", "Real", "Laplace with tails of different lengths.", _LOC, _SCALE,
         _given("asymmetry", "Positive", 1.0), family="location-scale"),
    _law("Uniform", "Interval(low, high)", "The same density from `low` to `high`.",
         _given("low", default=0.0), _given("high", default=1.0)),
    _law("VonMises", "Circle", "The bell curve of angles, in radians from -pi to pi.",
         _LOC_REQUIRED, _CONCENTRATION, has_cdf=False),
)  # fmt: skip

_POSITIVE = (
    _law("HalfNormal", "Positive", "A Normal around 0, folded.", _SCALE, link="log",
         concave=_IN_SCALE),
    _law("HalfCauchy", "Positive", "A Cauchy around 0, folded.", _SCALE, link="log"),
    _law("LogNormal", "Positive", "exp of a Normal; `loc` and `scale` are those of the logarithm.",
         _LOC, _SCALE, link="log", concave=_IN_LOC),
    _law("Exponential", "Positive", "Waiting time at a constant rate.", _RATE, link="log",
         concave=_IN_RATE),
    _law("Gamma", "Positive", "Mean concentration / rate.", _CONCENTRATION, _RATE, link="log",
         concave=_IN_RATE),
    _law("InverseGamma", "Positive", "1 over a Gamma; mean rate / (concentration - 1).",
         _CONCENTRATION, _RATE, link="log", concave=_IN_RATE),
    _law("Chi2", "Positive", "Sum of `df` squared standard Normals.", _given("df", "Positive"),
         link="log"),
    _law("Weibull", "Positive", "Lifetimes whose hazard is a power of time.", _SCALE_REQUIRED,
         _CONCENTRATION, link="log", concave=_IN_SCALE),
    _law("Pareto", "Positive", "A power law above `scale`.", _SCALE_REQUIRED,
         _given("alpha", "Positive"), link="log", concave={"alpha": "exp"}),
    _law("Gompertz", "Positive", "Lifetimes whose hazard grows exponentially.", _CONCENTRATION,
         _RATE, link="log"),
    _law("LogUniform", "Positive", "exp of a Uniform between `low` and `high`.",
         _given("low", "Positive"), _given("high", "Positive"), link="log"),
)  # fmt: skip

_UNIT = (
    _law("Beta", "Unit", "Mean concentration1 / (concentration1 + concentration0).", *_SHAPES,
         link="logit"),
    _law("BetaProportion", "Unit", "A Beta by its mean.", _given("mean", "Unit"), _CONCENTRATION,
         link="logit"),
    _law("Kumaraswamy", "Unit", "Like a Beta, with a simple distribution function.", *_SHAPES,
         link="logit", has_cdf=False),
)  # fmt: skip

_COUNTS = (
    _law("Bernoulli", "Bool", "Yes with probability `probs`.", _PROBS, _LOGITS, link="logit",
         is_discrete=True, concave=_IN_ODDS, has_cdf=False),
    _law("Binomial", "Count", "Yeses among `total_count`.", _TRIALS, _PROBS, _LOGITS, link="logit",
         is_discrete=True, concave=_IN_ODDS, has_cdf=False),
    _law("Poisson", "Count", "Counts of mean `rate`.", _given("rate", "Positive"), link="log",
         is_discrete=True, concave=_IN_RATE),
    _law("NegativeBinomial2", "Count", "Counts of variance mean + mean^2 / concentration.",
         _given("mean", "Positive"), _CONCENTRATION, link="log", is_discrete=True,
         concave={"mean": "exp"}),
    _law("NegativeBinomial", "Count", "Yeses before `total_count` noes.",
         _given("total_count", "Positive"), _PROBS, _LOGITS, link="log", is_discrete=True,
         concave=_IN_ODDS),
    _law("GammaPoisson", "Count", "Poisson with a Gamma rate.", _CONCENTRATION, _RATE, link="log",
         is_discrete=True, concave=_IN_RATE),
    _law("BetaBinomial", "Count", "Binomial with a Beta probability.", *_SHAPES, _TRIALS,
         link="logit", is_discrete=True, has_cdf=False),
    _law("Geometric", "Count", "Noes before the first yes.", _PROBS, _LOGITS, link="log",
         is_discrete=True, concave=_IN_ODDS, has_cdf=False),
    _law("ZeroInflatedPoisson", "Count", "Poisson, but 0 with probability `gate`.",
         _given("gate", "Unit"), _RATE, link="log", is_discrete=True, has_cdf=False),
    _law("DiscreteUniform", "Count", "Each whole number from `low` to `high`.",
         _given("low", "Count", 0.0), _given("high", "Count", 1.0), is_discrete=True),
    _law("Categorical", "Label(k)", "A label with these probabilities.", _SIMPLEX, _SCORES,
         link="logit", is_discrete=True, has_cdf=False),
    _law("OrderedLogistic", "Label(k)", "Where predictor + Logistic noise falls among cutpoints.",
         _given("predictor"), _given("cutpoints", "Ordered(k)"), is_discrete=True,
         concave={"predictor": "identity"}, has_cdf=False),
    _law("Multinomial", "Count^k", "How often each label came.", _TRIALS, _SIMPLEX, _SCORES,
         link="logit", event=1, is_discrete=True),
    _law("DirichletMultinomial", "Count^k", "Multinomial with Dirichlet probabilities.",
         _given("concentration", "Positive^k"), _TRIALS, link="logit", event=1, is_discrete=True),
)  # fmt: skip

_VECTORS = (
    _law("MultivariateNormal", "Real^k", "Correlated Normals.", _given("loc", "Real^k", 0.0),
         _either("covariance_matrix", "Covariance(k)"),
         _either("precision_matrix", "Covariance(k)"), _either("scale_tril", "Matrix(k)"), event=1),
    _law("MultivariateStudentT", "Real^k", "Correlated, with heavy tails.",
         _given("df", "Positive"), _given("loc", "Real^k", 0.0),
         _either("scale_tril", "Matrix(k)"), event=1),
    _law("ProjectedNormal", "Sphere", "Directions: unit vectors along Normals about "
         "`concentration`, of standard deviation 1, in 2 or 3 dimensions.",
         _given("concentration", "Real^k"), event=1, has_cdf=False),
    _law("Dirichlet", "Simplex(k)", "Probabilities; a single concentration serves all labels.",
         _given("concentration", "Positive^k"), event=1),
    _law("LKJ", "Correlation(k)", "Correlation matrices; 1 is uniform, larger is nearer to none.",
         _given("concentration", "Positive", 1.0), event=2),
    _law("Wishart", "Covariance(k)", "Covariance matrices, as of samples.", _CONCENTRATION,
         _either("scale_matrix", "Covariance(k)"), _either("rate_matrix", "Covariance(k)"),
         _either("scale_tril", "Matrix(k)"), event=2),
)  # fmt: skip

_FLAT = DistributionEntry(
    "Flat", (), "Density 1 on the space of the unknown, whatever it is; improper.", None,
    formula="1", support="any",
)  # fmt: skip

DISTRIBUTIONS = (*_ON_THE_LINE, *_POSITIVE, *_UNIT, *_COUNTS, *_VECTORS, _FLAT)
