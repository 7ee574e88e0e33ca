"""Laws of values whitened along a line, and of what follows from them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.handlers import seed, substitute

from mercer.compiler.emit import emit
from mercer.model import Model
from mercer.runtime.engines import whitened
from mercer.runtime.engines.gaussian import Affine, RandomFunction, Site, Term
from mercer.runtime.engines.timeline import Reading, timeline
from mercer.stdlib.kernels import Constant, Matern32, Matern52
from mercer.stdlib.points import PerLabel, Points, covariance

RNG = np.random.default_rng(5)
T = np.round(RNG.uniform(0, 3, 14), 1)  # some repeated
LABELS = RNG.integers(0, 3, 14)
NEW = np.array([-0.5, 0.7, 1.3, 4.0])
SCALES = PerLabel(jnp.array([1.0, 0.5, 2.0]))
KERNEL = Matern52(lengthscale=0.6) + SCALES * Matern32(lengthscale=1.0) + Constant(scale=0.7)


def _site(times, labels, *, is_along: bool) -> Site:
    site = Site("f", Points((times[:, None],), labels=labels), len(times))
    if not is_along:
        return site
    order = timeline({"f(t)": site}, [(times, Reading("f(t)"))], apart=True)
    return Site("f", site.points, len(times), order=order)


PROCESSES = {"f": RandomFunction(KERNEL)}


def test_values_along_a_line_have_the_covariance_of_the_kernel() -> None:
    sites = {"f(t)": _site(T, LABELS, is_along=True)}
    distinct = len(np.unique(np.stack([T, LABELS]), axis=1).T)
    size = (3 + 2) * distinct + len(np.unique(LABELS))

    def values(normal):
        sampled = substitute(seed(whitened.sample, 0), {"f.whitened": normal})
        return sampled(PROCESSES, sites)["f(t)"]

    # They are linear in the normals, whose covariance is the identity.
    root = jax.jit(jax.jacfwd(values))(jnp.zeros(size))
    points = Points((jnp.asarray(T)[:, None],), labels=jnp.asarray(LABELS))
    np.testing.assert_allclose(root @ root.T, covariance(KERNEL, points, points), atol=1e-12)


def test_given_values_condition_as_the_joint_gaussian_does() -> None:
    values = RNG.normal(size=3)[LABELS] + np.sin(T)
    labels = np.array([0, 1, 2, 1])
    new = {"new": Site("f", Points((NEW[:, None],), labels=labels), 4)}
    target = Affine(1.0, (Term("new", 2.0),), (4,))

    def conditional(is_along: bool):
        sites = {"f(t)": _site(T, LABELS, is_along=is_along)}
        block = whitened.given(PROCESSES, sites, {"f(t)": values})
        return jax.jit(lambda: block.condition(new, target))()

    for found, expected in zip(conditional(True), conditional(False), strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-6)


COUNTS = """
data t[n] : Real
data y[n] : Count
f ~ GP({kernel})
y ~ Poisson(exp(f(t)))
"""


@pytest.mark.parametrize(
    ("kernel", "rows", "is_along"),
    [("Matern32()", 50, False), ("Matern32()", 2000, True), ("RBF()", 2000, False)],
)
def test_a_function_left_to_inference_goes_along_its_line_where_that_is_cheaper(
    kernel: str, rows: int, is_along: bool
) -> None:
    plan = Model.from_text(COUNTS.format(kernel=kernel)).plan({"n": rows})
    assert (plan.along == ("f(t)",)) is is_along
    assert ("order=Timeline(" in emit(plan)) is is_along
    assert any("whitened along the line" in s for s in plan.sentences) is is_along


def test_many_rows_of_log_concave_outcomes_are_smoothed_about_the_mode() -> None:
    plan = Model.from_text(COUNTS.format(kernel="Matern32()")).plan({"n": 10**5})
    assert (plan.method, plan.engine_name, plan.along) == ("map", "Markov", ())


def test_many_values_of_any_other_outcome_are_fitted_by_a_normal_law() -> None:
    text = COUNTS.replace("Count", "Real").replace("Poisson(exp(f(t)))", "StudentT(3, f(t), 1)")
    plan = Model.from_text(text.format(kernel="Matern32()")).plan({"n": 10**5})
    assert (plan.method, plan.along) == ("svi", ("f(t)",))
