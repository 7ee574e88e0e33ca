"""The table of inference methods, for `infer METHOD(...)` and `infer NAME by METHOD(...)`."""

from __future__ import annotations

from mercer.stdlib.entry import Entry, Parameter


def _method(name: str, doc: str, *parameters: Parameter) -> Entry:
    return Entry(name, parameters, doc, None)


def _setting(name: str, space: str, default: float | str | None, doc: str) -> Parameter:
    least = 1.0 if space == "Count" and name != "warmup" else None
    return Parameter(name, space, default, False, structural=True, least=least, doc=doc)


_DRAWS = (
    _setting("chains", "Count", 4.0, "independent chains"),
    _setting("draws", "Count", 500.0, "draws kept from each chain"),
)
_COUNT = _setting("count", "Count", None, "how many inducing points")
_WISHART = Parameter(
    "wishart",
    "Positive",
    None,
    False,
    structural=True,
    least=1.0,
    doc="of layers to Real^inf: while it is learned a Wishart draw about it stands for the Gram "
    "matrix, of `count` over this degrees of freedom; 4 is usual (Milsom et al. 2024)",
)
_ORDER = Parameter(
    "order",
    "Count",
    None,
    False,
    structural=True,
    choices=("2",),
    doc="of layers to Real^inf: 2 takes the divergence by its Taylor series to second order",
)
_AT = Parameter("at", "Real", None, False, doc="a column of inducing points, held where they are")

_TRAINING = (
    _setting("batch", "Count", None, "of layers: rows at a time"),
    _setting("epochs", "Count", None, "of layers: passes over the rows, at most"),
    _setting("held", "Unit", None, "of layers: share of the rows that says when to stop"),
)

METHODS = (
    _method(
        "NUTS",
        "Draws from the posterior by Hamiltonian Monte Carlo (Hoffman & Gelman 2014).",
        *_DRAWS,
        _setting("warmup", "Count", 500.0, "steps that adapt, thrown away"),
        _setting("target", "Unit", 0.9, "acceptance that the step size aims at"),
        _setting("depth", "Count", 10.0, "a path has at most 2^depth steps"),
    ),
    _method(
        "MAP",
        "The point of highest posterior density, with a Normal around it (Laplace).",
        *_DRAWS,
        _setting("restarts", "Count", 4.0, "starting points"),
        _setting("steps", "Count", 500.0, "at most so many steps from each"),
        *_TRAINING,
        _setting("rate", "Positive", 0.01, "of layers: size of the first steps"),
    ),
    _method(
        "SVI",
        "The nearest Normal in unconstrained space, by stochastic gradients.",
        *_DRAWS,
        _setting("steps", "Count", 3000.0, "gradient steps"),
        _setting("rate", "Positive", 0.02, "size of the first steps"),
        _setting("batch", "Count", None, "rows at a time; asks for minibatches"),
        _setting("samples", "Count", 5.0, "draws of the functions inside others, at each step"),
        _setting("rank", "Count", None, "directions in which all unknowns are correlated"),
        *_TRAINING[1:],
    ),
    _method(
        "Messages",
        "A Normal law for each factor of a product, given those of the others, in turn.",
        *_DRAWS,
        _setting("restarts", "Count", 4.0, "starting points, compared by rows held out"),
        _setting("steps", "Count", 500.0, "at most so many sweeps over all factors"),
        _setting("damping", "Unit", 0.0, "share of the last message that stays in the next"),
    ),
    _method("Laplace", "A Normal at the highest density of the latent values."),
    _method("CVI", "The Normal nearest to the latent values' law (Khan & Lin 2017)."),
    _method("Exact", "Integrated out by one Cholesky factorisation."),
    _method("Whitened", "Latent values as a linear map of independent standard Normals."),
    _method(
        "Inducing", "The process through its values at a few points.", _COUNT, _AT, _WISHART, _ORDER
    ),
    _method("Kalman", "Integrated out by filtering and smoothing along the line."),
    _method("Kronecker", "Integrated out factor by factor, on a grid."),
    _method(
        "Features",
        "Each function as a sum of random waves, as many as half of `count` (Rahimi & Recht 2007).",
        _setting("count", "Count", 512.0, "features of each part of a sum, two for each wave"),
        Parameter(
            "kind",
            "Text",
            "orthogonal",
            False,
            structural=True,
            choices=("orthogonal", "structured", "independent"),
            doc="how the waves' directions are drawn: orthogonal, structured or independent",
        ),
    ),
    _method(
        "Iterative",
        "Integrated out by conjugate gradients, to a tolerance.",
        _setting("tolerance", "Positive", 1e-6, "relative residual at which a solve ends"),
        _setting("rank", "Count", 300.0, "columns of the covariance in the preconditioner"),
        _setting("probes", "Count", 10.0, "random vectors that estimate the log determinant"),
    ),
)
