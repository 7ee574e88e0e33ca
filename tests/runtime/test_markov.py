"""Laws of the engine along a line: it is `Dense`, in linear time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mercer.runtime.engines.gaussian import (
    Affine,
    Dense,
    Gaussian,
    Markov,
    RandomFunction,
    Site,
    Term,
    Timeline,
    Weights,
)
from mercer.runtime.engines.linemodel import LineModel
from mercer.stdlib.kernels import (
    Brownian,
    Constant,
    Cosine,
    Linear,
    Matern12,
    Matern32,
    Matern52,
    Periodic,
    Polynomial,
)
from mercer.stdlib.operators import Directional
from mercer.stdlib.points import PerLabel, Points

RNG = np.random.default_rng(3)
N = 30
T = np.round(RNG.uniform(0, 5, N), 1)  # some repeated, none in order
Y = np.sin(T) + 0.3 * RNG.normal(size=N)
MISSING = [3, 8, 20]
KEEP = np.delete(np.arange(N), MISSING)
Y[MISSING] = np.nan
NOISE = RNG.uniform(0.2, 0.5, N)
GROUP = RNG.integers(0, 3, N)
NEW = np.r_[np.linspace(-1, 6, 6), T[:3]]
SLOPE = RNG.normal(size=N)
ONES = Directional(np.ones((N, 1)))


def at(values, **rest):
    return Points((values[:, None],), **rest)


def one_function(kernel):
    """One function of the line, a constant beside it, different noises, some rows missing."""

    def block(theta):
        processes = {"f": RandomFunction(kernel(*theta[:2])), "mu": Weights(sd=2.0)}
        sites = {"f(t)": Site("f", at(T), N), "mu": Site("mu", size=1)}
        terms = (Term("f(t)"), Term("mu", 1.0, np.zeros(N, int)))
        law = Gaussian(Affine(theta[2], terms, (N,)), NOISE)
        return processes, sites, {"y": (law, Y, KEEP)}

    new = {"new": Site("f", at(NEW), len(NEW))}
    terms = (Term("new", 2.0), Term("mu", 0.5, np.zeros(len(NEW), int)))
    return block, new, Affine(1.0, terms, (len(NEW),))


def labels():
    """A copy of two functions for each label, labelled effects, arguments that differ, slopes that
    change from row to row, and a coefficient for each row."""

    def block(theta):
        lengthscale = PerLabel(theta[0] * jnp.array([1.0, 2.0, 0.5, 1.0]))
        processes = {
            "f": RandomFunction(Matern32(lengthscale=lengthscale) + Linear(scale=0.3, centre=1.0)),
            "g": RandomFunction(Matern12(lengthscale=2.0, scale=theta[1])),
            "base": Weights(sd=jnp.array([0.5, 0.7, 0.9, 0.4])),
            "beta": Weights(sd=theta[2]),
        }
        sites = {
            "f(t)": Site("f", at(T, labels=GROUP), N),
            "g(t)": Site("g", at(T, labels=GROUP), N),
            "base": Site("base", size=4),
            "beta": Site("beta", size=2),
        }
        terms = (
            Term("f(t)"),
            Term("g(t)", SLOPE),
            Term("base", 1.0, GROUP),
            Term("beta", np.stack([SLOPE, NOISE], 1), np.broadcast_to(np.arange(2), (N, 2))),
        )
        law = Gaussian(Affine(theta[2], terms, (N,)), NOISE)
        return processes, sites, {"y": (law, Y, KEEP)}

    codes = np.array([0, 1, 2, 3, 0, 1, 2, 3, 1])  # the last label is new
    new = {
        "new f": Site("f", at(NEW, labels=codes), len(NEW)),
        "new g": Site("g", at(NEW, labels=codes), len(NEW)),
    }
    terms = (Term("new f", 2.0), Term("new g"), Term("base", 1.0, codes))
    return block, new, Affine(1.0, terms, (len(NEW),))


def shared():
    """A trend that all labels share beside a copy of a function for each, whose arguments differ;
    some rows are differences of two labels."""
    other = (GROUP + 1) % 3

    def block(theta):
        lengthscale = PerLabel(theta[0] * jnp.array([1.0, 2.0, 0.5]))
        kernel = Matern12(lengthscale=lengthscale) + Linear(scale=0.3, centre=1.0)
        processes = {
            "f": RandomFunction(kernel, copies=3),
            "trend": RandomFunction(Matern32(lengthscale=3.0, scale=theta[1])),
            "base": Weights(sd=theta[2]),
        }
        sites = {
            "f(t)": Site("f", at(T, labels=GROUP), N),
            "other": Site("f", at(T, labels=other), N),
            "trend(t)": Site("trend", at(T), N),
            "base": Site("base", size=3),
        }
        own, less = Term("f(t)"), Term("other", jnp.where(T > 3, -1.0, 0.0))
        terms = (own, less, Term("trend(t)", 0.7), Term("base", 1.0, GROUP))
        law = Gaussian(Affine(theta[2], terms, (N,)), NOISE)
        return processes, sites, {"y": (law, Y, KEEP)}

    codes = np.arange(len(NEW)) % 3
    new = {
        "new f": Site("f", at(NEW, labels=codes), len(NEW)),
        "new trend": Site("trend", at(NEW), len(NEW)),
    }
    terms = (Term("new f", 2.0), Term("new trend"), Term("base", 1.0, codes))
    return block, new, Affine(1.0, terms, (len(NEW),))


def derivatives():
    """A function and its derivative, observed by two instruments at some of the same times."""

    def block(theta):
        processes = {"f": RandomFunction(Matern52(lengthscale=theta[0], scale=theta[1]))}
        sites = {
            "f(t)": Site("f", at(T), N),
            "slope": Site("f", at(T, operators=(ONES,)), N),
        }
        first = Gaussian(Affine(theta[2], (Term("f(t)"),), (N,)), NOISE)
        index = np.arange(0, N, 2)
        second = Gaussian(Affine(0.0, (Term("slope", theta[2], index),), (N // 2,)), 0.3)
        return processes, sites, {"y": (first, Y, KEEP), "z": (second, SLOPE[::2], None)}

    way = Directional(jnp.full((len(NEW), 1), 0.7))
    new = {"new": Site("f", at(NEW, operators=(way,)), len(NEW))}
    return block, new, Affine(1.0, (Term("new", 2.0),), (len(NEW),))


def outputs():
    """Correlated outputs of one function, and a term that all of them share."""
    output = np.arange(N) % 3

    def block(theta):
        root = jnp.array([[1.0, 0.0, 0.0], [0.5, 0.8, 0.0], [-0.3, 0.2, 0.6]]) * theta[1]
        kernel = Matern32(lengthscale=theta[0]) + Cosine(period=3.0, scale=0.5)
        processes = {
            "f": RandomFunction(kernel, root @ root.T),
            "trend": RandomFunction(Matern12(lengthscale=3.0, scale=theta[2])),
        }
        sites = {
            "f(t)": Site("f", at(T, output=output), N),
            "trend(t)": Site("trend", at(T), N),
        }
        law = Gaussian(Affine(0.0, (Term("trend(t)"), Term("f(t)")), (N,)), NOISE)
        return processes, sites, {"y": (law, Y, KEEP)}

    own = np.arange(len(NEW)) % 3
    new = {"new": Site("f", at(NEW, output=own), len(NEW))}
    return block, new, Affine(1.0, (Term("new", 2.0),), (len(NEW),))


def independent_outputs():
    """Outputs that share a kernel, each with a shift of its own."""
    output = np.arange(N) % 3

    def block(theta):
        processes = {
            "f": RandomFunction(Matern32(lengthscale=theta[0], scale=theta[1])),
            "shift": Weights(sd=theta[2]),
        }
        sites = {"f(t)": Site("f", at(T, output=output), N), "shift": Site("shift", size=3)}
        law = Gaussian(Affine(0.0, (Term("f(t)"), Term("shift", 1.0, output)), (N,)), NOISE)
        return processes, sites, {"y": (law, Y, KEEP)}

    own = np.arange(len(NEW)) % 3
    new = {"new": Site("f", at(NEW, output=own), len(NEW))}
    return block, new, Affine(1.0, (Term("new"), Term("shift", 1.0, own)), (len(NEW),))


CASES = {
    "labels": labels(),
    "shared": shared(),
    "derivatives": derivatives(),
    "outputs": outputs(),
    "independent outputs": independent_outputs(),
    "Matern12": one_function(lambda a, b: Matern12(lengthscale=a, scale=b)),
    "Matern32": one_function(lambda a, b: Matern32(lengthscale=a, scale=b)),
    "Matern52": one_function(lambda a, b: Matern52(lengthscale=a, scale=b)),
    "Brownian": one_function(lambda a, b: Brownian(start=2.52 + 0.01 * a, scale=b)),
    "Cosine": one_function(lambda a, b: Cosine(period=a, scale=b)),
    "Linear": one_function(lambda a, b: Linear(centre=a, scale=b)),
    "Constant": one_function(lambda a, b: Constant(scale=a * b)),
    "Polynomial": one_function(
        lambda a, b: Polynomial(degree=2, lengthscale=2 * a, offset=0.7, scale=b)
    ),
    "Periodic": one_function(lambda a, b: Periodic(period=2.1, lengthscale=a, scale=b)),
    "a sum": one_function(
        lambda a, b: Matern32(lengthscale=a) + Matern12(lengthscale=2.0, scale=b) + Linear(scale=b)
    ),
    "a product": one_function(
        lambda a, b: (
            Matern32(lengthscale=a) * Cosine(period=1.7)
            + 0.5 * Matern52(lengthscale=3.0) * Linear(centre=1.0, scale=b)
        )
    ),
    "a power": one_function(lambda a, b: Matern32(lengthscale=a, scale=b) ** 2),
}
ALWAYS = ("labels", "shared")
TOLERANCE = {"Periodic": 2e-7, "Polynomial": 1e-8}  # of a series; of a prior with sd 30
THETA = jnp.array([0.8, 1.3, 0.4])


def local(engine, case: str, observations):
    """What a program says of a timeline, which `Markov` alone reads."""
    names = {"labels": ("base",), "independent outputs": ("shift",)}.get(case, ())
    if engine is Dense or not names:
        return observations
    none = Timeline(None, None, None, None, local=names)
    return {
        k: (Gaussian(law.mean, law.noise, none), value, keep)
        for k, (law, value, keep) in observations.items()
    }


def engine_of(engine, case: str, theta):
    processes, sites, observations = CASES[case][0](theta)
    return engine(processes, sites, local(engine, case, observations))


def everything(engine, case: str):
    """All that an engine says but for its draws."""
    _, new, target = CASES[case]

    def compute(theta):
        value, slope = jax.value_and_grad(lambda t: engine_of(engine, case, t).log_density())(theta)
        block = engine_of(engine, case, theta)
        return {
            "log density": value,
            "gradient": slope,
            "mean and variance": block.condition(new, target),
            "covariance": block.condition(new, target, full=True)[1],
            "leave one out": block.leave_one_out(),
        }

    return jax.jit(compute)(THETA)


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=[] if c in ALWAYS else [pytest.mark.slow], id=c) for c in CASES],
)
def test_it_says_what_the_joint_gaussian_says(case: str) -> None:
    expected, found = everything(Dense, case), everything(Markov, case)
    tolerance = TOLERANCE.get(case, 1e-9)
    assert found["log density"] == pytest.approx(float(expected["log density"]), rel=tolerance)
    for what in expected:
        for a, b in zip(jax.tree.leaves(expected[what]), jax.tree.leaves(found[what]), strict=True):
            scale = max(1.0, np.nanmax(np.abs(a)))
            np.testing.assert_allclose(b, a, atol=tolerance * scale, err_msg=what)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["labels", "shared", "outputs"])
def test_draws_have_the_moments_of_the_conditional(case: str) -> None:
    _, new, target = CASES[case]
    mean, covariance = jax.jit(
        lambda: engine_of(Dense, case, THETA).condition(new, target, full=True)
    )()
    block = engine_of(Markov, case, THETA)
    keys = jax.random.split(jax.random.key(0), 20_000)
    draw = jax.jit(lambda keys: jax.lax.map(lambda k: block.draw(k, {"x": target}, new), keys))
    draws = np.asarray(draw(keys)["x"])
    sd = np.sqrt(np.diagonal(covariance))
    np.testing.assert_allclose(draws.mean(0), mean, atol=5 * sd.max() / np.sqrt(20_000))
    errors = (np.cov(draws.T) - covariance) / np.outer(sd, sd)
    assert np.max(np.abs(errors)) < 6 * np.sqrt(2 / 20_000)


@pytest.mark.slow
def test_draws_at_the_data_have_the_moments_of_the_conditional() -> None:
    block = engine_of(Markov, "labels", THETA)
    target = Affine(0.0, (Term("f(t)"), Term("base", 1.0, GROUP)), (N,))
    mean, covariance = jax.jit(
        lambda: engine_of(Dense, "labels", THETA).condition({}, target, full=True)
    )()
    keys = jax.random.split(jax.random.key(1), 20_000)
    draw = jax.jit(lambda keys: jax.lax.map(lambda k: block.draw(k, {"x": target}), keys))
    draws = np.asarray(draw(keys)["x"])
    sd = np.sqrt(np.diagonal(covariance))
    np.testing.assert_allclose(draws.mean(0), mean, atol=5 * sd.max() / np.sqrt(20_000))
    errors = (np.cov(draws.T) - covariance) / np.outer(sd, sd)
    assert np.max(np.abs(errors)) < 6 * np.sqrt(2 / 20_000)


@pytest.mark.slow
def test_the_gradient_is_that_of_differences() -> None:
    density = jax.jit(lambda t: engine_of(Markov, "a sum", t).log_density())
    slope = jax.jit(jax.grad(lambda t: engine_of(Markov, "a sum", t).log_density()))(THETA)
    for k, unit in enumerate(np.eye(3)):
        step = 1e-5 * unit
        difference = (density(THETA + step) - density(THETA - step)) / 2e-5
        assert slope[k] == pytest.approx(float(difference), rel=1e-6)


def test_a_chain_begins_alike_however_far_back_in_time_its_start_is() -> None:
    """Many lengthscales back: exp(rate d) must not reach the derivatives of the start."""
    after, label = jnp.array([1.0]), jnp.zeros(1, int)

    def start(theta, before):
        processes, sites, _ = CASES["independent outputs"][0](theta)
        model = LineModel(processes, sites, ("shift",))
        moves, noises = model.transitions(before, after, label, jnp.ones(1, bool))
        return jnp.concatenate([jnp.ravel(leaf) for leaf in (*moves, *noises)])

    of = jax.jit(lambda before: (start(THETA, before), jax.jacobian(start)(THETA, before)))
    near, far = of(after), of(jnp.array([1e5]))
    for a, b in zip(near, far, strict=True):
        np.testing.assert_array_equal(b, a)


@pytest.mark.slow
def test_it_works_in_a_batch_of_parameters() -> None:
    thetas = jnp.stack([THETA, 1.3 * THETA, 0.7 * THETA])
    one = jax.value_and_grad(lambda t: engine_of(Markov, "labels", t).log_density())
    values, slopes = jax.jit(jax.vmap(one))(thetas)
    for k, theta in enumerate(thetas):
        value, slope = jax.jit(one)(theta)
        assert values[k] == pytest.approx(float(value), rel=1e-12)
        np.testing.assert_allclose(slopes[k], slope, rtol=1e-9)


@pytest.mark.slow
def test_memory_grows_as_the_number_of_rows() -> None:
    def temporary(n: int) -> int:
        times, values = np.linspace(0.0, n / 100, n), np.zeros(n)
        sites = {"f(t)": Site("f", at(times), n)}
        law = Gaussian(Affine(0.0, (Term("f(t)"),), (n,)), 0.3)

        def density(theta):
            kernel = Matern32(lengthscale=theta[0], scale=theta[1])
            return Markov({"f": RandomFunction(kernel)}, sites, {"y": (law, values, None)})

        run = jax.jit(jax.value_and_grad(lambda theta: density(theta).log_density()))
        return run.lower(THETA[:2]).compile().memory_analysis().temp_size_in_bytes

    small, large = temporary(20_000), temporary(80_000)
    assert large < 4.5 * small
    assert large < 1000 * 80_000  # bytes a row


def test_the_gradient_of_what_it_predicts_is_that_of_the_dense_engine() -> None:
    """With missing rows, and lanes filled up at the end: what says nothing has no slope."""
    block, new, affine = one_function(lambda a, b: Matern32(lengthscale=a, scale=b))
    theta = jnp.array([0.8, 1.2, 0.3])

    def slopes(engine):
        def summed(theta):
            processes, sites, observations = block(theta)
            mean, variance = engine(processes, sites, observations).condition(new, affine)
            return jnp.sum(mean) + jnp.sum(jnp.sqrt(variance))

        return jax.jit(jax.grad(summed))(theta)

    np.testing.assert_allclose(slopes(Markov), slopes(Dense), rtol=1e-7)


def test_a_noise_of_zero_is_an_error_that_names_the_outcome() -> None:
    processes, sites, observations = CASES["Matern32"][0](THETA)
    law, value, keep = observations["y"]
    silent = {"y": (Gaussian(law.mean, 0.0), value, keep)}
    with pytest.raises(ValueError, match=r"observations\['y'\]: noise 0"):
        Markov(processes, sites, silent)
