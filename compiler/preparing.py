"""Plan -> the functions of an emitted program that see the data alone: `prepare`, `summaries`."""

from __future__ import annotations

from mercer.compiler import typed as ir
from mercer.compiler.affine import SiteUse
from mercer.compiler.blocks import index_text, inducing_names, site_text
from mercer.compiler.code import Body
from mercer.compiler.composing import law_names, layer_names
from mercer.compiler.facts import labels, summaries
from mercer.compiler.grids import grid_site
from mercer.compiler.imports import WORDS
from mercer.compiler.layers import features_of, kernel_name, layers_of
from mercer.compiler.line import line_of
from mercer.compiler.messages import message_names
from mercer.compiler.names import identifiers
from mercer.compiler.plan import Plan
from mercer.compiler.shapes import functions_on_shapes
from mercer.compiler.tangents import tangential
from mercer.compiler.walk import names_below, responses
from mercer.compiler.waves import waves_arguments, write_waves
from mercer.dsl.spaces import Label
from mercer.stdlib import catalog


class DataFunctions:
    """What all functions of a program share: its identifiers, and the arguments that data give."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.structure = plan.structure
        self.model = model = plan.structure.model
        self.summaries = summaries(model)
        self.responses = responses(model)
        self.labels = labels(model)
        points = {name: inducing_names(use) for name, use in plan.inducing.items()}
        self.points = {name: words for name, words in points.items() if words}
        names = [*model.order, *model.indices, *model.data, *self.labels, *self.summaries.values()]
        names += self.inducing_arguments()
        self.layers = layers_of(model)
        self.on_shapes = functions_on_shapes(self.structure)
        self.waves = waves_arguments(self.structure)
        names += [*self.waves, *(f"{name} shape" for name in model.shapes)]
        names += self.law_names()
        self.layer_laws = [name for names in law_names(plan).values() for name in names]
        names += [*layer_names(plan.structure), *self.layer_laws]
        self.contraction = plan.structure.contraction
        factors = self.contraction.factors if self.contraction else ()
        self.messages = [name for factor in factors for name in message_names(factor)]
        names += self.messages
        names += [*features_of(model).values(), *map(kernel_name, layers_of(model))]
        keeps = [f"{o} keep" for o in model.observations]
        self.line = line_of(plan.structure) if plan.engine_name == "Markov" else None
        self.grid = plan.grid
        owners = {key: plan.structure.sites[key].owner for key in plan.along}
        self.orders = {key: _order_names(f"{owner} order") for key, owner in owners.items()}
        self.ordering = [*(TIMELINE if self.line else []), *self.grid_names()]
        self.ordering += [name for names in self.orders.values() for name in names]
        keeps += self.ordering
        taken = WORDS | set(catalog.kernels())
        self.identifiers = identifiers(dict.fromkeys([*names, *keeps]), taken)

    def index_arguments(self) -> list[str]:
        """Indices whose labels no input can count."""
        counted: set[str] = set()
        for data in self.model.data.values():
            if data.name not in self.responses:
                counted |= set(data.type.dims)
        return [
            n
            for n, index in self.model.indices.items()
            if index.labels is None and n not in counted and f"{n}'" not in counted
        ] + [n for n in self._free_dims() if n not in counted]

    def _free_dims(self) -> list[str]:
        """Dims that only outcomes have, and that are no declared index."""
        found: dict[str, None] = {}
        for name in self.model.observations:
            kind = self.model.observations[name].type
            for dim in kind.dims:
                word = dim.rstrip("'")
                if not word.isdigit() and word not in self.model.indices:
                    found[word] = None
        return list(found)

    def inducing_arguments(self) -> list[str]:
        return [name for names in self.points.values() for name in names]

    def law_names(self) -> list[str]:
        """The names of the arguments that hold the law of the Gaussian unknowns."""
        if self.plan.batches is None:
            return []
        apart = self.plan.batches.apart
        own = [f"{name} posterior {part}" for name in apart for part in ("mean", "variance")]
        return ["posterior mean", "posterior root", *own]

    def bound_arguments(self) -> list[str]:
        """What binding adds to the data: numbered indices, and the places of labels."""
        return [*self.index_arguments(), *self.labels]

    def data_arguments(self) -> str:
        given = [n for n in self.model.data if n not in self.responses]
        words = [self.identifiers[n] for n in (*given, *self.bound_arguments())]
        words += [f"{self.identifiers[n]}=None" for n in self.model.data if n in self.responses]
        return keywords(words)

    def prepare(self) -> str:
        """What was observed may be defined from data; it is computed here, once."""
        body = Body(self.structure, self.identifiers, self.summaries)
        entries = [self.identifiers[n] for n in (*self.model.data, *self.bound_arguments())]
        for name, observation in self.model.observations.items():
            word, keep = self.identifiers[name], self.identifiers[f"{name} keep"]
            if name not in self.model.data:
                dims = body.order(observation.type.dims)
                code = body.arranged(body.value(self.model.definitions[name].value), dims)
                text = f"jnp.broadcast_to({code.text}, {body.shape(dims)})"
                below = names_below(self.model, self.model.definitions[name].value)
                absent = [self.identifiers[n] for n in below if n in self.responses]
                if absent:
                    missing = " or ".join(f"{w} is None" for w in sorted(absent))
                    text = f"None if {missing} else {text}"
                body.lines.append(f"{word} = {text}  # line {observation.span.line}")
                entries.append(word)
            body.lines.append(f"{keep} = observed_rows({word}{self.missing(observation)})")
            entries.append(keep)
        write_waves(body)
        entries += [self.identifiers[n] for n in self.waves]
        if self.ordering:
            self.write_orders(body)
            entries += [self.identifiers[n] for n in self.ordering]
        lines = [f"def prepare({self.data_arguments()}):"]
        needed = [w for w in self.summaries.values() if w in body.reads]
        if needed:
            words = ", ".join(a.split("=")[0] for a in self.data_arguments()[3:].split(", "))
            given = ", ".join(f"{w}={w}" for w in words.split(", "))
            lines.append(f"    taken = summaries({given})")
            lines += [f'    {self.identifiers[w]} = taken["{self.identifiers[w]}"]' for w in needed]
        lines += indented(body.lines)
        lines.append("    return {" + ", ".join(f'"{w}": {w}' for w in entries) + "}")
        return "\n".join(lines)

    def missing(self, observation: ir.Observation) -> str:
        """How an outcome says what is missing."""
        if isinstance(observation.type.space, Label):
            return ", is_label=True"
        law = observation.law
        entry = catalog.distributions()[law.entry] if isinstance(law, ir.Distribution) else None
        is_whole = entry is not None and entry.event and entry.name != "MultivariateNormal"
        if observation.name in tangential(self.model):
            return f", whole={observation.name!r}, is_tangent=True"
        return f", whole={observation.name!r}" if is_whole else ""

    def write_orders(self, body: Body) -> None:
        """The statements of `prepare` that sort rows along a line."""
        sites, block = self.structure.sites, self.structure.block
        if self.line is not None:
            readings = []
            for name, (term, is_own) in self.line.readings.items():
                dims = body.order(self.model.observations[name].type.dims)
                words = [repr(term.site.key)]
                if index := index_text(body, term, dims):
                    words.append(f"index={index}")
                words += ["is_own=True"] if is_own else []
                readings.append(f"({self.identifiers[name]}, Reading({', '.join(words)}))")
            keys = [k for k, use in sites.items() if use.apply and use.owner in block]
            chains = "is_joint" if self.line.is_joint else "apart"
            is_so = self.line.is_joint or self.line.apart
            self.write_order(body, keys, readings, TIMELINE, f"{chains}={is_so}")
        if self.grid is not None:
            self.write_grid(body)
        for key, names in self.orders.items():
            self.write_order(body, [key], [f"({key!r}, Reading({key!r}))"], names, "apart=True")

    def grid_names(self) -> list[str]:
        """The names of the arrays of the `Lattice` of a site."""
        if self.grid is None:
            return []
        axes = [f"grid axis {k + 1}" for k in range(len(self.grid.axes))]
        return [*axes, "grid cell", "grid row", "grid absent"]

    def write_grid(self, body: Body) -> None:
        """The statements of `prepare` that find the grid of a site, where there is an outcome."""
        assert self.grid is not None
        use = grid_site(self.structure)
        assert isinstance(use, SiteUse)
        (outcome,) = self.structure.locations
        *axes, cell, row, absent = (self.identifiers[n] for n in self.grid_names())
        site = site_text(body, use)
        body.lines += [
            "grid = lattice(",
            f"    {site},",
            f"    {self.grid.axes!r},",
            f"    is_wanted={self.identifiers[outcome]} is not None,",
            ")",
            f"{', '.join(axes)} = grid.points",
            f"{cell}, {row}, {absent} = grid.cell, grid.row, grid.absent",
        ]

    def write_order(
        self, body: Body, keys: list[str], readings: list[str], names: list[str], chains: str
    ) -> None:
        places = [f"{key!r}: {site_text(body, self.structure.sites[key])}" for key in keys]
        body.lines += [
            "order = timeline(",
            f"    {{{', '.join(places)}}},",
            f"    [{', '.join(readings)}],",
            f"    {chains},",
            ")",
            *(f"{self.identifiers[n]} = order.{n.split()[-1]}" for n in names),
        ]

    def summaries_function(self) -> str:
        body = Body(self.structure, self.identifiers, {})
        entries = [
            f'"{self.identifiers[name]}": np.asarray({body.value(node).text})'
            for node, name in self.summaries.items()
        ]
        lines = [f"def summaries({self.data_arguments()}):", *indented(body.lines)]
        return "\n".join([*lines, "    return {" + ", ".join(entries) + "}"])

    def body(self) -> Body:
        return Body(self.structure, self.identifiers, self.summaries)


def _order_names(prefix: str) -> list[str]:
    """The names of the arrays of a `Timeline`."""
    return [f"{prefix} {part}" for part in ("node", "row", "place", "first")]


TIMELINE = _order_names("timeline")
"""What `prepare` finds of the order of rows along a line, and the laws of the outcomes hold."""


def keywords(words: list[str], star: bool = True) -> str:
    text = ", ".join(words)
    return f"*, {text}" if words and star else text


def indented(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]
