"""Plan -> the text of a NumPyro program, which is what runs.

The functions of the program, and what each is for, are described in docs/emitted.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mercer.compiler import typed as ir
from mercer.compiler.affine import Affine, SiteUse
from mercer.compiler.blocks import (
    affine_text,
    flat_text,
    index_text,
    inducing_text,
    process_text,
    site_text,
    weights_text,
)
from mercer.compiler.code import Body, Code
from mercer.compiler.composing import layer_facts, write_layers
from mercer.compiler.facts import copies, dims, inputs, taken
from mercer.compiler.grids import grid_site
from mercer.compiler.imports import import_lines
from mercer.compiler.joint import write_steps
from mercer.compiler.layers import image_of, maps_lines, settings_text
from mercer.compiler.messages import along_line, hyperparameters, is_by_row, message_names, short_of
from mercer.compiler.plan import Plan
from mercer.compiler.preparing import TIMELINE, DataFunctions, indented, keywords
from mercer.compiler.prior import given_text, law_text
from mercer.compiler.shapes import weights_name
from mercer.compiler.structure import moving_unknowns
from mercer.compiler.tangents import frames_name, tangential
from mercer.compiler.training import settings_before
from mercer.compiler.walk import imputed
from mercer.compiler.waves import shapes_made, shapes_shown
from mercer.dsl.spaces import Field

Write = Callable[[Body], str | None]


def emit(plan: Plan) -> str:
    """The complete source of the module that runs a plan."""
    return _Emitter(plan).module()


class _Emitter(DataFunctions):
    """The module, its head, and the functions that unknowns and data make together."""

    # --- the module ---

    def module(self) -> str:
        functions = [
            self.prepare(),
            self.summaries_function(),
            self.model_function(),
            *([self.inner_function()] if self.structure.layers else []),
            self.function("processes", self.processes),
            self.function("sites", self.sites),
            self.function("quantities", self.quantities),
            self.function("outcomes", self.outcomes, at=True),
            self.function("definitions", self.definitions, at=True),
            *([self.function("factors", self.factors)] if self.contraction else []),
            *([self.maps_function()] if self.layers else []),
        ]
        functions += [self.function("shapes", shapes_made)] if self.waves else []
        return "\n\n\n".join([self.head("\n".join(functions)), *functions]) + "\n"

    def head(self, body: str) -> str:
        model = self.model
        title = (model.doc or "A model.").strip()
        doc = f'"""{_safe(title)}\n\nMade by Mercer from {_safe(model.source.name)}; '
        doc += 'comments give the lines of the model.\n"""'
        lines = [doc, ""]
        lines += ["import jax"] if "jax." in body.replace("jax.numpy", "") else []
        lines += ["import jax.numpy as jnp", "import numpy as np", "import numpyro"]
        lines += ["from numpyro import distributions as dist", ""]
        engine = self.plan.engine_text
        text = "\n".join([body, *self.layer_lines()])
        lines += import_lines(text, model, engine)
        settings = dict(self.plan.settings)
        lines += [
            "",
            f"INFERENCE = Inference({self.plan.lane!r}, {self.plan.method!r}, {settings!r})",
            f"ENGINE = {engine or None}",
            *([f"INDUCING = {_dict(self.inducing())}"] if self.points else []),
            *([f"MOVING = {moving!r}"] if self.points and (moving := self.moving()) else []),
            *([f"PREPARED = {self.prepared()!r}"] if self.waves else []),
            *([f"SHOWN = {shapes_shown(self.structure)!r}"] if self.waves else []),
            *self.variational(),
            *self.inner_said(),
            *self.passed(),
            *self.layer_lines(),
            f"INDICES = {tuple(self.identifiers[n] for n in self.index_arguments())!r}",
            f"LABELS = {_dict({self.identifiers[n]: v for n, v in self.labels.items()})}",
            f"NAMES = {_dict({v: k for k, v in self.identifiers.items()})}",
            f"DIMS = {_dict(self.dims())}",
            f"COPIES = {_dict(copies(self.model))}",
            f"INPUTS = {_dict(inputs(self.structure))}",
            f"TAKEN = {taken(self.structure, self.summaries)!r}",
            f"IMPUTED = {imputed(self.model)!r}",
            *([f"EARLY = {early!r}"] if (early := self._early()) else []),
        ]
        return "\n".join(lines)

    # --- what the head says ---

    def dims(self) -> dict[str, tuple[str, ...]]:
        body = self.body()
        keys = [k for parts in self.structure.predictors.values() for k in parts]
        return dims(self.structure) | {k: self._dims_of(k, body) for k in keys}

    def variational(self) -> list[str]:
        """What the minibatches of a program are of."""
        if self.plan.batches is None:
            return []
        kinds = self.plan.batches.kinds
        predictors = {
            name: (kinds[name], tuple(parts)) for name, parts in self.structure.predictors.items()
        }
        words = [self.identifiers[n] for n in self.law_names()]
        joint, *apart = zip(words[::2], words[1::2], strict=True)
        own = dict(zip(self.plan.batches.apart, apart, strict=True))
        return [
            f"ROWS = {self.plan.batches.rows!r}",
            f"PREDICTORS = {_dict(predictors)}",
            f"POSTERIOR = {joint!r}",
            f"APART = {_dict(own)}",
            *([f"MULTIPLIED = {_dict(many)}"] if (many := self.plan.batches.multiplied) else []),
        ]

    def inner_said(self) -> list[str]:
        """What a program says of the random functions inside others."""
        if not self.structure.layers:
            return []
        return [f"INNER = {_dict(layer_facts(self.plan, self.identifiers))}"]

    def inner_function(self) -> str:
        body = self.body()
        entries = write_layers(body, self.plan)
        reads = [self.identifiers[n] for n in body.reads]
        head = f"def inner_functions(through, {keywords([*reads, '**_'])}):"
        lines = [head, *indented(body.lines)]
        return "\n".join([*lines, f"    return {{{', '.join(entries)}}}"])

    def passed(self) -> list[str]:
        """What messages leave behind, and what the prior of each factor is made of."""
        if self.contraction is None:
            return []
        priors = {f.key: hyperparameters(self.model, f) for f in self.contraction.factors}
        kept = {
            f.key: tuple(self.identifiers[n] for n in message_names(f))
            for f in self.contraction.factors
        }
        short = short_of(self.model, self.contraction)
        return [f"PRIORS = {_dict(priors)}", f"SHORT = {short!r}", f"MESSAGES = {_dict(kept)}"]

    def layer_lines(self) -> list[str]:
        """The settings of equivariant layers, and how they are trained."""
        if not self.layers:
            return []
        inside = "".join(
            f"    {name!r}: {settings_text(node.layer)},\n" for name, node in self.layers.items()
        )
        lines = ["LAYERS = {\n" + inside + "}"]
        if (training := self.plan.training) is not None:
            outcomes = tuple(self.model.observations)
            image = image_of(self.model, next(iter(self.layers.values())))
            word = self.identifiers[image.name] if isinstance(image, ir.Ref) else None
            words = f"{training.rows!r}, {outcomes!r}, {word!r}"
            if training.is_before:
                words += f", before={settings_before(training, self.structure)!r}"
            lines.append(f"TRAINING = Training({words})")
        return lines

    def inducing(self) -> dict[str, tuple[int, tuple[str, ...]]]:
        """Of each function whose inducing points are chosen: how many, and their arguments."""
        return {
            name: (self.plan.inducing[name].count, tuple(self.identifiers[n] for n in names))
            for name, names in self.points.items()
        }

    def moving(self) -> tuple[str, ...]:
        """The unknowns that points of functions are made of."""
        return moving_unknowns(self.structure)

    def prepared(self) -> tuple[str, ...]:
        """What `prepare` makes of data anew wherever there are rows."""
        return tuple(self.identifiers[n] for n in self.waves)

    # --- the joint density ---

    def model_function(self) -> str:
        body = self.body()
        model, plan = self.model, self.plan
        early = write_steps(body, plan)
        outcomes = list(model.observations)
        absent = [*outcomes, *(n for n in model.data if n in self.responses - set(outcomes))]
        reads = [*model.data, *self.bound_arguments(), *self.summaries.values()]
        reads += [*self.inducing_arguments(), *self.waves]
        arguments = [self.identifiers[n] for n in reads if n not in absent]
        arguments += [f"{self.identifiers[n]}=None" for n in absent]
        arguments += [f"{self.identifiers[f'{n} keep']}=None" for n in outcomes]
        arguments += [f"{self.identifiers[n]}=None" for n in self.ordering]
        optional = (*self.law_names(), *self.messages, *self.layer_laws)
        arguments += [f"{self.identifiers[n]}=None" for n in optional]
        arguments += ["solved=None"] if plan.is_iterative else []
        reads += [*self.ordering, *plan.sampled, *self.layer_laws]
        known = [self.identifiers[n] for n in reads]
        body.lines.append(f"known = dict({', '.join(f'{w}={w}' for w in known)})")
        if self.structure.layers:
            how = "from_whitened()" if plan.latent else "from_prior(INNER, known)"
            body.lines.append(f"known |= inner_functions({how}, **known)")
        if self.structure.predictors:
            body.lines.append(self.through_inducing(outcomes))
            head = f"LATENT = ()\n\n\ndef model({keywords(arguments)}):"
            return "\n".join([head, *indented(body.lines)])
        at = "{}"
        owners = {k: use.owner for k, use in self.structure.sites.items()}
        owners |= {weights_name(f): name for name, f in self.on_shapes.items()}
        latent = [k for k, owner in owners.items() if owner in plan.latent]
        layered = {layer.key for layer in self.structure.layers}
        rest = [k for k in latent if owners[k] not in early and k not in layered]
        at = "at" if early else at
        if rest:
            body.lines.append("places, wanted = sites(**known), quantities(**known)")
            places = [*(["at"] if early else []), *(["INNER"] if layered else [])]
            missing = f" if {' and '.join(f'k not in {p}' for p in places)}" if places else ""
            body.lines.append(
                f"at {'|=' if early else '='} sample_whitened(\n"
                "        processes(**known),\n"
                f"        {{k: places[k] for k in LATENT{missing}}},\n"
                f"        {{k: wanted[k] for k in LATENT{missing}}},\n"
                "    )"
            )
            at = "at"
        body.lines.append(f"laws = outcomes({at}, **known)")
        joint = list(self.structure.locations)
        if joint:
            laws = ", ".join(f"{o!r}: laws[{o!r}]" for o in joint)
            values = ", ".join(f"{o!r}: {self.identifiers[o]}" for o in joint)
            engine = "ENGINE.at(solved)" if plan.is_iterative else "ENGINE"
            keeps = ", ".join(f"{o!r}: {self._keep(o)}" for o in joint)
            body.lines.append(
                "observe(\n"
                "        processes(**known),\n"
                "        {k: s for k, s in sites(**known).items() if k not in LATENT},\n"
                f"        {{{laws}}},\n"
                f"        {{{values}}},\n"
                f"        keep={{{keeps}}},\n"
                f"        engine={engine},\n"
                "        quantities={k: q for k, q in quantities(**known).items()"
                " if k not in LATENT},\n"
                "    )"
            )
        for name, observation in model.observations.items():
            if name not in (*joint, *imputed(model)):
                line = f"  # line {observation.span.line}"
                text = f"observe_each({name!r}, laws[{name!r}], "
                body.lines.append(f"{text}{self.identifiers[name]}, {self._keep(name)}){line}")
        head = f"LATENT = {tuple(latent)!r}\n\n\ndef model({keywords(arguments)}):"
        return "\n".join([head, *indented(body.lines)])

    def through_inducing(self, outcomes: list[str]) -> str:
        """The statement for outcomes that see the Gaussian unknowns through their predictors."""
        values = ", ".join(f"{o!r}: {self.identifiers[o]}" for o in outcomes)
        keeps = ", ".join(f"{o!r}: {self._keep(o)}" for o in outcomes)
        return (
            "observe_through_inducing(\n"
            "        processes(**known),\n"
            "        sites(**known),\n"
            "        quantities(**known),\n"
            "        lambda at: outcomes(at, **known),\n"
            f"        {{{values}}},\n"
            f"        keep={{{keeps}}},\n"
            "    )"
        )

    def _early(self) -> tuple[str, ...]:
        """The values of functions that the priors of other unknowns need."""
        owners = {step.name for step in self.plan.steps if step.how == "whitened"}
        return tuple(k for k, use in self.structure.sites.items() if use.owner in owners)

    def _keep(self, name: str) -> str:
        return self.identifiers[f"{name} keep"]

    # --- the random functions, and the laws given them ---

    def function(
        self, name: str, write: Callable[[Body], Mapping[str, str]], at: bool = False
    ) -> str:
        body = self.body()
        entries = write(body)
        reads = [self.identifiers[n] for n in body.reads if n in self.identifiers]
        arguments = keywords([*reads, "**_"], star=bool(reads))
        arguments = f"at, {arguments}" if at else arguments
        lines = [f"def {name}({arguments}):", *indented(body.lines)]
        if not entries:
            return "\n".join([*lines, "    return {}"])
        inside = [f"        {key!r}: {text}" for key, text in entries.items()]
        return "\n".join([*lines, "    return {", *_with_commas(inside), "    }"])

    def processes(self, body: Body) -> dict[str, str]:
        model = self.model
        owners = {use.owner for use in self.structure.sites.values()} - self.apart()
        return {
            name: process_text(
                body,
                model.unknowns.get(name) or model.functions[name],
                is_joint=self.line is not None
                and self.line.is_joint
                and name in self.structure.block,
            )
            for name in model.order
            if name in owners
        }

    def sites(self, body: Body) -> dict[str, str]:
        own = {
            key: site_text(body, use, self.place_text(body, key))
            for key, use in self.structure.sites.items()
            if use.owner not in self.apart()
        }
        points = [(n, use) for n, use in self.plan.inducing.items() if not use.is_layer]
        own |= {f"{name} inducing": inducing_text(body, use) for name, use in points}
        return own | {weights_name(f): weights_text(body, f)[0] for f in self.sampled_weights()}

    def apart(self) -> set[str]:
        """The functions inside others that have a law of their own: no engine sees them."""
        return {layer.owner for layer in self.structure.layers} & set(self.plan.inducing)

    def sampled_weights(self) -> list[ir.Function]:
        """The functions on shapes whose weights are left to inference."""
        return [f for name, f in self.on_shapes.items() if name in self.plan.latent]

    def place_text(self, body: Body, key: str) -> str:
        """What a site says of its points: their order along a line, or the grid they form."""
        use = grid_site(self.structure) if self.grid is not None else None
        if self.grid is not None and isinstance(use, SiteUse) and use.key == key:
            *axes, cell, row, absent = (body.read(n) for n in self.grid_names())
            points = f"({', '.join(axes)},)"
            return f"grid=Lattice({self.grid.axes!r}, {points}, {cell}, {row}, {absent})"
        order = self.order_text(body, self.orders.get(key, []))
        return f"order={order}" if order else ""

    def order_text(self, body: Body, names: list[str], local: tuple[str, ...] = ()) -> str:
        """`Timeline(...)`; "" without names."""
        words = [body.read(n) for n in names] + ([f"local={local!r}"] if local else [])
        return f"Timeline({', '.join(words)})" if names else ""

    def quantities(self, body: Body) -> dict[str, str]:
        sites = self.structure.sites
        found: dict[str, Affine] = {
            key: form
            for key, form in self.structure.quantities.items()
            if key not in sites or sites[key].owner not in self.apart()
        }
        entries = {}
        for key, form in found.items():
            entries[key] = affine_text(body, form, self._dims_of(key, body))
        return entries | {weights_name(f): weights_text(body, f)[1] for f in self.sampled_weights()}

    def _dims_of(self, key: str, body: Body) -> tuple[str, ...]:
        """The dims of a quantity; a predictor always has that of the rows."""
        if key in self.structure.sites:
            return self.structure.sites[key].dims
        if key in self.model.unknowns:
            return body.order(self.model.unknowns[key].type.dims)
        part = next(p[key] for p in self.structure.predictors.values() if key in p)
        rows = (self.plan.batches.rows,) if self.plan.batches else ()
        return body.order((*part.type.dims, *rows))

    def factors(self, body: Body) -> dict[str, str]:
        """Which entries of each factor a row of the outcome reads, one for each position."""
        assert self.contraction is not None
        (observation,) = self.model.observations.values()
        dims = body.order(observation.type.dims)
        positions = body.order([d for f in self.contraction.factors for d in f.over])
        letter = dict(zip(positions, "abcdefghijklmnopqrstuvwxyz", strict=False))
        entries = {}
        for factor in self.contraction.factors:
            rows = dims if is_by_row(factor) else ()
            index = index_text(body, factor.term, rows)
            if index is None:
                index = (
                    "jnp.zeros(1, int)"
                    if not rows
                    else f"jnp.arange({body.shape(rows)[1:-1].rstrip(',').replace(', ', ' * ')})"
                )
            letters = "".join(letter[d] for d in body.order(factor.over))
            sizes = body.shape(body.order(factor.over))
            along = ", is_along=True" if along_line(self.model, factor) else ""
            own = f", product={factor.product}" if factor.product else ""
            entries[factor.key] = f"Factor({letters!r}, {sizes}, {index}{along}{own})"
        for number, weights in enumerate(self.contraction.weights):
            codes = (body.arranged(body.value(weight), dims) for weight in weights)
            words = [flat_text(body, code, dims, full=True) for code in codes]
            if words:
                entries[f"weight of product {number}"] = " * ".join(words)
        return entries

    def outcomes(self, body: Body) -> dict[str, str]:
        entries = {}
        along, arrows = "", tangential(self.model)
        if self.line is not None:
            text = self.order_text(body, TIMELINE, self.line.local)
            body.lines.append(f"order = {text}")
            along = ", timeline=order"
        for parts in self.structure.predictors.values():
            body.given |= {p: Code(f"at[{k!r}]", self._dims_of(k, body)) for k, p in parts.items()}
        for name, observation in self.model.observations.items():
            dims = body.order(observation.type.dims)
            law = observation.law
            if name in self.structure.links:
                mean = affine_text(body, self.structure.locations[name], dims)
                given = given_text(body, self.structure.links[name].law, dims, observation.type)
                nearest = ", is_nearest=True" if self.structure.is_nearest else ""
                entries[name] = f"Linked({mean}, {given}{along}{nearest})"
            elif name in self.structure.locations and isinstance(law, ir.Distribution):
                mean = affine_text(body, self.structure.locations[name], dims)
                scale = law.arguments.get("scale")
                noise = "1.0" if scale is None else self._noise(body, scale, dims)
                own = f", frames={body.read(frames_name(name))}" if name in arrows else ""
                entries[name] = f"Gaussian({mean}, noise={noise}{along}{own})"
            else:
                text = law_text(body, law, dims, observation.type, is_whole=True)
                frames = body.read(frames_name(name)) if name in arrows else ""
                entries[name] = f"tangential({text}, {frames})" if frames else text
        return entries

    def _noise(self, body: Body, scale: ir.Expr, dims: tuple[str, ...]) -> str:
        return flat_text(body, body.arranged(body.value(scale), dims), dims)

    def maps_function(self) -> str:
        """The field that each layer makes of images, with settings that may be others."""
        body = self.body()
        entries, image = maps_lines(body)
        reads = [self.identifiers[n] for n in body.reads if n in self.identifiers]
        reads = [word for word in reads if word != image]
        head = f"def maps(images, layers, {keywords([*reads, '**_'])}):"
        return "\n".join([head, *indented(body.lines), "    return {", *entries, "    }"])

    def definitions(self, body: Body) -> dict[str, str]:
        kept = [
            n
            for n, d in self.model.definitions.items()
            if not d.is_data and not isinstance(d.type.space, Field)  # too large to be kept
        ]
        return {name: body.reference(name) for name in kept}


def _with_commas(lines: list[str]) -> list[str]:
    return [f"{line}," for line in lines]


def _dict(entries: Mapping[str, object]) -> str:
    inside = "".join(f"    {k!r}: {v!r},\n" for k, v in entries.items())
    return "{\n" + inside + "}" if entries else "{}"


def _safe(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', "'")
