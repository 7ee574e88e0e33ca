"""Structure -> Plan: what is integrated out, what is sampled or optimised, at what cost, and why.

`mercer.compiler.refusals` names what has no engine yet, `mercer.compiler.engines` says which
engine serves a Gaussian block.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from mercer.compiler import typed as ir
from mercer.compiler.contraction import NoContraction
from mercer.compiler.curved import curved_sentences
from mercer.compiler.deep import (
    has_deep_batches,
    has_grams,
    is_collapsed,
    layer_sentences,
    no_deep_batches,
    wrong_for_layers,
)
from mercer.compiler.engines import PATIENCE, Engine, choose_engine
from mercer.compiler.inducing import InducingUse, inducing_of, unfit_for_inducing
from mercer.compiler.layers import layers_of
from mercer.compiler.line import latent_along, states_along, why_not_along
from mercer.compiler.messages import (
    DRAWS as MESSAGE_DRAWS,
)
from mercer.compiler.messages import (
    is_for_messages,
    messages_structure,
    no_messages,
    sentences_of_messages,
)
from mercer.compiler.overrides import METHODS, Method
from mercer.compiler.refusals import refusals
from mercer.compiler.sampling import Step, sentences_of, steps_of
from mercer.compiler.shapes import modes_of, shape_of, waves_sentences
from mercer.compiler.sizes import Sizes, count_of, rows_of
from mercer.compiler.structure import Structure, analyse, owner_of
from mercer.compiler.training import Training, training_of, training_sentences
from mercer.compiler.variational import (
    DRAWS,
    Batches,
    asks_for_batches,
    batch_sentences,
    batches_of,
    engine_of_batches,
    no_batches,
    other_method,
)
from mercer.compiler.walk import names_below
from mercer.dsl.diagnostic import MercerError

SECONDS_FOR_NUTS = 300.0
"""`auto` samples where the sampler's estimated time stays below this, and optimises elsewhere."""

SECONDS_FOR_DRAWS = 60.0
"""What the draws of all that was integrated out may take, about a mode, before they are fewer."""

_LONGEST_SIMULATION = 1e12
"""Operations for which a simulation stays exact: functions at some ten thousand points."""

_LAWS = {
    False: "about {their} mode given all else (Laplace); each step of Newton's method to it",
    True: "nearest to {their} own given all else (conjugate-computation variational inference, "
    "Khan & Lin 2017), with a lower bound of the density; each step to it",
}

_USUAL_DRAWS = 500  # of a chain, as the table of methods has it
_LEAST_DRAWS = 25

_FLOPS_A_SECOND = 1e10  # of one factorisation in float64 on two cores of a laptop
_GRADIENTS = 4 * 1000 * 15  # four chains, 1,000 iterations, some 15 steps in each
_ABOUT_MODE = 4.0  # densities of an engine that one about the mode takes: Newton steps, gradients
_NEAREST = 10.0  # and one of the nearest law
_SMOOTHING = 4.0  # densities along the line that a step there takes, as it smooths: measured


@dataclass(frozen=True)
class Plan:
    """`engine` integrates the block out; None: there is no block. `latent` are the functions that
    are whitened and sampled, `sampled` the other unknowns that are left to `method`. `inducing`:
    the inducing points of each function, where the engine has them. `draws`: fewer of each chain
    than usual, where each is costly. `steps`: what is drawn, in which order and how. `batches`: how
    variational inference takes the rows, where it is the method. `along`: the sites of those latent
    functions that are whitened along a line. `asked`: the method that was asked for from outside
    the model, or "auto".
    """

    structure: Structure
    engine: Engine | None
    latent: tuple[str, ...]
    sampled: tuple[str, ...]
    steps: tuple[Step, ...]
    method: Method
    sentences: tuple[str, ...]
    inducing: Mapping[str, InducingUse] = field(default_factory=dict)
    draws: int | None = None
    batches: Batches | None = None
    along: tuple[str, ...] = ()
    asked: str = "auto"
    training: Training | None = None

    @property
    def engine_name(self) -> str:
        """The class that integrates the block out; "" where there is no block."""
        return self.engine.name if self.engine else ""

    @property
    def settings(self) -> Mapping[str, float]:
        """What the model says of the method that was chosen, and the plan where it is silent."""
        own = {} if self.draws is None else {"draws": float(self.draws)}
        if self.training is not None:
            own |= dict(self.training.settings)
        if self.batches is not None:
            own |= {"batch": float(self.batches.size), "steps": float(self.batches.steps)}
        return own | dict(self.structure.asked.settings.get(self.method, {}))

    @property
    def lane(self) -> str:
        if self.batches is not None:
            return "variational"
        if self.structure.contraction is not None:
            return "messages"
        if self.latent:
            return "latent"
        return "exact" if self.engine else "direct"


def plan(
    structure: Structure, sizes: Mapping[str, int] | None = None, method: str = "auto"
) -> Plan:
    """The plan of a model, for data of the given sizes of dims where they are known.

    Raises MercerError where some part has no engine yet, naming it.
    """
    model = structure.model
    if refused := refusals(model):
        raise MercerError(refused, model.sources)
    asked = structure.asked.method if method == "auto" else method.lower()
    if structure.layers and (wrong := wrong_for_layers(structure, asked)):
        raise MercerError([wrong], model.sources)
    if asked != "nuts" and layers_of(model):
        return _trained(structure, "map" if asked == "auto" else asked, sizes)
    wanting = asks_for_batches(structure, asked)
    if wanting is not None:
        if asked not in ("auto", "svi"):
            raise MercerError([other_method(wanting, asked)], model.sources)
        found = batches_of(structure, sizes)
        if isinstance(found, str):
            raise MercerError([no_batches(wanting, found)], model.sources)
        return _in_batches(*found, sizes)
    if asked in ("auto", "messages"):
        try:
            passing = messages_structure(model, structure.asked, sizes)
        except NoContraction as error:
            if asked == "messages":
                directive = next((d for d in model.directives if d.method == "Messages"), None)
                raise MercerError([no_messages(directive, str(error))], model.sources) from None
        else:
            if asked == "messages" or is_for_messages(passing):
                return _by_messages(passing, sizes, asked)
    if has_grams(structure):
        return _of_grams(structure, sizes, asked)
    engine = choose_engine(structure, sizes)
    used = {owner_of(s.apply) for s in structure.sites.values() if s.apply}
    latent = tuple(f for f in structure.latent if f in used)
    sampled = tuple(n for n in model.order if n in model.unknowns and n not in structure.block)
    steps = steps_of(structure, sizes)
    early = {step.name for step in steps}
    along = _along(structure, [n for n in latent if n not in early], sizes)
    cost = _cost(structure, engine, latent, along, sizes)
    if latent and asked == "auto" and cost is not None and _seconds(cost) > SECONDS_FOR_NUTS:
        quick = analyse(model, is_quick=True)
        own = choose_engine(quick, sizes)
        # Along the line the nearest law is cheap too; the mode is the quick look elsewhere.
        if quick.links and not quick.asked.approximated:
            quick = replace(quick, is_nearest=own is not None and own.name == "Markov")
        if quick.links and (_cost_of_links(quick, own, sizes) or cost) <= PATIENCE:
            return plan(quick, sizes)
    if has_deep_batches(structure, asked, None if cost is None else _seconds(cost)):
        found = batches_of(structure, sizes)
        if isinstance(found, str):
            raise MercerError([no_deep_batches(structure, found)], model.sources)
        return _in_batches(*found, sizes)
    if cost is not None and cost > PATIENCE and _may_take_batches(structure, asked):
        found = batches_of(structure, sizes)
        if not isinstance(found, str):
            return _in_batches(*found, sizes)
    chosen, reason = _method(asked, cost, latent, along, sampled)
    inducing = inducing_of(structure, sizes) if engine and engine.name == "Inducing" else {}
    draws = _draws(structure, engine, chosen, cost)
    sentences = [*_sentences(structure, engine, latent, along, sampled, sizes, cost, steps)]
    if inducing:
        sentences.insert(1, _of_inducing(inducing, sizes))
    sentences.append(reason)
    if draws is not None:
        sentences.append(
            f"What is integrated out is drawn anew for each draw, which takes about as long as a "
            f"density: {draws} draws are taken for each of the chains, not {_USUAL_DRAWS}."
        )
    return Plan(
        structure,
        engine,
        latent,
        sampled,
        steps,
        chosen,
        tuple(sentences),
        inducing,
        draws,
        along=tuple(along.values()),
    )


def plan_of_simulation(structure: Structure, sizes: Mapping[str, int]) -> Plan:
    """The plan of a program that is only drawn from: exact whatever the model asks for, so that
    what is simulated is the model and no approximation of it. Where no exact engine can do that in
    minutes it is the plan of a fit.
    """
    free = analyse(replace(structure.model, directives=()))
    exact = plan(free)
    if exact.lane == "messages":  # whose program draws from the prior, along the lines
        return plan(free, sizes)
    cost = _cost(free, exact.engine, exact.latent, {}, sizes)
    if cost is not None and cost > _LONGEST_SIMULATION:
        return plan(structure, sizes)
    return exact


def _may_take_batches(structure: Structure, asked: str) -> bool:
    """Whether nothing that the model asks for stands against variational inference."""
    engines = {d.method for d in structure.asked.engines.values()}
    apart = structure.asked.apart or structure.asked.approximated
    return asked in ("auto", "svi") and engines <= {"Inducing"} and not apart


def _in_batches(structure: Structure, batches: Batches, sizes: Mapping[str, int] | None) -> Plan:
    """The plan of variational inference by minibatches."""
    model = structure.model
    sampled = tuple(n for n in model.order if n in model.unknowns and n not in structure.block)
    inducing = inducing_of(structure, sizes)
    sentences = [*batch_sentences(structure, batches, sampled, sizes)]
    sentences.insert(1, _of_inducing(inducing, sizes, is_deep=bool(structure.layers)))
    sentences[1:1] = layer_sentences(structure)
    sentences += dict.fromkeys(curved_sentences(model))
    sentences += _of_defaults(model)
    draws = None if "draws" in structure.asked.settings.get("svi", {}) else DRAWS
    return Plan(
        structure,
        engine_of_batches(),
        (),
        sampled,
        steps_of(structure, sizes),
        "svi",
        tuple(sentences),
        inducing,
        draws,
        batches=batches,
    )


def _of_grams(structure: Structure, sizes: Mapping[str, int] | None, asked: str) -> Plan:
    """The plan of a deep kernel machine: its outcomes integrated out, or in batches."""
    model, engine = structure.model, engine_of_batches()
    flops = None if sizes is None else engine.flops(structure, sizes)
    why = unfit_for_inducing(structure, is_deep=True)
    if why is not None or not is_collapsed(structure, asked, flops):
        found = batches_of(structure, sizes)
        if isinstance(found, str):
            raise MercerError([no_deep_batches(structure, found)], model.sources)
        return _in_batches(*found, sizes)
    sampled = tuple(n for n in model.order if n in model.unknowns and n not in structure.block)
    inducing = inducing_of(structure, sizes)
    block = _listed(n for n in model.order if n in structure.block)
    sentences = [
        *layer_sentences(structure),
        f"{block} enter {_listed(structure.locations)} linearly and are Gaussian: they are "
        f"integrated out {engine.sentence}.",
        _of_inducing(inducing, sizes, is_deep=True),
        *([f"One bound takes about {flops:.1e} operations."] if flops else []),
        f"{_listed(sampled)}: found with the Gram matrices at the highest mode by L-BFGS, and the "
        "uncertainty around it, the Gram matrices held, by Laplace's approximation.",
        *_of_defaults(model),
    ]
    steps = steps_of(structure, sizes)
    draws = None if "draws" in structure.asked.settings.get("map", {}) else DRAWS
    return Plan(structure, engine, (), sampled, steps, "map", tuple(sentences), inducing, draws)


def _by_messages(structure: Structure, sizes: Mapping[str, int] | None, asked: str) -> Plan:
    """The plan of message passing between the factors of a product."""
    model = structure.model
    factors = structure.contraction.factors if structure.contraction else ()
    sampled = tuple(n for n in model.order if n in model.unknowns and n not in structure.block)
    sentences = [*sentences_of_messages(structure, sampled, sizes), *_of_defaults(model)]
    if asked == "messages":
        sentences.append("Inference is by messages, as asked.")
    functions = [factor.owner for factor in factors if factor.owner in model.functions]
    draws = None if "draws" in structure.asked.settings.get("messages", {}) else MESSAGE_DRAWS
    return Plan(
        structure,
        None,
        tuple(factor.owner for factor in factors),
        sampled,
        steps_of(structure, sizes),
        "messages",
        tuple(sentences),
        draws=draws,
        along=tuple(_along(structure, functions, sizes).values()),
    )


def _trained(structure: Structure, asked: str, sizes: Mapping[str, int] | None) -> Plan:
    """The plan of a model with equivariant layers, which are optimised by stochastic gradients."""
    model = structure.model
    engine = choose_engine(structure, sizes)
    used = {owner_of(s.apply) for s in structure.sites.values() if s.apply}
    latent = tuple(f for f in structure.latent if f in used)
    sampled = tuple(n for n in model.order if n in model.unknowns and n not in structure.block)
    steps = steps_of(structure, sizes)
    training = training_of(structure, asked, engine is not None or bool(latent), sizes)
    assert training is not None
    inducing = inducing_of(structure, sizes) if engine and engine.name == "Inducing" else {}
    sentences = [*_sentences(structure, engine, latent, {}, sampled, sizes, None, steps)]
    if inducing:
        sentences.insert(1, _of_inducing(inducing, sizes))
    sentences += training_sentences(structure, training, asked, sizes)
    return Plan(
        structure,
        engine,
        latent,
        sampled,
        steps,
        "svi" if asked == "svi" else "map",
        tuple(sentences),
        inducing,
        training=training,
    )


# --- choice -------------------------------------------------------------------------------------


def _along(
    structure: Structure, latent: list[str], sizes: Mapping[str, int] | None
) -> dict[str, str]:
    """The sites of the functions that are whitened along a line: where that is cheaper."""
    found = {n: key for n in latent if (key := latent_along(structure, n))}
    if sizes is None:
        return {}
    return {
        n: key
        for n, key in found.items()
        if _flops_along(structure, n, key, sizes) < _flops_whitened(structure, n, sizes)
    }


def _flops_along(structure: Structure, name: str, key: str, sizes: Mapping[str, int]) -> float:
    # The first number stands for the longer compilation, which few rows do not repay.
    step = 1500.0 + 150.0 * states_along(structure, name) ** 3
    return 3e6 + count_of(structure.sites[key].dims, sizes) * step


def _flops_whitened(structure: Structure, name: str, sizes: Mapping[str, int]) -> float:
    uses = (s for s in structure.sites.values() if s.owner == name)
    return 4.3 * sum(count_of(s.dims, sizes) for s in uses) ** 3


def _cost(
    structure: Structure,
    engine: Engine | None,
    latent: tuple[str, ...],
    along: Mapping[str, str],
    sizes: Mapping[str, int] | None,
) -> float | None:
    """Floating point operations of one log density with its gradient; None without sizes."""
    if sizes is None:
        return None
    flops = engine.flops(structure, sizes) if engine else 0.0
    if structure.links:
        flops *= _NEAREST if structure.is_nearest else _ABOUT_MODE
        flops *= _SMOOTHING if engine and engine.name == "Markov" else 1.0
    for name in latent:
        shape = shape_of(structure.model.functions[name])
        if shape is not None:  # sums of waves: no factorisation
            uses = (s for s in structure.sites.values() if s.owner == name)
            rows = sum(count_of(s.dims, sizes) for s in uses)
            flops += 4.0 * rows * modes_of(structure.model, shape, sizes)
        elif name in along:
            flops += _flops_along(structure, name, along[name], sizes)
        else:
            flops += _flops_whitened(structure, name, sizes)
    return flops + 1e5


def _cost_of_links(
    structure: Structure, engine: Engine | None, sizes: Sizes | None
) -> float | None:
    """The same where all functions of the model are integrated out, some by a Normal law."""
    rest = {owner_of(s.apply) for s in structure.sites.values() if s.apply} - structure.block
    return None if rest else _cost(structure, engine, (), {}, sizes)


def _seconds(cost: float) -> float:
    """How long NUTS takes, estimated."""
    return cost * _GRADIENTS / _FLOPS_A_SECOND


def _method(
    asked: str,
    cost: float | None,
    latent: tuple[str, ...],
    along: Mapping[str, str],
    sampled: tuple[str, ...],
) -> tuple[Method, str]:
    for known in METHODS:
        if asked == known:
            return known, f"Inference is {asked.upper()}, as asked."
    if not sampled and not latent:
        return "nuts", "Nothing is left to sample: the posterior is exact."
    if cost is None:
        return "nuts", "With few rows what remains is sampled by NUTS; give data for a costed plan."
    seconds = _seconds(cost)
    if seconds <= SECONDS_FOR_NUTS:
        text = f"Sampling by NUTS is estimated at {_duration(seconds)}, so it is sampled."
        return "nuts", text
    over = (
        f"Sampling by NUTS is estimated at {_duration(seconds)}, over the {SECONDS_FOR_NUTS:.0f} s "
        "that `auto` allows: "
    )
    if along:  # of so many values the curvature would be a matrix too large
        return "svi", (
            f"{over}the nearest Normal law in unconstrained space is fitted by stochastic "
            "gradients. `--infer nuts` samples all the same."
        )
    return "map", (
        f"{over}the mode is found by L-BFGS, and the uncertainty around it by "
        "Laplace's approximation. `--infer nuts` samples all the same."
    )


def _draws(
    structure: Structure, engine: Engine | None, method: Method, cost: float | None
) -> int | None:
    """Draws of each chain, where they are not taken by sampling and the usual ones take long."""
    asked = structure.asked.settings.get(method, {})
    if method == "nuts" or engine is None or cost is None or "draws" in asked:
        return None
    fitting = int(SECONDS_FOR_DRAWS * _FLOPS_A_SECOND / cost / 4)
    return max(_LEAST_DRAWS, fitting) if fitting < _USUAL_DRAWS else None


# --- words --------------------------------------------------------------------------------------


def _sentences(
    structure: Structure,
    engine: Engine | None,
    latent: tuple[str, ...],
    along: Mapping[str, str],
    sampled: tuple[str, ...],
    sizes: Mapping[str, int] | None,
    cost: float | None,
    steps: tuple[Step, ...],
) -> Iterator[str]:
    model = structure.model
    block = [n for n in model.order if n in structure.block]
    outcomes = _listed(structure.locations)
    enter, are, they, them, their = (
        ("enters", "is", "it", "it", "its")
        if len(block) == 1
        else ("enter", "are", "they", "them", "their")
    )
    if engine is not None and structure.links:
        how = engine.sentence.removeprefix("exactly, ")
        yield (
            f"{_listed(block)} {are} Gaussian, and {_listed(structure.links)} log-concave in what "
            f"is linear in {them}: {they} {are} integrated out approximately, by the Normal law "
            f"{_LAWS[structure.is_nearest].format(their=their)} goes {how}."
        )
    elif engine is not None:
        yield (
            f"{_listed(block)} {enter} {outcomes} linearly and {are} Gaussian: {they} {are} "
            f"integrated out {engine.sentence}."
        )
        if engine.detail is not None:
            yield engine.detail(structure, sizes)
    if engine is not None and (why := why_not_along(structure)):
        yield f"Not along the line, in linear time, though its functions are: {why}."
    yield from waves_sentences(structure, sizes)
    yield from dict.fromkeys(curved_sentences(model))
    asked = structure.asked.apart
    for name in latent:
        laws = {n: o.law for n, o in model.observations.items()}
        laws |= {n: u.prior for n, u in model.unknowns.items()}
        over = _listed(n for n, law in laws.items() if name in names_below(model, law))
        as_asked = ", as asked" if name in asked else ""
        how = " along the line, in linear time," if name in along else ""
        values = "values" if shape_of(model.functions[name]) is None else "weights"
        inner = " inside another" if any(layer.owner == name for layer in structure.layers) else ""
        yield (
            f"{name} is a random function under {over}{inner}: its {values} are whitened{how} and "
            f"left to inference{as_asked}."
        )
    if kept := [n for n in asked if n not in latent]:
        yield f"Not integrated out, as asked: {_listed(kept)}."
    if sizes is not None and structure.locations:
        yield f"The joint Gaussian has {rows_of(structure, sizes):,} rows."
    if cost is not None:
        yield f"One log density with its gradient takes about {cost:.1e} operations."
    if sampled:
        yield f"Left to inference: {_listed(sampled)}."
    yield from sentences_of(steps)
    yield from _of_defaults(model)


def _of_defaults(model: ir.TypedModel) -> Iterator[str]:
    defaults = [u for u in model.unknowns.values() if u.is_default]
    if defaults:
        yield f"Default priors (nobody wrote one): {_listed(u.name for u in defaults)}."


def _of_inducing(
    inducing: Mapping[str, InducingUse],
    sizes: Mapping[str, int] | None,
    *,
    is_deep: bool = False,
) -> str:
    listed = _listed(use.words(sizes) for use in inducing.values())
    chosen = [use for use in inducing.values() if use.at is None and use.images is None]
    how = (
        " They start at the centres of clusters of the rows, and are learned with all else; where "
        "there are as many as rows, they are the rows, held."
        if is_deep
        else " They start where the prior variance given those before is largest (Burt et al. "
        "2020), and are learned with the other unknowns."
    )
    return f"Inducing points: {listed}.{how if chosen else ''}"


def _listed(names: Iterable[str]) -> str:
    words = list(names) or ["nothing"]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def _duration(seconds: float) -> str:
    if seconds < 1:
        return "under a second"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"
