"""Structure -> Plan: what is integrated out, what is sampled or optimised, at what cost, and why.

`mercer.compiler.refusals` names what has no engine yet, `mercer.compiler.engines` says which
engine serves a Gaussian block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from mercer.compiler.contraction import NoContraction
from mercer.compiler.costs import FLOPS_A_SECOND, along_line_of, cost_of, cost_of_links, seconds_of
from mercer.compiler.curved import curved_sentences
from mercer.compiler.deep import (
    has_deep_batches,
    has_grams,
    is_collapsed,
    layer_sentences,
    no_deep_batches,
    wrong_for_layers,
    wrong_options,
)
from mercer.compiler.engines import PATIENCE, Engine, choose_engine
from mercer.compiler.grids import GridUse, grid_of
from mercer.compiler.inducing import InducingUse, inducing_of, unfit_for_inducing
from mercer.compiler.iterative import LEAST_DRAWS as ITERATIVE_DRAWS
from mercer.compiler.iterative import wrong_method
from mercer.compiler.layers import layers_of
from mercer.compiler.messages import DRAWS as MESSAGE_DRAWS
from mercer.compiler.messages import (
    is_for_messages,
    messages_structure,
    no_messages,
    sentences_of_messages,
)
from mercer.compiler.overrides import METHODS, Method
from mercer.compiler.refusals import refusals
from mercer.compiler.sampling import Step, steps_of
from mercer.compiler.sizes import Sizes
from mercer.compiler.structure import Structure, analyse, owner_of
from mercer.compiler.telling import (
    duration,
    listed,
    of_defaults,
    of_inducing,
    of_linear,
    sentences_of_plan,
)
from mercer.compiler.training import (
    HEAD_DRAWS,
    Training,
    samples_head,
    training_of,
    training_sentences,
)
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
from mercer.dsl.diagnostic import MercerError

SECONDS_FOR_NUTS = 300.0
"""`auto` samples where the sampler's estimated time stays below this, and optimises elsewhere."""

SECONDS_FOR_DRAWS = 60.0
"""What the draws of all that was integrated out may take, about a mode, before they are fewer."""

_LONG_STEPS = 1e9
"""Operations of a density of all rows from which products of functions are taken in batches: the
other way is thousands of such steps, as nothing is integrated out."""

_LONGEST_SIMULATION = 1e12
"""Operations for which a simulation stays exact: functions at some ten thousand points."""

_USUAL_DRAWS = 500  # of a chain, as the table of methods has it
_LEAST_DRAWS = 25


@dataclass(frozen=True)
class Plan:
    """`engine` integrates the block out; None: there is no block. `latent` are the functions that
    are whitened and sampled, `sampled` the other unknowns that are left to `method`. `inducing`:
    the inducing points of each function, where the engine has them. `draws`: fewer of each chain
    than usual, where each is costly. `steps`: what is drawn, in which order and how. `batches`: how
    variational inference takes the rows, where it is the method. `along`: the sites of those latent
    functions that are whitened along a line. `asked`: the method that was asked for from outside
    the model, or "auto". `grid`: that of the inputs, where the engine takes one.
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
    grid: GridUse | None = None

    @property
    def engine_name(self) -> str:
        """The class that integrates the block out; "" where there is no block."""
        return self.engine.name if self.engine else ""

    @property
    def engine_text(self) -> str:
        """What the program calls to integrate the block out."""
        if self.engine is None or self.engine.text is None:
            return self.engine_name
        return self.engine.text(self.structure)

    @property
    def is_iterative(self) -> bool:
        """Whether the block is solved for, and its solution an argument of the density."""
        return self.engine_name == "Iterative"

    @property
    def settings(self) -> Mapping[str, float]:
        """What the model says of the method that was chosen, and the plan where it is silent."""
        own = {} if self.draws is None else {"draws": float(self.draws)}
        if self.is_iterative:
            own["restarts"] = 1.0  # each takes as long as all the rest
        if self.training is not None and not self.training.is_before:
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


def plan(structure: Structure, sizes: Sizes | None = None, method: str = "auto") -> Plan:
    """The plan of a model, for data of the given sizes of dims where they are known: the first of
    `_ROADS` that takes it.

    Raises MercerError where some part has no engine yet, naming it.
    """
    model = structure.model
    if refused := refusals(model):
        raise MercerError(refused, model.sources)
    asked = structure.asked.method if method == "auto" else method.lower()
    wrong = wrong_options(structure, asked)
    if structure.layers and wrong is None:
        wrong = wrong_for_layers(structure, asked)
    if wrong is not None:
        raise MercerError([wrong], model.sources)
    found = (road(structure, sizes, asked) for road in _ROADS)
    return next(plan for plan in found if plan is not None)


def _trained(structure: Structure, sizes: Sizes | None, asked: str) -> Plan | None:
    """Equivariant layers, which are optimised by stochastic gradients."""
    model = structure.model
    if not layers_of(model) or (asked == "nuts" and not samples_head(structure, asked)):
        return None
    asked = "map" if asked == "auto" else asked
    engine = choose_engine(structure, sizes)
    used = {owner_of(s.apply) for s in structure.sites.values() if s.apply}
    latent = tuple(f for f in structure.latent if f in used)
    sampled = tuple(n for n in model.order if n in model.unknowns and n not in structure.block)
    steps = steps_of(structure, sizes)
    training = training_of(structure, asked, engine is not None or bool(latent), sizes)
    inducing = inducing_of(structure, sizes) if engine and engine.name == "Inducing" else {}
    sentences = [*sentences_of_plan(structure, engine, latent, {}, sampled, sizes, None, steps)]
    if inducing:
        sentences.insert(1, of_inducing(inducing, sizes))
    sentences += training_sentences(structure, training, asked, sizes)
    return Plan(
        structure,
        engine,
        latent,
        sampled,
        steps,
        "svi" if asked == "svi" else "nuts" if training.is_before else "map",
        tuple(sentences),
        inducing,
        draws=HEAD_DRAWS if training.is_before else None,
        training=training,
        grid=_grid(structure, engine, sizes),
    )


def _batches_asked(structure: Structure, sizes: Sizes | None, asked: str) -> Plan | None:
    """Variational inference by minibatches, as the model asks."""
    wanting = asks_for_batches(structure, asked)
    if wanting is None:
        return None
    if asked not in ("auto", "svi"):
        raise MercerError([other_method(wanting, asked)], structure.model.sources)
    found = batches_of(structure, sizes)
    if isinstance(found, str):
        raise MercerError([no_batches(wanting, found)], structure.model.sources)
    return _in_batches(*found, sizes)


def _messages(structure: Structure, sizes: Sizes | None, asked: str) -> Plan | None:
    """Message passing between the factors of a product, where that is what there is."""
    if asked not in ("auto", "messages"):
        return None
    model = structure.model
    try:
        passing = messages_structure(model, structure.asked, sizes)
    except NoContraction as error:
        if asked == "messages":
            directive = next((d for d in model.directives if d.method == "Messages"), None)
            raise MercerError([no_messages(directive, str(error))], model.sources) from None
        return None
    chosen = asked == "messages" or is_for_messages(passing)
    return _by_messages(passing, sizes, asked) if chosen else None


def _integrated(structure: Structure, sizes: Sizes | None, asked: str) -> Plan:
    """What is Gaussian integrated out by an engine, the rest by a method; in batches, or another
    model that is quick, where that would take too long."""
    model = structure.model
    engine = choose_engine(structure, sizes)
    is_iterative = engine is not None and engine.name == "Iterative"
    if is_iterative and (wrong := wrong_method(structure, asked)) is not None:
        raise MercerError([wrong], model.sources)
    used = {owner_of(s.apply) for s in structure.sites.values() if s.apply}
    latent = tuple(f for f in structure.latent if f in used)
    sampled = tuple(n for n in model.order if n in model.unknowns and n not in structure.block)
    steps = steps_of(structure, sizes)
    early = {step.name for step in steps}
    along = along_line_of(structure, [n for n in latent if n not in early], sizes)
    cost = cost_of(structure, engine, latent, along, sizes)
    if latent and asked == "auto" and cost is not None and seconds_of(cost) > SECONDS_FOR_NUTS:
        quick = analyse(model, is_quick=True)
        own = choose_engine(quick, sizes)
        # Along the line all grows as the number of rows, the nearest law too, and no method has
        # less to do; the mode is the quick look elsewhere.
        along_line = own is not None and own.name == "Markov"
        if quick.links and not quick.asked.approximated:
            quick = replace(quick, is_nearest=along_line)
        quick_cost = cost_of_links(quick, own, sizes)
        # Where no more is integrated out, nothing is quicker.
        is_quicker = bool(quick.links) and quick.latent != structure.latent
        if is_quicker and ((along_line and quick_cost) or (quick_cost or cost) <= PATIENCE):
            return plan(quick, sizes)
    if has_deep_batches(structure, asked, None if cost is None else seconds_of(cost)):
        found = batches_of(structure, sizes)
        if isinstance(found, str):
            raise MercerError([no_deep_batches(structure, found)], model.sources)
        return _in_batches(*found, sizes)
    may_take_batches = not structure.links and _may_take_batches(structure, asked)
    if cost is not None and cost > _LONG_STEPS and may_take_batches:
        found = batches_of(structure, sizes)
        if not isinstance(found, str) and (cost > PATIENCE or found[1].multiplied):
            return _in_batches(*found, sizes)
    if is_iterative and asked == "auto":
        chosen: Method = "map"
        reason = (
            "The mode is found by L-BFGS from one start, and the uncertainty around it by "
            "Laplace's approximation."
        )
    else:
        chosen, reason = _method(asked, cost, latent, along, sampled)
    inducing = inducing_of(structure, sizes) if engine and engine.name == "Inducing" else {}
    draws = _draws(structure, engine, chosen, cost)
    sentences = [*sentences_of_plan(structure, engine, latent, along, sampled, sizes, cost, steps)]
    if inducing:
        sentences.insert(1, of_inducing(inducing, sizes))
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
        grid=_grid(structure, engine, sizes),
    )


def _grid(structure: Structure, engine: Engine | None, sizes: Sizes | None) -> GridUse | None:
    """The grid that an engine of grids takes."""
    if engine is None or engine.name != "Grid" or sizes is None:
        return None
    found = grid_of(structure, sizes)
    assert isinstance(found, GridUse)
    return found


def plan_of_simulation(structure: Structure, sizes: Mapping[str, int]) -> Plan:
    """The plan of a program that is only drawn from: exact whatever the model asks for, so that
    what is simulated is the model and no approximation of it. Where no exact engine can do that in
    minutes it is the plan of a fit.
    """
    free = analyse(replace(structure.model, directives=()))
    exact = plan(free)
    if exact.lane == "messages":  # whose program draws from the prior, along the lines
        return plan(free, sizes)
    cost = cost_of(free, exact.engine, exact.latent, {}, sizes)
    if cost is not None and cost > _LONGEST_SIMULATION:
        return plan(structure, sizes)
    return exact


def _may_take_batches(structure: Structure, asked: str) -> bool:
    """Whether nothing that the model asks for stands against variational inference."""
    engines = {d.method for d in structure.asked.engines.values()}
    apart = structure.asked.apart or structure.asked.approximated
    return asked in ("auto", "svi") and engines <= {"Inducing"} and not apart


def _in_batches(structure: Structure, batches: Batches, sizes: Sizes | None) -> Plan:
    """The plan of variational inference by minibatches."""
    model = structure.model
    sampled = tuple(n for n in model.order if n in model.unknowns and n not in structure.block)
    inducing = inducing_of(structure, sizes)
    sentences = [*batch_sentences(structure, batches, sampled, sizes)]
    sentences.insert(1, of_inducing(inducing, sizes, is_deep=bool(structure.layers)))
    sentences[1:1] = layer_sentences(structure)
    sentences += dict.fromkeys(curved_sentences(model))
    sentences += of_defaults(model)
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


def _of_grams(structure: Structure, sizes: Sizes | None, asked: str) -> Plan | None:
    """A deep kernel machine: its outcomes integrated out, or in batches."""
    if not has_grams(structure):
        return None
    model, engine = structure.model, engine_of_batches()
    flops = None if sizes is None else engine.flops(structure, sizes)
    why = unfit_for_inducing(structure, may_move=True)
    if why is not None or not is_collapsed(structure, asked, flops):
        found = batches_of(structure, sizes)
        if isinstance(found, str):
            raise MercerError([no_deep_batches(structure, found)], model.sources)
        return _in_batches(*found, sizes)
    sampled = tuple(n for n in model.order if n in model.unknowns and n not in structure.block)
    inducing = inducing_of(structure, sizes)
    unknown = [*(f"gram({layer.owner})" for layer in structure.layers), *sampled]
    about = (
        ", and the uncertainty of the others around it by Laplace's approximation, the Gram "
        "matrices held"
    )
    sentences = [
        *layer_sentences(structure),
        of_linear(structure, engine),
        of_inducing(inducing, sizes, is_deep=True),
        *([f"One bound takes about {flops:.1e} operations."] if flops else []),
        f"Left to inference: {listed(unknown)}, which are found at the highest mode by L-BFGS"
        f"{about if sampled else ''}.",
        *of_defaults(model),
    ]
    steps = steps_of(structure, sizes)
    draws = None if "draws" in structure.asked.settings.get("map", {}) else DRAWS
    return Plan(structure, engine, (), sampled, steps, "map", tuple(sentences), inducing, draws)


def _by_messages(structure: Structure, sizes: Sizes | None, asked: str) -> Plan:
    """The plan of message passing between the factors of a product."""
    model = structure.model
    factors = structure.contraction.factors if structure.contraction else ()
    sampled = tuple(n for n in model.order if n in model.unknowns and n not in structure.block)
    sentences = [*sentences_of_messages(structure, sampled, sizes), *of_defaults(model)]
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
        along=tuple(along_line_of(structure, functions, sizes).values()),
    )


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
    seconds = seconds_of(cost)
    if seconds <= SECONDS_FOR_NUTS:
        text = f"Sampling by NUTS is estimated at {duration(seconds)}, so it is sampled."
        return "nuts", text
    over = (
        f"Sampling by NUTS is estimated at {duration(seconds)}, over the {SECONDS_FOR_NUTS:.0f} s "
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
    fitting = int(SECONDS_FOR_DRAWS * FLOPS_A_SECOND / cost / 4)
    least = ITERATIVE_DRAWS if engine.name == "Iterative" else _LEAST_DRAWS
    return max(least, fitting) if fitting < _USUAL_DRAWS else None


_ROADS: tuple[Callable[[Structure, Sizes | None, str], Plan | None], ...] = (
    _trained,
    _batches_asked,
    _messages,
    _of_grams,
    _integrated,
)
"""From the most particular kind of model to what serves every one."""
