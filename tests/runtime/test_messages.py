"""Laws of message passing: each piece against dense algebra, the whole against known truths."""

from __future__ import annotations

from itertools import product as grid
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import dblquad
from scipy.stats import norm

import mercer
from mercer.runtime.engines.factors import Message, Moments, Product, Shape, grouped
from mercer.runtime.engines.mode import Finite, placed, solved
from mercer.runtime.engines.terms import Affine, Factor, RandomFunction, Site, Term, Weights
from mercer.runtime.methods.checkpoint import Checkpoint, begin
from mercer.runtime.methods.infer import arguments_of
from mercer.runtime.methods.passing import Passing, best_of
from mercer.stdlib.kernels import Matern32
from mercer.stdlib.points import Points, covariance

RNG = np.random.default_rng(3)


def spd(*shape: int) -> Any:
    """Random positive definite matrices [*shape, shape[-1]]."""
    root = RNG.normal(size=(*shape, shape[-1]))
    return root @ np.swapaxes(root, -1, -2) + 0.1 * np.eye(shape[-1])


# --- one factor -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["line", "dense"])
def test_the_law_of_a_mode_is_that_of_a_dense_process(kind: Any) -> None:
    times, rank = np.array([3.0, 0.5, 1.5, 0.5, 2.0, 3.0]), 2
    index = np.arange(2 * len(times)).reshape(-1, 2)
    points = Points((np.repeat(times, 2)[:, None],), output=np.tile([0, 1], len(times)))
    site, factor = Site("u", points, index.size), Factor("a", (2,), index, kind == "line")
    shape, groups = grouped("u(t)", site, factor)
    assert shape.count == 4 and shape.kind == kind
    prior_mean = 0.3 * (index.reshape(-1) % 2)
    at = placed(groups, site, index, Affine(prior_mean, (Term("u(t)"),), (len(times), 2)))
    message = Message(jnp.asarray(spd(4, rank)), jnp.asarray(RNG.normal(size=(4, rank))))
    process = RandomFunction(Matern32(lengthscale=0.7, scale=1.3))
    log_z, law = jax.jit(lambda at, message: solved(shape, groups, at, process, message))(
        at, message
    )
    t = np.unique(times)
    one = np.asarray(covariance(Matern32(lengthscale=0.7, scale=1.3), *[Points((t[:, None],))] * 2))
    prior = np.kron(one, np.eye(rank))
    mean = np.tile(prior_mean.reshape(-1, 2)[0], 4)
    precision = np.zeros((8, 8))
    for g in range(4):
        precision[2 * g : 2 * g + 2, 2 * g : 2 * g + 2] = message.precision[g]
    whole = np.linalg.inv(prior) + precision
    shift = np.asarray(message.shift).reshape(-1) + np.linalg.solve(prior, mean)
    posterior = np.linalg.inv(whole)
    expected = 0.5 * shift @ posterior @ shift - 0.5 * mean @ np.linalg.solve(prior, mean)
    expected -= 0.5 * np.linalg.slogdet(whole @ prior)[1]
    np.testing.assert_allclose(log_z, expected, rtol=1e-8)
    np.testing.assert_allclose(law.mean.reshape(-1), posterior @ shift, rtol=1e-8, atol=1e-10)
    blocks = [posterior[2 * g : 2 * g + 2, 2 * g : 2 * g + 2] for g in range(4)]
    np.testing.assert_allclose(law.covariance, np.stack(blocks), rtol=1e-8, atol=1e-10)


def test_a_group_that_no_row_tells_of_keeps_its_prior() -> None:
    shape, groups = grouped("w", Site("w", size=6), Factor("a", (2,), np.arange(6).reshape(3, 2)))
    at = placed(groups, Site("w", size=6), np.arange(6).reshape(3, 2), Affine(0.0, (), (6,)))
    nothing = Message(jnp.zeros((3, 2, 2)), jnp.zeros((3, 2)))
    log_z, law = solved(shape, groups, at, Weights(sd=2.0), nothing)
    np.testing.assert_allclose(log_z, 0.0, atol=1e-12)
    np.testing.assert_allclose(law.covariance, np.broadcast_to(4.0 * np.eye(2), (3, 2, 2)))


def test_draws_of_a_finite_factor_have_its_law_and_new_entries_the_prior() -> None:
    law = Moments(jnp.asarray([[1.0, -1.0]]), jnp.asarray(spd(1, 2)))
    block = Finite("w", jnp.asarray([[2, 0]]), law, jnp.asarray([9.0, 0.5, 9.0]))
    sites = {"w": Site("w", size=3)}
    affine = Affine(0.0, (Term("w", np.array([[1.0, 2.0, 3.0]]), np.array([[0, 1, 2]])),), (1,))
    mean, variance = block.condition(sites, affine)
    own = np.array([3.0, 1.0])  # of the entries 2 and 0
    np.testing.assert_allclose(mean, [own @ [1.0, -1.0]])
    np.testing.assert_allclose(variance, [own @ np.asarray(law.covariance[0]) @ own + 4 * 0.25])
    keys = jax.random.split(jax.random.key(0), 4000)
    drawn = np.asarray(jax.vmap(lambda k: block.draw(k, {"x": affine}, sites)["x"][0])(keys))
    assert abs(drawn.mean() - mean[0]) < 5 * np.sqrt(variance[0] / 4000)
    assert abs(drawn.var() / variance[0] - 1) < 5 * np.sqrt(2 / 4000)


# --- rows -----------------------------------------------------------------------------------------


def tucker(rows: int) -> tuple[Product, dict[str, Moments], dict[str, Any]]:
    """A core [2, 3] over modes of different ranks, with random laws."""
    shapes = {
        "u": Shape("u", "u", "line", "a", (2,), 4, True),
        "v": Shape("v", "v", "finite", "b", (3,), 5, True),
        "core": Shape("core", "core", "finite", "ab", (2, 3), 1, False),
    }
    laws = {
        k: Moments(
            jnp.asarray(RNG.normal(size=(s.count, s.rank))), jnp.asarray(spd(s.count, s.rank))
        )
        for k, s in shapes.items()
    }
    codes = {"u": RNG.integers(0, 4, rows), "v": RNG.integers(0, 5, rows), "core": np.zeros(0, int)}
    return Product(shapes, rows), laws, {k: jnp.asarray(c) for k, c in codes.items()}


def seconds(law: Moments) -> np.ndarray:
    mean, cov = (np.asarray(x) for x in law)
    return cov + mean[:, :, None] * mean[:, None, :]


def test_messages_are_the_expectations_written_out() -> None:
    rows = 7
    found, laws, codes = tucker(rows)
    weight, target = RNG.uniform(0.5, 2, rows), RNG.normal(size=rows)
    u, v, w = (seconds(laws[k]) for k in ("u", "v", "core"))
    w = w[0].reshape(2, 3, 2, 3)
    to_u, to_core = np.zeros((4, 2, 2)), np.zeros((6, 6))
    shift = np.zeros((4, 2))
    core = np.asarray(laws["core"].mean).reshape(2, 3)
    for n in range(rows):
        i, j = int(codes["u"][n]), int(codes["v"][n])
        for a, b, c, d in grid(range(2), range(3), range(2), range(3)):
            to_u[i, a, c] += weight[n] * w[a, b, c, d] * v[j, b, d]
            to_core[3 * a + b, 3 * c + d] += weight[n] * u[i, a, c] * v[j, b, d]
        shift[i] += target[n] * core @ np.asarray(laws["v"].mean)[j]
    message = found.message("u", laws, codes, jnp.asarray(weight), jnp.asarray(target))
    np.testing.assert_allclose(message.precision, to_u, rtol=1e-10)
    np.testing.assert_allclose(message.shift, shift, rtol=1e-10, atol=1e-12)
    message = found.message("core", laws, codes, jnp.asarray(weight), jnp.asarray(target))
    np.testing.assert_allclose(message.precision[0], to_core, rtol=1e-10)


def test_rows_a_few_at_a_time_say_the_same() -> None:
    found, laws, codes = tucker(23)
    few = Product(found.shapes, 23)
    few.step = 5
    weight, target = jnp.asarray(RNG.uniform(size=23)), jnp.asarray(RNG.normal(size=23))
    for key in found.shapes:
        whole = found.message(key, laws, codes, weight, target)
        parts = few.message(key, laws, codes, weight, target)
        np.testing.assert_allclose(parts.precision, whole.precision, rtol=1e-10)
        np.testing.assert_allclose(parts.shift, whole.shift, rtol=1e-10, atol=1e-12)
    for a, b in zip(few.values(laws, codes), found.values(laws, codes), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)


def test_moments_of_rows_are_those_of_draws() -> None:
    found, laws, codes = tucker(3)
    mean, variance = (np.asarray(x) for x in found.values(laws, codes))
    size, drawn = 200_000, {}
    for key, law in laws.items():
        root = np.linalg.cholesky(np.asarray(law.covariance))
        normal = RNG.normal(size=(size, *law.mean.shape))
        drawn[key] = np.asarray(law.mean) + np.einsum("gij,sgj->sgi", root, normal)
    core = drawn["core"].reshape(size, 2, 3)
    for n in range(3):
        u, v = drawn["u"][:, int(codes["u"][n])], drawn["v"][:, int(codes["v"][n])]
        values = np.einsum("sab,sa,sb->s", core, u, v)
        assert abs(values.mean() - mean[n]) < 5 * values.std() / np.sqrt(size)
        assert abs(values.var() / variance[n] - 1) < 0.1


# --- the bound ------------------------------------------------------------------------------------

NUMBERS = (
    "data x[n], y[n] : Real\na ~ Normal(0, 1)\nb ~ Normal(1, 0.2)\ny ~ Normal(a * b * x, 0.7)\n"
)


def passing_of(text: str, data: dict[str, Any], line: str = "Messages()") -> Passing:
    model = mercer.compile(f"{text}infer {line}\n")
    bound = model.bind(data)
    program = model.program(model.plan(bound.sizes))
    return Passing(program, arguments_of(program, bound))


def test_the_bound_never_falls_and_stays_below_the_evidence() -> None:
    x = np.array([0.5, -1.0, 2.0])
    y = np.array([0.4, -0.2, 1.1])
    passing = passing_of(NUMBERS, {"x": x, "y": y})
    passing.compile()
    state = passing.begin(0, 0)
    for _ in range(60):
        state = passing.sweep(state)
    assert np.all(np.diff(state.bounds) > -1e-9)

    def joint(b: float, a: float) -> float:
        rows = np.prod(norm.pdf(y, a * b * x, 0.7))
        return float(rows * norm.pdf(a) * norm.pdf(b, 1, 0.2))

    evidence = np.log(dblquad(joint, -6, 6, -1, 3, epsabs=1e-10)[0])
    assert evidence - 0.2 < state.bounds[-1] < evidence


SUMS = """data x[n], z[n], t[n], y[n] : Real
f : Real -> Real ~ GP(Matern32(lengthscale = 1, scale = 1))
a ~ Normal(0, 1)
b ~ Normal(1, 0.2)
c ~ Normal(0.5, 1)
d ~ Normal(0, 1)
y ~ Normal(f(t) + 2 * a * b * x - c * d * z, 0.3)
"""


def test_the_bound_of_a_sum_of_products_never_falls() -> None:
    x, z, t, y = np.random.default_rng(8).normal(size=(4, 12))
    passing = passing_of(SUMS, {"x": x, "z": z, "t": t.round(1), "y": y})
    assert sorted({s.product for s in passing.shapes.values()}) == [0, 1, 2]
    passing.compile()
    state = passing.begin(0, 0)
    for _ in range(40):
        state = passing.sweep(state)
    assert np.all(np.diff(state.bounds) > -1e-9)


def test_a_function_beside_products_of_nothing_has_its_exact_law() -> None:
    t = np.random.default_rng(9).uniform(0, 4, 12).round(1)
    y, zero = np.sin(t), np.zeros(12)
    passing = passing_of(SUMS, {"x": zero, "z": zero, "t": t, "y": y})
    passing.compile()
    state = passing.begin(0, 0)
    for _ in range(20):
        state = passing.sweep(state)
    mean, variance, _ = passing.functions.located(state.flat, state.laws, passing.data)
    apart = np.sqrt(3) * np.abs(t[:, None] - t)
    kernel = (1 + apart) * np.exp(-apart)
    gain = np.linalg.solve(kernel + 0.09 * np.eye(12), kernel)
    np.testing.assert_allclose(mean, y @ gain, atol=1e-8)
    np.testing.assert_allclose(variance, np.diag(kernel - kernel @ gain), atol=1e-8)


def test_a_mode_with_one_distinct_point_is_a_number() -> None:
    x, y = np.full(12, 0.7), np.random.default_rng(9).normal(1.0, 0.3, 12)
    text = "data x[n], y[n] : Real\nu : Real -> Real ~ GP(Matern32(lengthscale = 1, scale = 1))\n"
    numbers = "b ~ Normal(1, 0.2)\ny ~ Normal({} * b, 0.3)\n"
    of_function = passing_of(text + numbers.format("u(x)"), {"x": x, "y": y})
    of_number = passing_of(f"data y[n] : Real\na ~ Normal(0, 1)\n{numbers.format('a')}", {"y": y})
    found = []
    for passing in (of_function, of_number):
        passing.compile()
        state = passing.begin(0, 0)
        for _ in range(200):
            state = passing.sweep(state)
        mean, variance, _ = passing.functions.located(state.flat, state.laws, passing.data)
        found.append((state.bounds[-1], float(mean[0]), float(variance[0])))
    np.testing.assert_allclose(*found, rtol=1e-6)


LABELS = """data x[n], y[n] : Real
data who[n] : Label(g)
u : Real -> Real^2 ~ GP(Matern12())
taste[g] : Real^2 ~ Normal(0, 1)
core : Real^2 * Real^2 -> Real ~ Multilinear()
noise ~ HalfNormal(1)
y ~ Normal(core(u(x), taste[who]), noise)
"""


def curves(rows: int, seed: int = 1) -> SimpleNamespace:
    """Each label has its own multiple of one curve and of another."""
    rng = np.random.default_rng(seed)
    x, g = rng.uniform(0, 3, rows).round(1), rng.integers(0, 5, rows)
    one, two = np.array([1, -1, 0.5, 2.0, 0.0]), np.array([0, 1, 1, -0.5, 1.0])
    f = one[g] * np.sin(2 * x) + two[g] * 0.5 * x
    y = f + 0.1 * rng.normal(size=rows)
    names = np.array(["ann", "bob", "cat", "dan", "eve"])
    return SimpleNamespace(data={"x": x, "who": names[g], "y": y}, f=f, names=names)


@pytest.fixture(scope="session")
def seen() -> Any:
    """A fit of labels and a function along a line, with an outcome that is missing."""
    found = curves(200)
    found.data["y"][7] = np.nan
    model = mercer.compile(LABELS)
    found.model = model
    found.fit = model.fit(found.data, seed=0, chains=2, draws=40, progress=False)
    return found


def test_known_functions_are_found_from_noise(seen: Any) -> None:
    assert seen.fit.settings["method"] == "messages"
    told = seen.fit.predict(seen.data)
    error = np.sqrt(np.mean((told.means["y"] - seen.f) ** 2))
    assert error < 0.06  # of values with a spread of 1, each seen with noise 0.1
    noise = seen.fit.idata.posterior["noise"].values
    assert abs(noise.mean() - 0.1) < 0.02


def test_what_is_missing_is_predicted_within_its_interval(seen: Any) -> None:
    told = seen.fit.predict(seen.data)
    assert abs(told.means["y"][7] - seen.f[7]) < 3 * told.sds["y"][7]


def test_an_unseen_input_and_a_new_label_are_further_off(seen: Any) -> None:
    told = seen.fit.predict({"x": [1.55, 1.55, 9.0], "who": ["ann", "zoe", "ann"]})
    near, new, far = told.sds["y"]
    assert near < 0.3 < new and near < 0.3 < far


def test_a_fit_that_was_saved_predicts_the_same(seen: Any, tmp_path: Any) -> None:
    seen.fit.save(tmp_path / "fit.nc")
    again = mercer.open(tmp_path / "fit.nc")
    new = {"x": [0.25, 2.0], "who": ["bob", "eve"]}
    for part in ("means", "sds"):
        np.testing.assert_array_equal(
            getattr(again.predict(new), part)["y"], getattr(seen.fit.predict(new), part)["y"]
        )


def test_aligned_factors_of_a_fit_make_the_same_product(seen: Any) -> None:
    code = np.searchsorted(seen.names, seen.data["who"])

    def product(found: Any) -> np.ndarray:
        u, core, taste = (found[k].values for k in ("u(x)", "core.weights", "taste"))
        return np.einsum("cdni,cdij,cdnj->cdn", u, core, taste[:, :, code])

    before, after = seen.fit.idata["posterior"], mercer.align(seen.fit)
    np.testing.assert_allclose(product(after), product(before), atol=1e-10)
    u = after["u(x)"].mean(("chain", "draw")).values
    assert abs(u[:, 0] @ u[:, 1]) < 0.1 * (u[:, 0] @ u[:, 0])  # rotated to principal axes
    assert after["u(x)"].dims == before["u(x)"].dims


def test_a_row_given_twice_says_twice_as_much() -> None:
    found, laws, codes = tucker(6)
    twice = {k: c if not len(c) else jnp.concatenate([c, c]) for k, c in codes.items()}
    weight, target = jnp.asarray(RNG.uniform(size=6)), jnp.asarray(RNG.normal(size=6))
    once = found.message("u", laws, codes, weight, target)
    both = Product(found.shapes, 12).message(
        "u", laws, twice, jnp.tile(weight, 2), jnp.tile(target, 2)
    )
    np.testing.assert_allclose(both.precision, 2 * once.precision, rtol=1e-10)
    np.testing.assert_allclose(both.shift, 2 * once.shift, rtol=1e-10)


def test_a_run_goes_on_from_its_checkpoint_to_the_same_end(tmp_path: Any) -> None:
    x = np.array([0.5, -1.0, 2.0, 1.5])
    passing = passing_of(NUMBERS, {"x": x, "y": np.array([0.4, -0.2, 1.1, np.nan])})
    passing.compile()
    whole = best_of(passing, seed=0, restarts=2, steps=45)
    kept = Checkpoint(tmp_path / "state.ckpt", {}, every=1e9)
    best_of(passing, seed=0, restarts=2, steps=12, checkpoint=kept)
    assert kept.write()
    left = begin(tmp_path / "state.ckpt", {}, resume=True)
    halfway = left.load("start 1", like=passing.begin(0, 1))
    assert halfway is not None and halfway.sweep == 12
    rest = best_of(passing, seed=0, restarts=2, steps=45, checkpoint=left)
    assert rest.sweep == whole.sweep > 12
    for one, other in zip(jax.tree.leaves(rest.laws), jax.tree.leaves(whole.laws), strict=True):
        np.testing.assert_array_equal(one, other)
