"""A plan -> whether several processes can fit it as one."""

from __future__ import annotations

from mercer.compiler.plan import Plan
from mercer.dsl.diagnostic import Diagnostic, MercerError

USUAL_CHAINS = 4


def check_together(
    plan: Plan, processes: int, chains: int | None = None, *, is_chosen: bool = False
) -> None:
    """Raises MercerError M314 where the processes would have nothing to share: they share the rows
    of minibatches, and chains. `is_chosen`: the fit is one of several, of which one is chosen."""
    if wrong := _unfit(plan, processes, chains, is_chosen):
        raise MercerError([wrong], plan.structure.model.sources)


def _unfit(plan: Plan, processes: int, chains: int | None, is_chosen: bool) -> Diagnostic | None:
    if is_chosen:
        problem = "a choice among numbers is not for several processes"
        return Diagnostic(
            "M314", problem, mend="choose in one process, and fit the best in several"
        )
    if plan.batches is not None:
        return None
    training = plan.training
    if training is not None and plan.method != "nuts" and training.rows is not None:
        return None
    if training is None and plan.method == "nuts":
        count = int(chains or plan.settings.get("chains", USUAL_CHAINS))
        if count >= processes:
            return None
        return Diagnostic(
            "M314",
            f"{processes} processes have only {count} chains to share",
            why="each process runs chains of its own.",
            mend=f"ask for --chains {processes} or more, or start fewer processes",
        )
    return Diagnostic(
        "M314",
        f"a fit by {plan.method.upper()} is not for several processes",
        why="processes share the rows of minibatches, and chains; this plan has neither.",
        mend="fit in one process, or ask for `infer NUTS()` or for minibatches, "
        "`infer SVI(batch = 1000)`",
    )
