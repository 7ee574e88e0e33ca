"""Distributions by NumPyro's names into log densities, through SciPy and explicit formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special, stats

ARGUMENTS: dict[str, dict[str, float | None]] = {
    "Normal": {"loc": 0.0, "scale": 1.0},
    "Cauchy": {"loc": 0.0, "scale": 1.0},
    "StudentT": {"df": None, "loc": 0.0, "scale": 1.0},
    "Laplace": {"loc": 0.0, "scale": 1.0},
    "Logistic": {"loc": 0.0, "scale": 1.0},
    "Gumbel": {"loc": 0.0, "scale": 1.0},
    "SoftLaplace": {"loc": None, "scale": None},
    "AsymmetricLaplace": {"loc": 0.0, "scale": 1.0, "asymmetry": 1.0},
    "Uniform": {"low": 0.0, "high": 1.0},
    "VonMises": {"loc": None, "concentration": None},
    "HalfNormal": {"scale": 1.0},
    "HalfCauchy": {"scale": 1.0},
    "LogNormal": {"loc": 0.0, "scale": 1.0},
    "Exponential": {"rate": 1.0},
    "Gamma": {"concentration": None, "rate": 1.0},
    "InverseGamma": {"concentration": None, "rate": 1.0},
    "Chi2": {"df": None},
    "Weibull": {"scale": None, "concentration": None},
    "Pareto": {"scale": None, "alpha": None},
    "Gompertz": {"concentration": None, "rate": 1.0},
    "LogUniform": {"low": None, "high": None},
    "Beta": {"concentration1": None, "concentration0": None},
    "BetaProportion": {"mean": None, "concentration": None},
    "Kumaraswamy": {"concentration1": None, "concentration0": None},
    "Bernoulli": {"probs": None, "logits": None},
    "Binomial": {"total_count": 1.0, "probs": None, "logits": None},
    "Poisson": {"rate": None},
    "NegativeBinomial2": {"mean": None, "concentration": None},
    "NegativeBinomial": {"total_count": None, "probs": None, "logits": None},
    "GammaPoisson": {"concentration": None, "rate": 1.0},
    "BetaBinomial": {"concentration1": None, "concentration0": None, "total_count": 1.0},
    "Geometric": {"probs": None, "logits": None},
    "ZeroInflatedPoisson": {"gate": None, "rate": 1.0},
    "DiscreteUniform": {"low": 0.0, "high": 1.0},
    "Categorical": {"probs": None, "logits": None},
    "OrderedLogistic": {"predictor": None, "cutpoints": None},
    "MultivariateNormal": {
        "loc": 0.0,
        "covariance_matrix": None,
        "precision_matrix": None,
        "scale_tril": None,
    },
    "Dirichlet": {"concentration": None},
    "LKJ": {"concentration": 1.0},
    "Multinomial": {"total_count": 1.0, "probs": None, "logits": None},
    "DirichletMultinomial": {"concentration": None, "total_count": 1.0},
    "Wishart": {
        "concentration": None,
        "scale_matrix": None,
        "rate_matrix": None,
        "scale_tril": None,
    },
    "Flat": {},
}
"""Arguments of each law in NumPyro's order, with their defaults."""

SUPPORT = {
    **dict.fromkeys(
        (
            "HalfNormal HalfCauchy LogNormal Exponential Gamma InverseGamma Chi2 Weibull Pareto "
            "Gompertz LogUniform"
        ).split(),
        "Positive",
    ),
    **dict.fromkeys(("Beta", "BetaProportion", "Kumaraswamy"), "Unit"),
}
"""The space of an unknown without a signature; `Real` where it is not named here."""

VECTORS = {
    **dict.fromkeys(("MultivariateNormal", "Dirichlet", "Multinomial", "DirichletMultinomial"), 1),
    **dict.fromkeys(("LKJ", "Wishart"), 2),
}
"""Laws over vectors and matrices, with the number of their own dims."""


def frozen(name: str, a: dict[str, Any]) -> Any:
    """The SciPy distribution of one number."""
    s: Any = stats
    match name:
        case "Normal":
            return s.norm(a["loc"], a["scale"])
        case "Cauchy":
            return s.cauchy(a["loc"], a["scale"])
        case "StudentT":
            return s.t(a["df"], a["loc"], a["scale"])
        case "Laplace":
            return s.laplace(a["loc"], a["scale"])
        case "Logistic":
            return s.logistic(a["loc"], a["scale"])
        case "Gumbel":
            return s.gumbel_r(a["loc"], a["scale"])
        case "SoftLaplace":
            return s.hypsecant(a["loc"], a["scale"])
        case "AsymmetricLaplace":
            return s.laplace_asymmetric(a["asymmetry"], a["loc"], a["scale"])
        case "Uniform":
            return s.uniform(a["low"], a["high"] - a["low"])
        case "VonMises":
            return s.vonmises(a["concentration"], a["loc"])
        case "HalfNormal":
            return s.halfnorm(scale=a["scale"])
        case "HalfCauchy":
            return s.halfcauchy(scale=a["scale"])
        case "LogNormal":
            return s.lognorm(a["scale"], scale=np.exp(a["loc"]))
        case "Exponential":
            return s.expon(scale=1 / a["rate"])
        case "Gamma":
            return s.gamma(a["concentration"], scale=1 / a["rate"])
        case "InverseGamma":
            return s.invgamma(a["concentration"], scale=a["rate"])
        case "Chi2":
            return s.chi2(a["df"])
        case "Weibull":
            return s.weibull_min(a["concentration"], scale=a["scale"])
        case "Pareto":
            return s.pareto(a["alpha"], scale=a["scale"])
        case "Gompertz":
            return s.gompertz(a["concentration"], scale=1 / a["rate"])
        case "LogUniform":
            return s.loguniform(a["low"], a["high"])
        case "Beta":
            return s.beta(a["concentration1"], a["concentration0"])
        case "BetaProportion":
            return s.beta(a["mean"] * a["concentration"], (1 - a["mean"]) * a["concentration"])
        case "Poisson":
            return s.poisson(a["rate"])
        case "NegativeBinomial2":
            return s.nbinom(
                a["concentration"], a["concentration"] / (a["concentration"] + a["mean"])
            )
        case "GammaPoisson":
            return s.nbinom(a["concentration"], a["rate"] / (1 + a["rate"]))
        case "BetaBinomial":
            return s.betabinom(a["total_count"], a["concentration1"], a["concentration0"])
        case "DiscreteUniform":
            return s.randint(a["low"], a["high"] + 1)
    raise NotImplementedError(f"no law {name}")


def log_probability(name: str, a: dict[str, Any], y: Any) -> Any:
    """The log density or log probability of each number; arguments are arrays that broadcast."""
    match name:
        case "Flat":
            return np.zeros(np.shape(y))
        case "Bernoulli":
            return _yes_no(a, y, 1.0)
        case "Binomial":
            n = a["total_count"]
            choose = special.gammaln(n + 1) - special.gammaln(y + 1) - special.gammaln(n - y + 1)
            return choose + _yes_no(a, y, n)
        case "Geometric":
            yes, no = _log_odds(a)
            return yes + y * no
        case "NegativeBinomial":
            n = a["total_count"]
            yes, no = _log_odds(a)
            choose = special.gammaln(n + y) - special.gammaln(y + 1) - special.gammaln(n)
            return choose + y * yes + n * no
        case "ZeroInflatedPoisson":
            gate, plain = a["gate"], stats.poisson(a["rate"]).pmf(y)
            return np.log(gate * (np.asarray(y) == 0) + (1 - gate) * plain)
        case "Pareto":  # SciPy takes the logarithm of a power that may be rounded to 0
            tail, least = a["alpha"], a["scale"]
            return np.log(tail) + tail * np.log(least) - (tail + 1) * np.log(y)
        case "Kumaraswamy":
            p, q = a["concentration1"], a["concentration0"]
            return np.log(p * q) + (p - 1) * np.log(y) + (q - 1) * np.log1p(-(y**p))
    if name == "NegativeBinomial2":  # SciPy takes a probability, which loses a small mean
        mean, size = a["mean"], a["concentration"]
        ways = special.gammaln(y + size) - special.gammaln(size) - special.gammaln(y + 1)
        share = special.xlogy(y, mean / (size + mean))
        return ways - size * np.log1p(mean / size) + share  # type: ignore[no-any-return]
    law = frozen(name, a)
    return law.logpmf(y) if hasattr(law.dist, "logpmf") else law.logpdf(y)


def log_conditioned(name: str, a: dict[str, Any], y: Any, low: Any, high: Any) -> Any:
    """The log density of a law restricted to [low, high] and renormalised."""
    plain = log_probability(name, a, y)
    if name == "Flat" or (low is None and high is None):
        return plain
    law = frozen(name, a)
    above = law.cdf(high) if high is not None else 1.0
    below = law.cdf(low) if low is not None else 0.0
    return plain - np.log(above - below)


def log_vector(name: str, a: dict[str, Any], y: np.ndarray) -> float:
    """The log density of one vector or matrix."""
    size = y.shape[-1]
    match name:
        case "Dirichlet":
            alpha = np.broadcast_to(a["concentration"], (size,))
            norm = special.gammaln(alpha.sum()) - special.gammaln(alpha).sum()
            return float(norm + ((alpha - 1) * np.log(y)).sum())
        case "LKJ":
            # Lewandowski, Kurowicka & Joe (2009): the onion, column by column.
            eta = float(a["concentration"])
            norm = 0.0
            for k in range(1, size):
                shape = eta + (size - 1 - k) / 2
                norm += k * ((2 * shape - 1) * np.log(2) + special.betaln(shape, shape))
            return float((eta - 1) * np.linalg.slogdet(y)[1] - norm)
        case "MultivariateNormal":
            if a.get("covariance_matrix") is not None:
                covariance = a["covariance_matrix"]
            elif a.get("precision_matrix") is not None:
                covariance = np.linalg.inv(a["precision_matrix"])
            else:
                covariance = a["scale_tril"] @ a["scale_tril"].T
            mean = np.broadcast_to(a["loc"], (size,))
            return float(stats.multivariate_normal(mean, covariance).logpdf(y))
        case "Multinomial":
            shares = a.get("probs")
            shares = special.softmax(a["logits"]) if shares is None else shares
            return float(stats.multinomial(int(a["total_count"]), shares).logpmf(y))
        case "DirichletMultinomial":
            alpha = np.broadcast_to(a["concentration"], (size,))
            return float(stats.dirichlet_multinomial(alpha, int(a["total_count"])).logpmf(y))
        case "Wishart":
            scale = a["scale_matrix"]
            return float(stats.wishart(float(a["concentration"]), scale).logpdf(y))
    raise NotImplementedError(f"no law {name}")


def _log_odds(a: dict[str, Any]) -> tuple[Any, Any]:
    """log p and log (1 - p)."""
    if a.get("logits") is not None:
        return special.log_expit(a["logits"]), special.log_expit(-a["logits"])
    return np.log(a["probs"]), np.log1p(-a["probs"])


def _yes_no(a: dict[str, Any], y: Any, n: Any) -> Any:
    yes, no = _log_odds(a)
    return y * yes + (n - y) * no
