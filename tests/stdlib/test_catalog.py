"""Laws of the catalog: read without JAX, complete, and consistent with what it names."""

import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from mercer.stdlib import catalog, kernels

KINDS = (
    catalog.kernels,
    catalog.distributions,
    catalog.elementwise,
    catalog.reductions,
    catalog.priors,
    catalog.means,
    catalog.spaces,
    catalog.methods,
    catalog.defaults,
)


def test_reading_every_entry_imports_neither_jax_nor_numpy():
    program = (
        "import sys\n"
        "from mercer.stdlib import catalog\n"
        "import mercer.stdlib.kernels\n"
        f"for kind in {[kind.__name__ for kind in KINDS]}: getattr(catalog, kind)()\n"
        "print([m for m in ('jax', 'numpyro', 'numpy', 'scipy') if m in sys.modules])\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_entry_is_documented_under_its_own_name(kind):
    for name, entry in kind().items():
        assert entry.name == name
        assert entry.doc
        names = [p.name for p in entry.parameters]
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_named_default_of_a_kernel_or_prior_is_a_default_prior(kind):
    for entry in kind().values():
        for parameter in entry.parameters:
            if isinstance(parameter.default, str) and not parameter.structural:
                assert parameter.default in catalog.defaults(), (entry.name, parameter.name)


def test_what_must_be_given_has_no_default():
    for kind in KINDS:
        for entry in kind().values():
            for p in entry.parameters:
                assert not (p.required and p.default is not None), (entry.name, p.name)


def test_every_kernel_has_a_scale_and_runs_or_is_promised():
    for name, entry in catalog.kernels().items():
        assert (entry.runs or entry.on_shapes) == hasattr(kernels, name)
        if entry.runs:
            of_kernels = any(p.space == "Kernel" for p in entry.parameters)
            assert of_kernels or entry.parameter("scale") is not None
            assert entry.formula


REFERENCE = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide,
    "power": np.power, "negative": np.negative, "less": np.less, "less_equal": np.less_equal,
    "greater": np.greater, "greater_equal": np.greater_equal, "equal": np.equal,
    "not_equal": np.not_equal, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan,
    "atan2": np.arctan2, "asinh": np.arcsinh, "atanh": np.arctanh, "logistic": scipy.special.expit,
    "sigmoid": scipy.special.expit, "logit": scipy.special.logit,
    "softplus": lambda x: np.log1p(np.exp(x)), "relu": lambda x: np.maximum(x, 0),
    "Phi": scipy.special.ndtr, "probit": scipy.special.ndtri, "erf": scipy.special.erf,
    "erfc": scipy.special.erfc, "lgamma": scipy.special.gammaln, "digamma": scipy.special.digamma,
}  # fmt: skip


@pytest.mark.parametrize("name", catalog.elementwise())
def test_elementwise_function_is_the_one_of_numpy_or_scipy(name):
    entry = catalog.elementwise()[name]
    reference = REFERENCE.get(name) or getattr(np, name)
    values = [np.array([0.12, 0.4, 0.9]), np.array([0.3, 0.4, 0.2]), np.array([1.0, 2.0, 3.0])]
    values = values[: entry.arity]
    if name == "where":
        values[0] = np.array([True, False, True])
    np.testing.assert_allclose(entry.implementation(*values), reference(*values), rtol=1e-12)


@pytest.mark.parametrize("name", catalog.elementwise())
def test_space_of_a_result_holds_its_values(name):
    entry = catalog.elementwise()[name]
    samples = {"Real": [-0.7, 0.3, 2.5], "Positive": [0.2, 0.9, 3.0], "Unit": [0.0, 0.4, 1.0],
               "Count": [0.0, 1.0, 4.0], "Bool": [0.0, 1.0, 1.0]}  # fmt: skip
    for space, values in samples.items():
        for other, others in samples.items() if entry.arity == 2 else [("Real", [0.0] * 3)]:
            spaces = (space, other, space)[: entry.arity]
            grid = np.meshgrid(values, others, values)[: entry.arity]
            with np.errstate(all="ignore"):
                result = np.asarray(entry.implementation(*(jnp.asarray(g) for g in grid)), float)
            result = result[np.isfinite(result)]
            is_held = {
                "Real": lambda v: v == v,
                "Positive": lambda v: v > 0,
                "Unit": lambda v: (v >= 0) & (v <= 1),
                "Count": lambda v: (v >= 0) & (v == np.round(v)),
                "Bool": lambda v: (v == 0) | (v == 1),
            }[entry.space_of(spaces)]
            assert np.all(is_held(result)), (spaces, entry.space_of(spaces))


@pytest.mark.parametrize("name", catalog.elementwise())
def test_monotone_functions_go_one_way_and_their_inverses_undo_them(name):
    entry = catalog.elementwise()[name]
    x = jnp.linspace(0.05, 0.95, 19)
    if entry.monotone:
        assert np.all(np.diff(entry.implementation(x)) * entry.monotone > 0)
    if entry.inverse:
        inverse = catalog.elementwise()[entry.inverse]
        np.testing.assert_allclose(inverse.implementation(entry.implementation(x)), x, rtol=1e-10)


def test_reductions_are_those_of_a_sample():
    x = np.array([1.0, 4.0, 2.0, 9.0])
    expected = {
        "sum": 16.0,
        "mean": 4.0,
        "sd": np.std(x, ddof=1),
        "max": 9.0,
        "min": 1.0,
        "size": 4,
    }
    for name, entry in catalog.reductions().items():
        np.testing.assert_allclose(entry.implementation(x), expected[name], rtol=1e-15)
