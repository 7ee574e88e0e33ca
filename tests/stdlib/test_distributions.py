"""The table of distributions says what NumPyro's classes say, wherever both speak."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import distributions as dist
from numpyro.distributions import constraints

from mercer.stdlib import catalog
from mercer.stdlib.laws import vector_law

TABLE = {n: e for n, e in catalog.distributions().items() if n != "Flat"}

# Not in the language: sizes, the algorithm of draws, and how NumPyro stores or checks a law.
NOT_ARGUMENTS = {"dimension", "sample_method", "validate_args", "is_sparse", "total_count_max"}

VALUES = {
    "Real": 0.4, "Positive": 1.3, "Unit": 0.3, "Count": 3, "Ordered(k)": jnp.array([-1.0, 0.5]),
    "Simplex(k)": jnp.array([0.2, 0.3, 0.5]), "Real^k": jnp.array([0.1, -0.4, 0.7]),
    "Positive^k": jnp.array([1.0, 2.0, 0.5]), "Covariance(k)": 2.0 * jnp.eye(3),
    "Matrix(k)": 1.5 * jnp.eye(3),
}  # fmt: skip


def example(entry):
    """A law with the first alternative and every other argument given."""
    skipped = {name for group in entry.alternatives for name in group[1:]}
    arguments = {p.name: VALUES[p.space] for p in entry.parameters if p.name not in skipped}
    if entry.name == "LogUniform":
        arguments = {"low": 0.5, "high": 2.0}
    if entry.name == "Uniform":
        arguments = {"low": -0.5, "high": 2.0}
    if entry.name == "DiscreteUniform":
        arguments = {"low": 1, "high": 4}
    if entry.name == "Wishart":
        arguments["concentration"] = 4.0
    if entry.name == "LKJ":
        return vector_law("LKJ", shape=(), size=3, **arguments)
    return entry.implementation(**arguments)


@pytest.mark.parametrize("name", TABLE)
def test_arguments_order_and_defaults_are_those_of_numpyro(name):
    signature = inspect.signature(getattr(dist, name))
    theirs = [p for p in signature.parameters.values() if p.name not in NOT_ARGUMENTS]
    ours = TABLE[name].parameters
    assert [p.name for p in ours] == [p.name for p in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        has_default = other.default is not inspect.Parameter.empty
        assert mine.required == (not has_default)
        assert mine.default == (other.default if has_default else None)


@pytest.mark.parametrize("name", TABLE)
def test_support_is_that_of_numpyro(name):
    support, law = TABLE[name].support, example(TABLE[name])
    real = law.support
    match support:
        case "Real":
            assert real is constraints.real
        case "Positive":
            # LogUniform and Pareto begin above 0: their support depends on their arguments.
            bound = real.lower_bound
            assert bound == (0 if name not in ("LogUniform", "Pareto") else bound) and bound >= 0
            assert getattr(real, "upper_bound", np.inf) == np.inf or name == "LogUniform"
        case "Unit":
            assert (real.lower_bound, real.upper_bound) == (0, 1) and not law.is_discrete
        case "Interval(low, high)":
            assert (real.lower_bound, real.upper_bound) == (law.low, law.high)
        case "Circle":
            assert real is constraints.circular
        case "Bool":
            assert real is constraints.boolean
        case "Count" | "Label(k)":
            assert law.is_discrete and real.lower_bound >= 0
        case "Count^k":
            assert real.event_dim == 1 and law.is_discrete
        case "Real^k":
            assert real is constraints.real_vector
        case "Sphere":
            assert real is constraints.sphere
        case "Simplex(k)":
            assert real is constraints.simplex
        case "Correlation(k)":
            assert real is constraints.corr_matrix
        case "Covariance(k)":
            assert real is constraints.positive_definite
        case _:
            raise AssertionError(support)


@pytest.mark.parametrize("name", TABLE)
def test_discreteness_and_dims_of_a_draw_are_those_of_numpyro(name):
    law = example(TABLE[name])
    assert law.is_discrete == TABLE[name].is_discrete
    assert len(law.event_shape) == TABLE[name].event
    draw = law.sample(jax.random.key(0), (4,))
    assert np.all(law.support(draw))
    assert np.all(np.isfinite(law.log_prob(draw)))


@pytest.mark.parametrize("name", [n for n, e in TABLE.items() if e.family == "location-scale"])
def test_location_scale_laws_are_shifted_and_stretched_copies(name):
    given = {p.name: VALUES[p.space] for p in TABLE[name].parameters}
    law = TABLE[name].implementation(**given)
    standard = TABLE[name].implementation(**{**given, "loc": 0.0, "scale": 1.0})
    x = jnp.linspace(-2.0, 3.0, 7)
    expected = standard.log_prob((x - given["loc"]) / given["scale"]) - jnp.log(given["scale"])
    np.testing.assert_allclose(law.log_prob(x), expected, rtol=1e-12)


def test_alternatives_are_exactly_the_optional_arguments():
    for entry in TABLE.values():
        optional = tuple(p.name for p in entry.parameters if not p.required and p.default is None)
        assert entry.alternatives == ((optional,) if optional else ())


@pytest.mark.parametrize("name", [n for n, e in TABLE.items() if not e.event])
def test_a_distribution_function_is_there_where_the_table_says_so(name):
    law = example(TABLE[name])
    value = jnp.asarray(law.sample(jax.random.key(0)), float)
    try:
        known = bool(jnp.isfinite(law.cdf(value)))
    except NotImplementedError:
        known = False
    assert known == TABLE[name].has_cdf


LINKS = {"identity": lambda eta: eta, "exp": jnp.exp, "logistic": jax.nn.sigmoid}


@pytest.mark.parametrize(
    ("name", "argument"), [(n, a) for n, e in TABLE.items() for a in e.concave]
)
def test_log_densities_are_concave_in_the_predictors_that_the_table_names(name, argument):
    entry = TABLE[name]
    others = {p.name for group in entry.alternatives for p in entry.parameters if p.name in group}
    fixed = {
        p.name: VALUES[p.space]
        for p in entry.parameters
        if p.name != argument and p.name not in others
    }

    def law(eta):
        return entry.implementation(**fixed, **{argument: LINKS[entry.concave[argument]](eta)})

    grid = jnp.linspace(-4.0, 4.0, 41)
    for number in range(5):
        value = law(0.3).sample(jax.random.key(number))
        curvature = jax.vmap(jax.grad(jax.grad(lambda eta, y=value: law(eta).log_prob(y))))(grid)
        assert (curvature <= 1e-9).all()
