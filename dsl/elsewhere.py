"""Words of Stan, PyMC, R and GPyTorch turned into what this language calls them.

Typing slips are `suggest.nearest`'s; here are words that are right elsewhere, and not near ours.
"""

from __future__ import annotations

from collections.abc import Iterable

_NAMES = {
    "expquad": "RBF",
    "gp_exp_quad_cov": "RBF",
    "rbfkernel": "RBF",
    "squaredexponential": "RBF",
    "maternkernel": "Matern52",
    "ratquad": "RationalQuadratic",
    "whitenoise": "White",
    "invgamma": "InverseGamma",
    "inv_gamma": "InverseGamma",
    "negbinomial2": "NegativeBinomial2",
    "neg_binomial": "NegativeBinomial",
    "neg_binomial_2": "NegativeBinomial2",
    "double_exponential": "Laplace",
    "lkjcorr": "LKJ",
    "lkj_corr": "LKJ",
    "lkj_corr_cholesky": "LKJ",
    "mvnormal": "MultivariateNormal",
    "multi_normal": "MultivariateNormal",
    "multi_normal_cholesky": "MultivariateNormal",
    "mvstudentt": "MultivariateStudentT",
    "zero_inflated_poisson": "ZeroInflatedPoisson",
    "ordered_logistic": "OrderedLogistic",
    "inv_logit": "logistic",
    "invlogit": "logistic",
    "expit": "logistic",
    "ifelse": "where",
    "if_else": "where",
    "std": "sd",
    "average": "mean",
    "zscore": "standardize",
    "int": "Count",
    "integer": "Count",
    "boolean": "Bool",
    "float": "Real",
    "double": "Real",
    "corr_matrix": "Correlation",
    "cov_matrix": "Covariance",
}
"""By its small letters, a word of another language and ours for it."""

_WAYS = {
    "pow": "write `x^2`",
    "log10": "write `log(x) / log(10)`",
    "log2": "write `log(x) / log(2)`",
    "dot": "write `sum(x * beta, d)`: a sum over the index that both have",
    "dot_product": "write `sum(x * beta, d)`: a sum over the index that both have",
    "matmul": "write `sum(x * beta, d)`: a sum over the index that both have",
    "poisson_log": "write `Poisson(exp(...))`",
    "poissonlog": "write `Poisson(exp(...))`",
    "bernoulli_logit": "write `Bernoulli(logits = ...)`",
    "binomial_logit": "write `Binomial(n, logits = ...)`",
    "categorical_logit": "write `Categorical(logits = ...)`",
    "halfflat": "write `s : Positive ~ Flat()`",
    "halfstudentt": "write `s : Positive ~ StudentT(4, 0, 1)`",
}
"""By its small letters, a word for which we have no word but a way of writing."""

_SPACES = {
    "vector": "a vector is `Real^3`, or `Real^d` where the data say how long it is",
    "matrix": "a matrix over two indices is `A[i, j] : Real`",
    "factor": "labels are `Label(g)`, where `g` names their index",
    "string": "labels are `Label(g)`, where `g` names their index",
    "str": "labels are `Label(g)`, where `g` names their index",
    "category": "labels are `Label(g)`, where `g` names their index",
}
"""The same of spaces."""

_ARGUMENTS = {
    "mu": ("loc", "mean"),
    "mean": ("loc",),
    "sigma": ("scale",),
    "sd": ("scale",),
    "std": ("scale",),
    "nu": ("df",),
    "lam": ("rate",),
    "lambda": ("rate",),
    "alpha": ("concentration1", "concentration"),
    "beta": ("concentration0", "rate", "scale"),
    "shape": ("concentration",),
    "kappa": ("concentration",),
    "p": ("probs",),
    "logit_p": ("logits",),
    "n": ("total_count",),
    "ls": ("lengthscale",),
    "length": ("lengthscale",),
    "eta": ("concentration", "scale"),
    "cov": ("covariance_matrix",),
    "chol": ("scale_tril",),
    "lower": ("low",),
    "upper": ("high",),
    "mean_func": ("mean",),
}
"""An argument elsewhere, and what ours may be called, the first that a word has."""


def known_elsewhere(
    word: str, candidates: Iterable[str], *, is_argument: bool = False
) -> str | None:
    """What a word of another language is written as here; None where it is none that we know.

    `candidates`: the words that may stand there; of an argument, those of what it belongs to.
    """
    possible = set(candidates)
    small = word.lower()
    for ours in _ARGUMENTS.get(word, ()) if is_argument else (_NAMES.get(small),):
        if ours in possible:
            return f"here it is called `{ours}`"
    if is_argument or (small in _SPACES and "Real" not in possible):
        return None
    return _WAYS.get(small) or _SPACES.get(small)
