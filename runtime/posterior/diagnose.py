"""Draws turned into sentences: whether to trust them, and what to do if not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np
import xarray as xr

from mercer.runtime.engines.cholesky import EXACT, LATENT
from mercer.runtime.engines.evidence import SPARSE
from mercer.runtime.engines.square_root import SETTLED
from mercer.runtime.methods.draws import Draws

STANDARD = ".standard"
"""Behind the name of an unknown: the standard draw that is moved in its place."""

LEAST_JITTER = {"jitter": EXACT[0], "latent_jitter": LATENT[0], "inducing_jitter": SPARSE[0]}
"""What the factorisations add to a diagonal where all is well, by its name in `sample_stats`."""


_FEWEST = 50  # effective draws, of which a mean has an error of a seventh of the posterior sd

_MUCH_UNEXPLAINED = 0.1
"""Share of the prior variance above which an approximation is told to be a poor one."""

_COVARIANCE = {
    "jitter": "of the data",
    "latent_jitter": "of the functions' values",
    "inducing_jitter": "of the inducing values",
}


def diagnose(
    draws: Draws,
    *,
    method: str,
    depth: int = 10,
    jitter: Mapping[str, np.ndarray] | None = None,
) -> tuple[str, ...]:
    """Sentences on one run, the gravest first; one sentence where all is well.

    `jitter`: what was added to diagonals, relative to their means, by the names of `LEAST_JITTER`.
    """
    grown = _jitter(jitter or {})
    if not draws.values and not draws.notes:
        return (
            "Nothing was sampled: the posterior is exact, drawn from its closed form.",
            *grown,
        )
    if method != "nuts":
        return (*draws.notes, *grown)
    found = [*_divergences(draws), *_mixing(draws), *_depth(draws, depth), *draws.notes, *grown]
    return tuple(found) or ("The chains agree, nothing diverged, and there are draws enough.",)


def of_inducing(stats: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """What the bound of inducing points says of itself; nothing where there are none."""
    if "unexplained" not in stats:
        return ()
    share, bound = float(np.mean(stats["unexplained"])), float(np.mean(stats["bound"]))
    text = (
        f"The functions are seen through inducing points, which leave {100 * share:.2g} % of their "
        f"prior variance at the data unexplained; the lower bound of the log density is "
        f"{bound:.2f}."
    )
    if share > _MUCH_UNEXPLAINED:
        text += " That is much: more points help, infer NAME by Inducing(count = ...)."
    return (text,)


def of_solves(stats: Mapping[str, np.ndarray], tolerance: float) -> tuple[str, ...]:
    """What the solves for all draws reached; nothing where nothing was solved for."""
    if "residual" not in stats:
        return ()
    residual = stats["residual"]
    worst, most = float(np.max(residual)), int(np.max(stats["iterations"]))
    text = (
        f"What is integrated out was solved for by conjugate gradients for each draw, in at most "
        f"{most} iterations; the largest relative residual is {worst:.1e}."
    )
    if missed := int(np.sum(~(residual <= tolerance))):
        text += (
            f" In {missed} of {residual.size} draws it is above the tolerance of {tolerance:g}: "
            "what follows from them is less exact than asked for. A larger rank helps, infer NAME "
            "by Iterative(rank = ...), and so does more noise."
        )
    if (change := float(np.max(stats.get("change", 0.0)))) > SETTLED:
        text += (
            f" Prior draws behind the draws of functions still changed by {100 * change:.2g} % of "
            "the prior's standard deviation when they ended: joint draws of functions are exact to "
            "about that, means and variances are not touched. A larger rank helps."
        )
    return (text,)


def of_normal_law(stats: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """That what has a Normal law in place of its own is approximate; nothing where nothing has."""
    if "nearest_steps" in stats:
        return (
            "What is integrated out has the nearest Normal law given all else, not its exact law, "
            f"after {np.mean(stats['nearest_steps']):.1f} steps; the lower bound of the log "
            f"density is {np.mean(stats['bound']):.2f}.",
        )
    if "mode_steps" not in stats:
        return ()
    return (
        "What is integrated out has a Normal law about its mode given all else (Laplace), not its "
        f"exact law; the mode took {np.mean(stats['mode_steps']):.1f} steps.",
    )


def mixing(draws: Draws) -> tuple[xr.Dataset, xr.Dataset]:
    """R-hat and bulk effective sample size of each sampled unknown."""
    import arviz as az

    data = xr.Dataset(
        {
            name: (("chain", "draw", *(f"{name}_{i}" for i in range(v.ndim - 2))), v)
            for name, v in draws.values.items()
            if np.issubdtype(v.dtype, np.floating)
        }
    )
    # What never varies, the diagonal of a correlation, has no R-hat: NaN, and nothing to warn of.
    with np.errstate(divide="ignore", invalid="ignore"):
        return cast(xr.Dataset, az.rhat(data)), cast(xr.Dataset, az.ess(data))


def _divergences(draws: Draws) -> list[str]:
    count = int(np.sum(draws.stats.get("diverging", 0)))
    total = draws.chains * draws.draws
    if not count:
        return []
    return [
        f"{count} of {total} draws diverged: the sampler met curvature that its step size could "
        "not follow, and the posterior may be biased there. Give scales and lengthscales tighter "
        "priors, or smaller steps: infer NUTS(target = 0.99)."
    ]


def _mixing(draws: Draws) -> list[str]:
    if draws.draws < 4:
        return ["Fewer than four draws a chain: nothing can be said about convergence."]
    rhat, ess = mixing(draws)
    found = []
    worst = {str(k): float(np.nanmax(v)) for k, v in rhat.items() if np.isfinite(v).any()}
    for name in [k for k in worst if k.endswith(STANDARD) and k.removesuffix(STANDARD) in worst]:
        # The user knows the unknown, not the standard draw by way of which it is sampled.
        own = name.removesuffix(STANDARD)
        worst[own] = max(worst[own], worst.pop(name))
    bad = sorted((k for k, v in worst.items() if v > 1.01), key=lambda k: -worst[k])
    if bad and draws.chains > 1:
        names = ", ".join(f"{k} ({worst[k]:.3f})" for k in bad[:5])
        more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
        found.append(
            f"The chains do not agree yet: R-hat exceeds 1.01 for {names}{more}. Run longer "
            "(warmup, draws); if it stays, the posterior has several modes or the data do not "
            "identify these."
        )
    least = {k: float(np.nanmin(v)) for k, v in ess.items() if np.isfinite(v).any()}
    few = sorted((k for k, v in least.items() if v < 100 * draws.chains), key=lambda k: least[k])
    if few:
        names = ", ".join(f"{k} ({least[k]:.0f})" for k in few[:5])
        use = (
            "means are usable, tail quantiles less so"
            if least[few[0]] >= _FEWEST
            else "too few even for means"
        )
        found.append(f"Few effective draws of {names}: {use}. Run more draws.")
    return found


def _depth(draws: Draws, depth: int) -> list[str]:
    if "tree_depth" not in draws.stats:
        return []
    share = float(np.mean(draws.stats["tree_depth"] >= depth))
    if share < 0.01:
        return []
    return [
        f"{share:.0%} of the trajectories reached the longest length allowed: sampling is slow, "
        "not wrong. Unknowns of very different size cause it; standardize the inputs."
    ]


def _jitter(jitter: Mapping[str, np.ndarray]) -> list[str]:
    found = []
    for name, values in jitter.items():
        grown = int(np.sum(values > 1.01 * LEAST_JITTER[name]))  # not by rounding alone
        if not grown:
            continue
        what = _COVARIANCE[name]
        found.append(
            f"In {grown} of {values.size} draws the covariance {what} was singular to rounding, "
            f"and up to {np.max(values):.0e} of its mean diagonal was added to it: results are "
            "right to about that size. Inputs that almost coincide, a lengthscale far beyond the "
            "data or noise near 0 cause it."
        )
    return found
