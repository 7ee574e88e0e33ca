"""Two short NUTS chains over a thousand points: `python chains_program.py WHOSE METHOD`, by a test.

WHOSE is `mercer`, our loop over the sampler, or `numpyro`, whose `MCMC` runs an emitted program.
"""

import sys

import jax
import numpy as np
from numpyro.infer import MCMC, NUTS

import mercer
from mercer.runtime.methods.density import arguments_of
from mercer.runtime.run import run

TEXT = """
data x[n], y[n] : Real
lengthscale ~ LogNormal(0.5, 0.1)
noise ~ LogNormal(-1.6, 0.1)
f ~ GP(RBF(lengthscale = lengthscale, scale = 1))
y ~ Normal(f(x), noise)
"""
N = 1000


def main(whose: str, method: str) -> None:
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(0, 10, N))
    model = mercer.compile(TEXT)
    bound = model.bind({"x": x, "y": np.sin(x) + 0.2 * rng.normal(size=N)})
    program = model.program()
    if whose == "mercer":
        options = {"warmup": 1, "draws": 2, "chains": 2, "depth": 1, "init": "uniform"}
        fit = run(program, bound, method="nuts", chain_method=method, **options)
        draws = fit.idata.posterior["noise"].values
    else:
        chains = MCMC(
            NUTS(program.model, max_tree_depth=1, step_size=0.3),
            num_warmup=1,
            num_samples=2,
            num_chains=2,
            chain_method=method,
            progress_bar=False,
        )
        chains.run(jax.random.key(0), **arguments_of(program, bound).all())
        draws = np.asarray(chains.get_samples(group_by_chain=True)["noise"])
    assert draws.shape == (2, 2) and np.isfinite(draws).all()
    print(jax.local_device_count(), *draws.reshape(-1))


if __name__ == "__main__":
    main(*sys.argv[1:])
