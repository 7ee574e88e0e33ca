"""Two short NUTS chains over a thousand points: `python chains_program.py METHOD`, by a test."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.infer import MCMC, NUTS

from mercer.runtime.gaussian import Affine, Gaussian, RandomFunction, Site, Term, observe
from mercer.runtime.threads import threads
from mercer.stdlib.kernels import RBF
from mercer.stdlib.points import Points

N = 1000


def main(method: str) -> None:
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(0, 10, (N, 1)), axis=0)
    y = np.sin(x[:, 0]) + 0.2 * rng.normal(size=N)
    sites = {"f(x)": Site("f", Points((jnp.asarray(x),)), N)}

    def model() -> None:
        lengthscale = numpyro.sample("lengthscale", dist.LogNormal(0.5, 0.1))
        noise = numpyro.sample("noise", dist.LogNormal(-1.6, 0.1))
        processes = {"f": RandomFunction(RBF(lengthscale=lengthscale, scale=1.0))}
        law = Gaussian(Affine(0.0, (Term("f(x)"),), (N,)), noise)
        observe(processes, sites, {"y": law}, {"y": y})

    chains = MCMC(
        NUTS(model, max_tree_depth=1, step_size=0.3),
        num_warmup=1,
        num_samples=2,
        num_chains=2,
        chain_method=threads if method == "threads" else method,
        progress_bar=False,
    )
    chains.run(jax.random.key(0))
    draws = np.asarray(chains.get_samples(group_by_chain=True)["noise"])
    assert draws.shape == (2, 2) and np.isfinite(draws).all()
    print(jax.local_device_count(), *draws.reshape(-1))


if __name__ == "__main__":
    main(sys.argv[1])
