"""The reference interpreter against closed forms, written out here once more by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from tests.reference.interpreter import Reference, joint_log_density

T = np.array([0.0, 0.4, 1.1, 1.9, 2.5])
Y = np.array([0.3, -0.2, 0.9, 1.4, -0.7])


def gaussian(y, mean, covariance):
    return float(stats.multivariate_normal(mean, covariance).logpdf(y))


def test_a_process_a_number_and_noise_add_their_covariances():
    text = """
    data t[n], y[n] : Real
    level ~ Normal(1, 2)
    f ~ GP(RBF(lengthscale ~ LogNormal(0, 1), scale = 0.7), mean = 0.5)
    noise ~ HalfNormal(1)
    y ~ Normal(level + f(t), noise)
    """
    values = {"f.lengthscale": 1.3, "noise": 0.2}
    gram = 0.49 * np.exp(-0.5 * np.subtract.outer(T, T) ** 2 / 1.69)
    expected = gaussian(Y, np.full(5, 1.5), gram + 4 + 0.04 * np.eye(5))
    expected += stats.lognorm(1).logpdf(1.3) + stats.halfnorm().logpdf(0.2)
    assert joint_log_density(text, {"t": T, "y": Y}, values) == pytest.approx(expected, rel=1e-12)


def test_eight_schools_integrates_its_hierarchy_out():
    text = """
    data y[school] : Real
    data sigma[school] : Positive
    mu ~ Normal(0, 5)
    tau ~ HalfCauchy(5)
    theta[school] ~ Normal(mu, tau)
    y ~ Normal(theta, sigma)
    """
    sigma = np.array([1.0, 2.0, 0.5, 1.5, 3.0])
    covariance = np.diag(sigma**2) + 1.7**2 * np.eye(5) + 25
    expected = gaussian(Y, np.zeros(5), covariance) + stats.halfcauchy(scale=5).logpdf(1.7)
    found = joint_log_density(text, {"y": Y, "sigma": sigma}, {"tau": 1.7})
    assert found == pytest.approx(expected, rel=1e-12)
    given = {"tau": 1.7, "mu": 0.4, "theta": Y * 0.5}
    conditional = stats.norm(0, 5).logpdf(0.4) + stats.halfcauchy(scale=5).logpdf(1.7)
    conditional += stats.norm(0.4, 1.7).logpdf(Y * 0.5).sum()
    conditional += stats.norm(Y * 0.5, sigma).logpdf(Y).sum()
    found = joint_log_density(text, {"y": Y, "sigma": sigma}, given)
    assert found == pytest.approx(conditional, rel=1e-12)


def test_given_and_integrated_agree_through_quadrature():
    text = """
    data w[n], y[n] : Real
    slope ~ Normal(0.5, 2)
    y ~ Normal(slope * w, 0.8)
    """
    data = {"w": T, "y": Y}

    def density(slope):
        return np.exp(joint_log_density(text, data, {"slope": slope}))

    integral = quad(density, -8, 8, points=[0.0, 1.0], epsabs=1e-14)[0]
    assert joint_log_density(text, data, {}) == pytest.approx(np.log(integral), rel=1e-8)


@pytest.mark.parametrize(
    ("operators", "expected"),
    [
        ("D(f)", lambda d, s: (1 - d**2 / s**2) / s**2),
        ("Laplacian(f)", lambda d, s: (3 - 6 * d**2 / s**2 + d**4 / s**4) / s**4),
        ("D(D(f))", lambda d, s: (3 - 6 * d**2 / s**2 + d**4 / s**4) / s**4),
    ],
)
def test_derivatives_of_rbf_have_their_closed_forms(operators, expected):
    text = f"""
    data t[n], y[n] : Real
    f ~ GP(RBF(lengthscale = 1.3, scale = 1))
    y ~ Normal({operators}(t), 1)
    """
    site = f"{operators}(t)"
    _, found = Reference(text, {"t": T, "y": Y}, {}).prior_of((site,), {site: ("n",)})
    d = np.subtract.outer(T, T)
    assert found == pytest.approx(expected(d, 1.3) * np.exp(-0.5 * d**2 / 1.69), abs=1e-14)


def test_derivatives_of_rough_kernels_are_right_at_coincident_points():
    for kernel, curvature in (("Matern32", 3.0), ("Matern52", 5.0 / 3.0)):
        text = f"""
        data t[n], y[n] : Real
        f ~ GP({kernel}(lengthscale = 2, scale = 1))
        y ~ Normal(D(f)(t), 1)
        """
        _, found = Reference(text, {"t": T, "y": Y}, {}).prior_of(("D(f)(t)",), {"D(f)(t)": ("n",)})
        assert np.diag(found) == pytest.approx(curvature / 4, rel=1e-14)


def test_a_space_conditions_a_prior():
    text = """
    data y[n] : Real
    a : Positive ~ Normal(0.5, 1)
    b : Interval(-1, 2) ~ StudentT(3, 0, 1)
    c : Ordered(3) ~ Normal(0, 2)
    y ~ Normal(a + b, 1)
    """
    values = {"a": 0.7, "b": 0.1, "c": np.array([-1.0, 0.2, 2.0])}
    expected = stats.norm(0.8).logpdf(Y).sum()
    expected += stats.norm(0.5).logpdf(0.7) - np.log(stats.norm(0.5).sf(0))
    student = stats.t(3)
    expected += student.logpdf(0.1) - np.log(student.cdf(2) - student.cdf(-1))
    expected += stats.norm(0, 2).logpdf(values["c"]).sum() + np.log(6)
    assert joint_log_density(text, {"y": Y}, values) == pytest.approx(expected, rel=1e-12)


def test_missing_outcomes_are_left_out():
    text = """
    data t[n], y[n] : Real
    f ~ GP(Matern12(lengthscale = 1, scale = 1))
    y ~ Normal(f(t), 0.5)
    """
    holes = Y.copy()
    holes[2] = np.nan
    keep = np.array([0, 1, 3, 4])
    whole = joint_log_density(text, {"t": T, "y": holes}, {})
    assert whole == pytest.approx(joint_log_density(text, {"t": T[keep], "y": Y[keep]}, {}))


def test_labels_have_independent_functions():
    text = """
    data t[n], y[n] : Real
    data g[n] : Label(c)
    f[c] : Real -> Real ~ GP(RBF(lengthscale[c] ~ HalfNormal(1), scale = 1))
    y ~ Normal(f[g](t), 0.5)
    """
    codes, scales = np.array([0, 1, 0, 1, 1]), np.array([0.5, 1.5])
    d = np.subtract.outer(T, T)
    same = np.equal.outer(codes, codes)
    gram = np.where(same, np.exp(-0.5 * (d / scales[codes]) ** 2), 0.0)
    expected = gaussian(Y, np.zeros(5), gram + 0.25 * np.eye(5))
    expected += stats.halfnorm().logpdf(scales).sum()
    found = joint_log_density(text, {"t": T, "y": Y, "g": codes}, {"f.lengthscale": scales})
    assert found == pytest.approx(expected, rel=1e-12)


def test_values_of_a_function_enter_as_latent_values():
    text = """
    data t[n] : Real
    data k[n] : Count
    f ~ GP(Matern32(lengthscale = 1, scale = 1))
    k ~ Poisson(exp(f(t)))
    """
    counts, f = np.array([1, 0, 2, 4, 1]), Y * 0.3
    r = np.sqrt(3) * np.abs(np.subtract.outer(T, T))
    expected = gaussian(f, np.zeros(5), (1 + r) * np.exp(-r))
    expected += stats.poisson(np.exp(f)).logpmf(counts).sum()
    found = joint_log_density(text, {"t": T, "k": counts}, {"f(t)": f})
    assert found == pytest.approx(expected, rel=1e-12)


def test_what_is_not_affine_is_refused():
    text = """
    data y[n] : Real
    a ~ Normal(0, 1)
    y ~ Normal(a^2, 1)
    """
    with pytest.raises(ValueError, match="not affine"):
        joint_log_density(text, {"y": Y}, {})
