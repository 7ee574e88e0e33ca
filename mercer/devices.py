"""A plan turned into the sentence on which of the devices that JAX sees a fit will use."""

from __future__ import annotations

import jax

from mercer.compiler.plan import Plan
from mercer.compiler.together import USUAL_CHAINS
from mercer.runtime.devices import Spread, dividing, over_chains, over_rows
from mercer.runtime.methods.nuts import fitting_chain_method


def devices_sentence(plan: Plan) -> str | None:
    """None where there is one device, and no other process."""
    every = jax.devices()
    if len(every) == 1:
        return None
    spread, what = _shared(plan)
    kind = every[0].device_kind
    if spread is None or spread.count == 1:
        return f"Devices: one of {len(every)} ({kind}); nothing of this fit is worth sharing."
    used = f"all {len(every)}" if spread.count == len(every) else f"{spread.count} of {len(every)}"
    return f"Devices: {used} ({kind}), which share {what}."


def _shared(plan: Plan) -> tuple[Spread | None, str]:
    """The devices that share something, and what it is."""
    if plan.batches is not None:
        size = int(plan.settings["batch"])
        return over_rows(size), f"the {size:,} rows of each step"
    if plan.training is not None:
        if plan.training.rows is None:
            return None, ""
        size = int(plan.settings.get("batch", plan.training.settings["batch"]))
        return dividing(size), f"the {size:,} rows of each step of training"
    if plan.method != "nuts":
        return None, ""
    chains = int(plan.settings.get("chains", USUAL_CHAINS))
    if fitting_chain_method(chains) != "parallel":
        return None, ""
    return over_chains(chains), f"the {chains} chains"
