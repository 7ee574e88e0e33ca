"""Names of a model into identifiers of the emitted program: one each, and no two alike."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable

_OWN = "jnp np numpyro dist known at laws places wanted prepare summaries model processes sites"
_OWN += " quantities outcomes definitions INFERENCE ENGINE INDICES LABELS NAMES DIMS COPIES INPUTS"
_OWN += " TAKEN LATENT INDUCING ROWS PREDICTORS POSTERIOR APART MOVING MULTIPLIED jax k s_ order"
_OWN += " images layers maps LAYERS TRAINING INNER inner_functions through solved"
# Arguments of NumPyro's own that a keyword of the same name would meet: `MCMC.run(rng_key, ...)`.
_NUMPYROS = "self fn rng_key init_params extra_fields"
_TAKEN = {*_OWN.split(), *_NUMPYROS.split(), *dir(builtins), *keyword.kwlist}


def identifiers(names: Iterable[str], taken: set[str]) -> dict[str, str]:
    """`trend.lengthscale` -> `trend_lengthscale`; Python's own words get a low line behind.

    `taken` are further words that the program uses itself.
    """
    found: dict[str, str] = {}
    used = _TAKEN | taken
    for name in names:
        word = re.sub(r"\W", "_", name).strip("_") or "value"
        word = f"v_{word}" if word[0].isdigit() else word
        while word in used or not word.isidentifier():
            word += "_"
        used.add(word)
        found[name] = word
    return found
