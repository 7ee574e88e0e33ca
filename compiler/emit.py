"""Plan -> the text of a NumPyro program, which is what runs.

The functions of the program, and what each is for, are described in docs/emitted.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from mercer.compiler import typed as ir
from mercer.compiler.affine import Affine
from mercer.compiler.blocks import (
    affine_text,
    flat_text,
    index_text,
    inducing_names,
    inducing_text,
    process_text,
    site_text,
)
from mercer.compiler.code import Body, Code
from mercer.compiler.facts import copies, dims, inputs, labels, summaries, taken
from mercer.compiler.joint import write_steps
from mercer.compiler.line import line_of
from mercer.compiler.names import identifiers
from mercer.compiler.plan import Plan
from mercer.compiler.prior import given_text, law_text
from mercer.compiler.walk import imputed, names_below, nodes, responses
from mercer.dsl.spaces import Label
from mercer.stdlib import catalog

Write = Callable[[Body], str | None]


def emit(plan: Plan) -> str:
    """The complete source of the module that runs a plan."""
    return _Emitter(plan).module()


class _Emitter:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.structure = plan.structure
        self.model = model = plan.structure.model
        self.summaries = summaries(model)
        self.responses = responses(model)
        self.labels = labels(model)
        self.points = {n: inducing_names(use) for n, use in plan.inducing.items() if use.at is None}
        names = [*model.order, *model.indices, *model.data, *self.labels, *self.summaries.values()]
        names += self._inducing_arguments()
        names += self._law_names()
        keeps = [f"{o} keep" for o in model.observations]
        self.line = line_of(plan.structure) if plan.engine_name == "Markov" else None
        owners = {key: plan.structure.sites[key].owner for key in plan.along}
        self.orders = {key: _order_names(f"{owner} order") for key, owner in owners.items()}
        self.ordering = [*(_TIMELINE if self.line else [])]
        self.ordering += [name for names in self.orders.values() for name in names]
        keeps += self.ordering
        taken = {w for words in _IMPORTS.values() for w in words} | set(catalog.kernels())
        self.identifiers = identifiers(dict.fromkeys([*names, *keeps]), taken)

    # --- the module ---

    def module(self) -> str:
        functions = [
            self.prepare(),
            self.summaries_function(),
            self.model_function(),
            self.function("processes", self.processes),
            self.function("sites", self.sites),
            self.function("quantities", self.quantities),
            self.function("outcomes", self.outcomes, at=True),
            self.function("definitions", self.definitions, at=True),
        ]
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
        engine = self.plan.engine_name
        for module, words in _IMPORTS.items():
            used = [w for w in words if _uses(body, w) or w == engine]
            if used:
                lines.append(f"from {module} import {', '.join(used)}")
        kernels = sorted(
            {
                node.entry
                for function in model.functions.values()
                for node in nodes(function)
                if isinstance(node, ir.KernelCall)
            }
        )
        if kernels:
            lines.append(f"from mercer.stdlib.kernels import {', '.join(kernels)}")
        settings = dict(self.plan.settings)
        lines += [
            "",
            f"INFERENCE = Inference({self.plan.lane!r}, {self.plan.method!r}, {settings!r})",
            f"ENGINE = {engine or None}",
            *([f"INDUCING = {_dict(self.inducing())}"] if self.points else []),
            *self.variational(),
            f"INDICES = {tuple(self.identifiers[n] for n in self.index_arguments())!r}",
            f"LABELS = {_dict({self.identifiers[n]: v for n, v in self.labels.items()})}",
            f"NAMES = {_dict({v: k for k, v in self.identifiers.items()})}",
            f"DIMS = {_dict(self.dims())}",
            f"COPIES = {_dict(copies(self.model))}",
            f"INPUTS = {_dict(inputs(self.structure))}",
            f"TAKEN = {taken(self.structure, self.summaries)!r}",
            f"IMPUTED = {imputed(self.model)!r}",
        ]
        return "\n".join(lines)

    # --- functions of the data ---

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

    def dims(self) -> dict[str, tuple[str, ...]]:
        body = self.body()
        keys = [k for parts in self.structure.predictors.values() for k in parts]
        return dims(self.structure) | {k: self._dims_of(k, body) for k in keys}

    def _law_names(self) -> list[str]:
        """The names of the arguments that hold the law of the Gaussian unknowns."""
        if self.plan.batches is None:
            return []
        apart = [
            f"{n} posterior {k}" for n in self.plan.batches.apart for k in ("mean", "variance")
        ]
        return ["posterior mean", "posterior root", *apart]

    def _law_words(self) -> list[tuple[str, str]]:
        words = [self.identifiers[n] for n in self._law_names()]
        return list(zip(words[::2], words[1::2], strict=True))

    def variational(self) -> list[str]:
        """What the minibatches of a program are of."""
        if self.plan.batches is None:
            return []
        kinds = self.plan.batches.kinds
        predictors = {
            name: (kinds[name], tuple(parts)) for name, parts in self.structure.predictors.items()
        }
        joint, *apart = self._law_words()
        own = dict(zip(self.plan.batches.apart, apart, strict=True))
        return [
            f"ROWS = {self.plan.batches.rows!r}",
            f"PREDICTORS = {_dict(predictors)}",
            f"POSTERIOR = {joint!r}",
            f"APART = {_dict(own)}",
        ]

    def _inducing_arguments(self) -> list[str]:
        return [name for names in self.points.values() for name in names]

    def inducing(self) -> dict[str, tuple[int, tuple[str, ...]]]:
        """Of each function whose inducing points are chosen: how many, and their arguments."""
        return {
            name: (self.plan.inducing[name].count, tuple(self.identifiers[n] for n in names))
            for name, names in self.points.items()
        }

    def bound_arguments(self) -> list[str]:
        """What binding adds to the data: numbered indices, and the places of labels."""
        return [*self.index_arguments(), *self.labels]

    def data_arguments(self) -> str:
        given = [n for n in self.model.data if n not in self.responses]
        words = [self.identifiers[n] for n in (*given, *self.bound_arguments())]
        words += [f"{self.identifiers[n]}=None" for n in self.model.data if n in self.responses]
        return _keywords(words)

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
            body.lines.append(f"{keep} = observed_rows({word}{_missing(observation)})")
            entries.append(keep)
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
        lines += _indented(body.lines)
        lines.append("    return {" + ", ".join(f'"{w}": {w}' for w in entries) + "}")
        return "\n".join(lines)

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
            self.write_order(body, keys, readings, _TIMELINE, self.line.apart)
        for key, names in self.orders.items():
            self.write_order(body, [key], [f"({key!r}, Reading({key!r}))"], names, True)

    def write_order(
        self, body: Body, keys: list[str], readings: list[str], names: list[str], apart: bool
    ) -> None:
        places = [f"{key!r}: {site_text(body, self.structure.sites[key])}" for key in keys]
        body.lines += [
            "order = timeline(",
            f"    {{{', '.join(places)}}},",
            f"    [{', '.join(readings)}],",
            f"    apart={apart},",
            ")",
            *(f"{self.identifiers[n]} = order.{n.split()[-1]}" for n in names),
        ]

    def summaries_function(self) -> str:
        body = Body(self.structure, self.identifiers, {})
        entries = [
            f'"{self.identifiers[name]}": np.asarray({body.value(node).text})'
            for node, name in self.summaries.items()
        ]
        lines = [f"def summaries({self.data_arguments()}):", *_indented(body.lines)]
        return "\n".join([*lines, "    return {" + ", ".join(entries) + "}"])

    # --- the joint density ---

    def model_function(self) -> str:
        body = self.body()
        model, plan = self.model, self.plan
        early = write_steps(body, plan)
        outcomes = list(model.observations)
        absent = [*outcomes, *(n for n in model.data if n in self.responses - set(outcomes))]
        reads = [*model.data, *self.bound_arguments(), *self.summaries.values()]
        reads += self._inducing_arguments()
        arguments = [self.identifiers[n] for n in reads if n not in absent]
        arguments += [f"{self.identifiers[n]}=None" for n in absent]
        arguments += [f"{self.identifiers[f'{n} keep']}=None" for n in outcomes]
        arguments += [f"{self.identifiers[n]}=None" for n in self.ordering]
        arguments += [f"{self.identifiers[n]}=None" for n in self._law_names()]
        known = [self.identifiers[n] for n in (*reads, *self.ordering, *plan.sampled)]
        body.lines.append(f"known = dict({', '.join(f'{w}={w}' for w in known)})")
        if self.structure.predictors:
            body.lines.append(self.through_inducing(outcomes))
            head = f"LATENT = ()\n\n\ndef model({_keywords(arguments)}):"
            return "\n".join([head, *_indented(body.lines)])
        at = "{}"
        latent = [k for k, use in self.structure.sites.items() if use.owner in plan.latent]
        rest = [k for k in latent if self.structure.sites[k].owner not in early]
        at = "at" if early else at
        if rest:
            body.lines.append("places, wanted = sites(**known), quantities(**known)")
            missing = " if k not in at" if early else ""
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
            keeps = ", ".join(f"{o!r}: {self._keep(o)}" for o in joint)
            body.lines.append(
                "observe(\n"
                "        processes(**known),\n"
                "        {k: s for k, s in sites(**known).items() if k not in LATENT},\n"
                f"        {{{laws}}},\n"
                f"        {{{values}}},\n"
                f"        keep={{{keeps}}},\n"
                "        engine=ENGINE,\n"
                "        quantities={k: q for k, q in quantities(**known).items()"
                " if k not in LATENT},\n"
                "    )"
            )
        for name, observation in model.observations.items():
            if name not in (*joint, *imputed(model)):
                line = f"  # line {observation.span.line}"
                text = f"observe_each({name!r}, laws[{name!r}], "
                body.lines.append(f"{text}{self.identifiers[name]}, {self._keep(name)}){line}")
        head = f"LATENT = {tuple(latent)!r}\n\n\ndef model({_keywords(arguments)}):"
        return "\n".join([head, *_indented(body.lines)])

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

    def _keep(self, name: str) -> str:
        return self.identifiers[f"{name} keep"]

    # --- the random functions, and the laws given them ---

    def body(self) -> Body:
        return Body(self.structure, self.identifiers, self.summaries)

    def function(
        self, name: str, write: Callable[[Body], Mapping[str, str]], at: bool = False
    ) -> str:
        body = self.body()
        entries = write(body)
        reads = [self.identifiers[n] for n in body.reads if n in self.identifiers]
        arguments = _keywords([*reads, "**_"], star=bool(reads))
        arguments = f"at, {arguments}" if at else arguments
        lines = [f"def {name}({arguments}):", *_indented(body.lines)]
        if not entries:
            return "\n".join([*lines, "    return {}"])
        inside = [f"        {key!r}: {text}" for key, text in entries.items()]
        return "\n".join([*lines, "    return {", *_with_commas(inside), "    }"])

    def processes(self, body: Body) -> dict[str, str]:
        model = self.model
        owners = {use.owner for use in self.structure.sites.values()}
        return {
            name: process_text(body, model.unknowns.get(name) or model.functions[name])
            for name in model.order
            if name in owners
        }

    def sites(self, body: Body) -> dict[str, str]:
        own = {
            key: site_text(body, use, self.order_text(body, self.orders.get(key, [])))
            for key, use in self.structure.sites.items()
        }
        points = self.plan.inducing.items()
        return own | {f"{name} inducing": inducing_text(body, use) for name, use in points}

    def order_text(self, body: Body, names: list[str], local: tuple[str, ...] = ()) -> str:
        """`Timeline(...)`; "" without names."""
        words = [body.read(n) for n in names] + ([f"local={local!r}"] if local else [])
        return f"Timeline({', '.join(words)})" if names else ""

    def quantities(self, body: Body) -> dict[str, str]:
        found: dict[str, Affine] = dict(self.structure.quantities)
        entries = {}
        for key, form in found.items():
            entries[key] = affine_text(body, form, self._dims_of(key, body))
        return entries

    def _dims_of(self, key: str, body: Body) -> tuple[str, ...]:
        """The dims of a quantity; a predictor always has that of the rows."""
        if key in self.structure.sites:
            return self.structure.sites[key].dims
        if key in self.model.unknowns:
            return body.order(self.model.unknowns[key].type.dims)
        part = next(p[key] for p in self.structure.predictors.values() if key in p)
        rows = (self.plan.batches.rows,) if self.plan.batches else ()
        return body.order((*part.type.dims, *rows))

    def outcomes(self, body: Body) -> dict[str, str]:
        entries = {}
        along = ""
        if self.line is not None:
            text = self.order_text(body, _TIMELINE, self.line.local)
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
                entries[name] = f"Linked({mean}, {given}{along})"
            elif name in self.structure.locations and isinstance(law, ir.Distribution):
                mean = affine_text(body, self.structure.locations[name], dims)
                scale = law.arguments.get("scale")
                noise = "1.0" if scale is None else self._noise(body, scale, dims)
                entries[name] = f"Gaussian({mean}, noise={noise}{along})"
            else:
                entries[name] = law_text(body, law, dims, observation.type, is_whole=True)
        return entries

    def _noise(self, body: Body, scale: ir.Expr, dims: tuple[str, ...]) -> str:
        return flat_text(body, body.arranged(body.value(scale), dims), dims)

    def definitions(self, body: Body) -> dict[str, str]:
        kept = [n for n, d in self.model.definitions.items() if not d.is_data]
        return {name: body.reference(name) for name in kept}


def _order_names(prefix: str) -> list[str]:
    """The names of the arrays of a `Timeline`."""
    return [f"{prefix} {part}" for part in ("node", "row", "place", "first")]


_TIMELINE = _order_names("timeline")
"""What `prepare` finds of the order of rows along a line, and the laws of the outcomes hold."""

_IMPORTS: dict[str, tuple[str, ...]] = {
    "mercer.runtime.gaussian": (
        "Affine",
        "Dense",
        "Gaussian",
        "Inducing",
        "Linked",
        "Markov",
        "RandomFunction",
        "Site",
        "Term",
        "Timeline",
        "WeightSpace",
        "Weights",
        "held_points",
        "observe",
    ),
    "mercer.runtime.inference": ("Inference",),
    "mercer.runtime.rows": ("directions", "flat", "flat_code", "table", "vectors"),
    "mercer.runtime.scales": ("input_spread", "outcome_spread", "reduce_by"),
    "mercer.runtime.reparametrised": ("sample_between", "sample_non_centred"),
    "mercer.runtime.variational": ("observe_through_inducing",),
    "mercer.runtime.statements": (
        "observe_each",
        "observed_rows",
        "sample_missing",
        "sample_whitened",
    ),
    "mercer.runtime.timeline": ("Reading", "timeline"),
    "mercer.stdlib.laws": (
        "censored",
        "conditioned",
        "flat_prior",
        "pushed",
        "truncated",
        "vector_law",
        "weighted",
    ),
    "mercer.stdlib.operators": ("Directional", "Integrate", "Laplace"),
    "mercer.stdlib.points": ("PerLabel", "Points", "label_matrix"),
}


def _missing(observation: ir.Observation) -> str:
    """How an outcome says what is missing."""
    if isinstance(observation.type.space, Label):
        return ", is_label=True"
    law = observation.law
    entry = catalog.distributions()[law.entry] if isinstance(law, ir.Distribution) else None
    is_whole = entry is not None and entry.event and entry.name != "MultivariateNormal"
    return f", whole={observation.name!r}" if is_whole else ""


def _uses(text: str, word: str) -> bool:
    return word == "Inference" or re.search(rf"\b{word}\b", text) is not None


def _keywords(words: list[str], star: bool = True) -> str:
    text = ", ".join(words)
    return f"*, {text}" if words and star else text


def _indented(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _with_commas(lines: list[str]) -> list[str]:
    return [f"{line}," for line in lines]


def _dict(entries: Mapping[str, object]) -> str:
    inside = "".join(f"    {k!r}: {v!r},\n" for k, v in entries.items())
    return "{\n" + inside + "}" if entries else "{}"


def _safe(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', "'")
