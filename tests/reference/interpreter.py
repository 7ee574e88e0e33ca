"""The text of a model, data and values into its joint log density, as slowly and plainly as can be.

Nothing here is shared with the compiler or the library but the syntax tree. What is Gaussian and
not given is integrated out by brute force: every such unknown is its mean plus a residual, every
application of a random function its mean plus a residual; all expressions are evaluated at zero
residuals and at each basis vector, which gives the Jacobian of the locations of all laws exactly,
and the density is that of one multivariate normal.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from math import lgamma
from typing import Any

import numpy as np
from scipy.stats import multivariate_normal

from mercer.dsl import syntax
from mercer.dsl.parse import parse
from tests.reference import curved, defaults, kernels, laws, wrapped
from tests.reference.arrays import BASIS, Named, elementwise, reduced, scalar
from tests.reference.evaluate import BINARY, WORDS, Evaluator, coordinates_of, domain_of, text_of
from tests.reference.functions import (
    Covariance,
    Function,
    Rows,
    Space,
    factors_of,
    gram,
    rows_of,
    vector_dim,
)

_FUNCTION_PRIORS = ("GP", "Linear", "Multilinear", "Network")


def joint_log_density(text: str, data: Mapping[str, Any], values: Mapping[str, Any]) -> float:
    """log p(outcomes, given unknowns), everything else that is Gaussian integrated out.

    `data`: arrays with axes as declared, labels as codes; `values`: unknowns in their own spaces,
    and values of functions under the text of their application (`f(x)`), axes in the order in
    which the application's dims come, or as `Named`.
    """
    return Reference(text, data, values).log_density()


@dataclasses.dataclass
class Residual:
    """Zero-mean Gaussians: of an unknown (`sd`), or of an application of a function (`rows`)."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    sd: np.ndarray | None
    rows: Rows | None
    start: int = 0

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=int))


@dataclasses.dataclass(frozen=True)
class Statement:
    """`value ~ law` over `dims`; an application of a function that is given has no law."""

    value: Named
    dims: tuple[str, ...]
    law: syntax.Expression | None
    space: Space | None = None
    owner: str = ""
    location: tuple[Function, list[Named]] | None = None


class Reference(Evaluator):
    """One model with its data and values. `without_prior`: functions whose values are given and
    whose own density is not counted."""

    def __init__(
        self,
        text: str,
        data: Mapping[str, Any],
        values: Mapping[str, Any],
        without_prior: tuple[str, ...] = (),
    ) -> None:
        self.model = parse(text)
        self.raw, self.values, self.without_prior = dict(data), dict(values), without_prior
        self.data: dict[str, syntax.Data] = {}
        self.data_targets: dict[str, tuple[syntax.Target, syntax.Expression]] = {}
        self.index_labels: dict[str, list[Any]] = {}
        self.defs: dict[str, syntax.Def] = {}
        self.defines: dict[str, syntax.Define] = {}
        self.tildes: dict[str, syntax.Tilde] = {}
        self.observed: list[syntax.Tilde] = []
        for d in self.model.declarations:
            match d:
                case syntax.Data(targets, space):
                    self.data_targets |= {t.name: (t, space) for t in targets}
                case syntax.Index(name, syntax.List(items)):
                    self.index_labels[name] = [getattr(i, "value", None) for i in items]
                case syntax.Index(name, syntax.Range(low, high)):
                    first, last = (int(float(text_of(e))) for e in (low, high))
                    self.index_labels[name] = [float(i) for i in range(first, last + 1)]
                case syntax.Def(name):
                    self.defs[name] = d
                case syntax.Define(target):
                    self.defines[target.name] = d
        for d in self.model.declarations:
            if isinstance(d, syntax.Tilde):
                name = d.target.name
                if name in self.data_targets or name in self.defines:
                    self.observed.append(d)
                else:
                    self.tildes[name] = d
        self.sizes = self._sizes()
        self.residuals: dict[Any, Residual] = {}
        self.statements: dict[Any, Statement] = {}
        self.batch = 0  # rows of the basis: 0 while the residuals are still being collected
        self.memo: dict[str, Any] = {}
        self.is_later_factor = False  # of a product of kernels
        self.applications: dict[str, tuple[Function, list[Named], Rows]] = {}

    def _sizes(self) -> dict[str, int]:
        sizes = {name: len(labels) for name, labels in self.index_labels.items()}
        for name, (target, node) in self.data_targets.items():
            space = self.space(node)
            array = np.asarray(self.raw[name])
            for dim, size in zip((*target.indices, *coordinates_of(space)), array.shape):
                sizes.setdefault(dim.rstrip("'"), size)
        for name, (_, node) in self.data_targets.items():
            space = self.space(node)
            if space[0] == "Label" and space[1] not in self.index_labels:
                highest = int(np.nanmax(np.asarray(self.raw[name]))) + 1
                sizes[space[1]] = max(sizes.get(space[1], 0), highest)
        return sizes

    # --- the density ---

    def log_density(self) -> float:
        self._evaluate_all()
        start = 0
        for residual in self.residuals.values():
            residual.start = start
            start += residual.size
        self.batch = start + 2
        self.direction = np.random.default_rng(0).normal(size=start)
        self.memo.clear()
        total = 0.0
        joint: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for statement in self.statements.values():
            total += self._statement(statement, joint)
        if not joint:
            return total
        values = np.concatenate([v for v, _, _ in joint])
        locations = np.concatenate([m for _, m, _ in joint], axis=1)
        noise = np.concatenate([s for _, _, s in joint])
        jacobian = (locations[1:-1] - locations[0]).T
        predicted = locations[0] + jacobian @ self.direction
        if not np.allclose(locations[-1], predicted, rtol=1e-9, atol=1e-9):
            raise ValueError("a location is not affine in what is integrated out")
        covariance = jacobian @ self._prior() @ jacobian.T + np.diag(noise**2)
        return total + float(multivariate_normal(locations[0], covariance).logpdf(values))

    def _evaluate_all(self) -> None:
        for name, tilde in self.tildes.items():
            if not self._is_function(tilde) and name in self.values:
                self.name(name)
        for tilde in self.observed:
            self._law(tilde.prior, tilde.target.name)  # so that applications come as written
        for tilde in self.observed:
            name = tilde.target.name
            value = self.name(name)
            law = tilde.prior
            dims = value.dims
            if name in self.defines and not dims:
                dims = self._dims_of_law(law)
            self.statements[name] = Statement(value, dims, law, owner=name)
        seen: set[Any] = set()
        while len(seen) < len(self.statements):
            for key, statement in list(self.statements.items()):
                if key not in seen:
                    seen.add(key)
                    if statement.law is not None:
                        self._arguments(statement)
                    elif statement.location:
                        self._mean(*statement.location)
        functions = {function.name for function, _, _ in self.applications.values()}
        for name in functions:  # every hyperparameter has a statement of its own
            self._kernel(name)
            self._outputs(name)
        for key, statement in list(self.statements.items()):
            if key not in seen and statement.law is not None:
                self._arguments(statement)

    def _dims_of_law(self, law: syntax.Expression) -> tuple[str, ...]:
        _, arguments = self._law(law, "")
        return tuple(dict.fromkeys(d for a in arguments.values() for d in a.dims))

    def _statement(
        self, statement: Statement, joint: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
    ) -> float:
        dims = statement.dims
        sizes = {**{d: self.size(d) for d in dims}, BASIS: self.batch}
        value = statement.value.ordered(dims, sizes).astype(float).reshape(-1)
        seen = ~np.isnan(value)
        if statement.location is not None:
            function, points = statement.location
            location = self._mean(function, points)
            key = ("site", *_key(function, points))
            location = elementwise(np.add, location, self._residual(key))
            mean = location.ordered((BASIS, *dims), sizes).reshape(self.batch, -1)
            joint.append((value, mean, np.zeros(value.size)))
            return 0.0
        word, arguments = self._arguments(statement)
        if wrapped.is_wrapped(statement.law):
            filled = np.where(seen, value, value[seen][0])
            shape = [sizes[d] for d in dims]
            density = wrapped.log_density(
                self, statement.law, statement.owner, dims, filled.reshape(shape)
            )
            return float(np.sum(density.reshape(-1)[seen]))
        if any(BASIS in a.dims for a in arguments.values()):
            if word != "Normal" or BASIS in arguments["scale"].dims:
                raise ValueError(f"{statement.owner}: not Gaussian in what is integrated out")
            mean = arguments["loc"].ordered((BASIS, *dims), sizes).reshape(self.batch, -1)
            noise = arguments["scale"].ordered(dims, sizes).reshape(-1)
            joint.append((value[seen], mean[:, seen], noise[seen]))
            return 0.0
        if word in laws.VECTORS:
            return self._vectors(statement, word, arguments, sizes)
        flat: dict[str, Any] = {}
        for name, argument in arguments.items():
            inner = tuple(d for d in argument.dims if d not in dims)
            full = {**sizes, **{d: self.size(d) for d in inner}}
            array = argument.ordered((*dims, *inner), full)
            flat[name] = array.reshape(value.size, *array.shape[len(dims) :])[seen]
        observed = value[seen]
        if word in ("Categorical", "OrderedLogistic"):
            return float(np.sum(_label_log_probability(word, flat, observed.astype(int))))
        space = statement.space
        low, high = _bounds(space) if space else (None, None)
        if space and space[0] == "Interval":
            low, high = (end.ordered(dims, sizes).reshape(-1)[seen] for end in space[1:3])
        if space and laws.SUPPORT.get(word, "Real") == space[0]:
            low, high = None, None
        total = float(np.sum(laws.log_conditioned(word, flat, observed, low, high)))
        if space and space[0] == "Ordered" and word != "Flat":
            copies = value.size // self.size(space[1])
            total += copies * lgamma(self.size(space[1]) + 1)
        if space and space[0] == "ZeroSum":
            # Of independent Normals the density along the subspace of sum 0: one dimension less.
            scale = flat["scale"].reshape(-1, self.size(space[1]))[:, 0]
            total += float(np.sum(np.log(scale) + 0.5 * np.log(2 * np.pi)))
        return total

    def _vectors(
        self, statement: Statement, word: str, arguments: dict[str, Named], sizes: dict[str, int]
    ) -> float:
        count = laws.VECTORS[word]
        rows, own = statement.dims[:-count], statement.dims[-count:]
        array = statement.value.ordered(statement.dims, sizes)
        total = 0.0
        for cell in np.ndindex(*(sizes[d] for d in rows)):
            place = dict(zip(rows, cell, strict=True))
            local = {}
            for name, argument in arguments.items():
                inner = tuple(d for d in argument.dims if d not in rows)
                inner = tuple(d for d in (own[0], own[0] + "'") if d in inner) or inner
                full = argument.ordered((*rows, *inner), {**sizes, **self._sizes_of(inner)})
                local[name] = full[tuple(place[d] for d in rows)]
            total += laws.log_vector(word, local, array[cell])
        return total

    def _sizes_of(self, dims: tuple[str, ...]) -> dict[str, int]:
        return {d: self.size(d) for d in dims}

    def _prior(self) -> np.ndarray:
        """The joint covariance of all residuals."""
        size = sum(r.size for r in self.residuals.values())
        result = np.zeros((size, size))
        for a in self.residuals.values():
            if a.sd is not None:
                own = slice(a.start, a.start + a.size)
                result[own, own] = np.diag(a.sd**2)
                continue
            for b in self.residuals.values():
                if b.rows is not None and a.rows and a.rows.function == b.rows.function:
                    block = self.covariance(a.rows, b.rows)
                    result[a.start : a.start + a.size, b.start : b.start + b.size] = block
        return result

    def covariance(self, a: Rows, b: Rows) -> np.ndarray:
        """Between the rows of two applications of one function."""
        name = a.function
        indices = self.tildes[name].target.indices
        result: np.ndarray = gram(a, b, indices, self._kernel(name), self._outputs(name))
        return result

    def prior_of(
        self, texts: tuple[str, ...], dims: Mapping[str, tuple[str, ...]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Prior mean and covariance of applications of one function, stacked in this order.

        Each is flattened with its axes in the order `dims[text]`.
        """
        self._evaluate_all()
        means, rows, orders = [], [], []
        for text in texts:
            function, points, own = self.applications[text]
            sizes = dict(zip(own.dims, own.shape, strict=True))
            means.append(self._mean(function, points).ordered(dims[text], sizes).reshape(-1))
            places = np.arange(len(own.rows)).reshape(own.shape)
            axes = [own.dims.index(d) for d in dims[text]]
            orders.append(np.transpose(places, axes).reshape(-1))
            rows.append(own)
        pairs = [list(zip(rows, orders, strict=True))] * 2
        blocks = [[self.covariance(a, b)[np.ix_(i, j)] for b, j in pairs[1]] for a, i in pairs[0]]
        if not texts:
            return np.zeros(0), np.zeros((0, 0))
        return np.concatenate(means), np.block(blocks)

    def law_of(self, name: str) -> tuple[str, dict[str, Named]]:
        """The word and the arguments of the law of an unknown or a column, at the values given."""
        tilde = next(d for d in (*self.tildes.values(), *self.observed) if d.target.name == name)
        return self._law(tilde.prior, name)

    def law_with_arguments(
        self, law: syntax.Expression, owner: str
    ) -> tuple[str, dict[str, Named]]:
        """The word and the arguments of a law that belongs to `owner`."""
        return self._law(law, owner)

    def ends_of(self, name: str) -> tuple[Named, Named]:
        """The ends of the interval that an unknown lies in."""
        signature = self.tildes[name].signature
        assert signature is not None
        _, low, high = self.space(signature.codomain)
        return low, high

    # --- names ---

    def name(self, name: str) -> Any:
        if name not in self.memo:
            self.memo[name] = self._named(name)
        return self.memo[name]

    def _named(self, name: str) -> Any:
        if name in self.data_targets:
            target, node = self.data_targets[name]
            space = self.space(node)
            coordinates = coordinates_of(space)
            labels = space[1] if space[0] == "Label" else None
            array = np.asarray(self.raw[name])
            return Named((*target.indices, *coordinates), array, coordinates, labels)
        if name in self.defines:
            define = self.defines[name]
            if isinstance(define.value, syntax.List):
                items = [self.number(i).array for i in define.value.items]
                return Named(define.target.indices, np.asarray(items, float))
            return self.value(define.value)
        if name in self.tildes:
            tilde = self.tildes[name]
            signature = tilde.signature
            if self._is_function(tilde):
                domain = self.space(signature.domain) if signature and signature.domain else None
                codomain = self.space(signature.codomain) if signature else ("Real",)
                outputs = coordinates_of(codomain)
                return Function(
                    name, domain, outputs[0] if outputs else None, tilde.target.indices, text=name
                )
            space = self.space(signature.codomain) if signature else None
            return self._unknown(name, tilde.target.indices, space, tilde.prior, name)
        plain = name.rstrip("'")
        if plain in self.sizes:
            labels = self.index_labels.get(plain)
            if labels and isinstance(labels[0], float):
                return Named((name,), np.asarray(labels), (), plain)
            return Named((name,), np.arange(self.size(name)), (), plain)
        raise NameError(name)

    def _is_function(self, tilde: syntax.Tilde) -> bool:
        head = tilde.prior.function if isinstance(tilde.prior, syntax.Call) else None
        return isinstance(head, syntax.Name) and head.id in _FUNCTION_PRIORS

    def codes(self, node: syntax.Expression) -> Named:
        """A label to look up; an index stands for its codes, also where its labels are numbers."""
        plain = node.id.rstrip("'") if isinstance(node, syntax.Name) else ""
        named = plain in self.data_targets or plain in self.defines or plain in self.tildes
        if plain in self.sizes and not named:
            whole = text_of(node)
            return Named((whole,), np.arange(self.size(whole)), (), plain)
        return self.number(node)

    def label_code(self, base: Any, label: Any) -> tuple[str, int]:
        dims = base.indices if isinstance(base, Function) else base.dims
        for dim in dims:
            labels = self.index_labels.get(dim)
            if labels and label in labels:
                return dim, labels.index(label)
            if not labels and dim != BASIS and not isinstance(label, str):
                return dim, int(label)  # labels that nobody declared are their codes
        raise KeyError(label)

    def _unknown(
        self,
        name: str,
        indices: tuple[str, ...],
        space: Space | None,
        law: syntax.Expression,
        owner: str,
        dims: tuple[str, ...] | None = None,
    ) -> Named:
        """The value of a number, vector or matrix; its prior becomes a statement or a residual."""
        word = law.function.id if isinstance(law, syntax.Call) else ""  # type: ignore[attr-defined]
        space = space or (laws.SUPPORT.get(word, "Real"),)
        coordinates = coordinates_of(space)
        dims = dims or (*indices, *coordinates)
        if name in self.values:
            given = self.values[name]
            if not isinstance(given, Named):
                given = Named(dims, np.asarray(given, float))
            given = Named(given.dims, given.array, coordinates)
            statement = Statement(given, given.dims, law, space, owner)
            self.statements.setdefault(("prior", name), statement)
            return given
        if word != "Normal" or space[0] not in ("Real", "Vector"):
            raise KeyError(f"{name} needs a value")
        key = ("unknown", name)
        arguments = self._law(law, owner)[1]
        if key not in self.residuals:
            sizes = self._sizes_of(dims)
            sd = arguments["scale"].ordered(dims, sizes).reshape(-1)
            self.residuals[key] = Residual(dims, tuple(sizes[d] for d in dims), sd, None)
        result = elementwise(np.add, arguments["loc"], self._residual(key))
        return dataclasses.replace(result, coordinates=coordinates)

    def _residual(self, key: Any) -> Named:
        residual = self.residuals[key]
        if not self.batch:
            return Named(residual.dims, np.zeros(residual.shape))
        array = np.zeros((self.batch, residual.size))
        for i in range(residual.size):
            array[1 + residual.start + i, i] = 1.0
        array[-1] = self.direction[residual.start : residual.start + residual.size]
        return Named((BASIS, *residual.dims), array.reshape(self.batch, *residual.shape))

    # --- laws and arguments in place ---

    def _arguments(self, statement: Statement) -> tuple[str, dict[str, Named]]:
        assert statement.law is not None
        return self._law(statement.law, statement.owner)

    def _law(self, law: syntax.Expression, owner: str) -> tuple[str, dict[str, Named]]:
        """The word and the arguments of a law; of one that is wrapped those of what is inside."""
        law, others = wrapped.unwrapped(law)
        for node in others:  # what they need has a prior too
            self.number(node)
        assert isinstance(law, syntax.Call) and isinstance(law.function, syntax.Name)
        word = law.function.id
        known = laws.ARGUMENTS[word]
        found: dict[str, Named] = {}
        for name, node in _by_name(law, known).items():
            value = self._argument(owner, word, name, node, "Positive" if name in _POSITIVE else "")
            found[name] = value
        for name, default in known.items():
            if default is not None and name not in found:
                found[name] = scalar(default)
        return word, found

    def _argument(
        self,
        owner: str,
        part: str,
        name: str,
        node: syntax.Argument,
        space: str,
        dims: tuple[str, ...] | None = None,
    ) -> Named:
        if node.operator != "~":
            return self.number(node.value)
        whole = self._full_name(owner, part, name)
        if whole not in self.memo:
            own = (space,) if space else None
            self.memo[whole] = self._unknown(whole, node.indices, own, node.value, whole, dims)
        found: Named = self.memo[whole]
        return found

    def _full_name(self, owner: str, part: str, name: str) -> str:
        long = f"{owner}.{part}.{name}"
        return long if long in self.values else f"{owner}.{name}"

    # --- functions ---

    def apply(self, function: Function, points: list[Named], text: str) -> Named:
        prior = self.tildes[function.name].prior
        assert isinstance(prior, syntax.Call)
        assert isinstance(prior.function, syntax.Name)
        if prior.function.id == "Linear":
            return self._linear(function, prior, points[0], function.outputs)
        if prior.function.id == "Network":
            return self._network(function, prior, points[0])
        if prior.function.id == "Multilinear":
            return self._multilinear(function, prior, points)
        if any(BASIS in p.dims for p in points):
            raise ValueError(f"{text}: a point depends on what is integrated out")
        rows = self._rows(function, points, text)
        if text in self.values:
            given = self.values[text]
            if not isinstance(given, Named):
                given = Named(rows.dims, np.asarray(given, float))
            if function.name not in self.without_prior:
                self._register(function, points, rows)
                self.statements.setdefault(
                    ("site", text),
                    Statement(given, rows.dims, None, location=(function, points)),
                )
            else:
                self._mean(function, points)  # the unknowns in it have their priors all the same
            return dataclasses.replace(given, coordinates=rows.coordinates)
        self._register(function, points, rows)
        residual = self._residual(("site", *_key(function, points)))
        result = elementwise(np.add, self._mean(function, points), residual)
        return dataclasses.replace(result, coordinates=rows.coordinates)

    def _rows(self, function: Function, points: list[Named], text: str) -> Rows:
        if text not in self.applications:
            rows = rows_of(function, points, self.size)
            self.applications[text] = (function, points, rows)
        return self.applications[text][2]

    def _register(self, function: Function, points: list[Named], rows: Rows) -> None:
        key = ("site", *_key(function, points))
        if key not in self.residuals:
            self.residuals[key] = Residual(rows.dims, rows.shape, None, rows)

    def _mean(self, function: Function, points: list[Named]) -> Named:
        node = self._prior_argument(function.name, "mean")
        if node is None:
            return scalar(0.0)
        value = node.value
        if function.operators:
            if isinstance(value, syntax.Number) and function.operators[0].kind != "Integral":
                return scalar(0.0)
            raise NotImplementedError("an operator on a function with a mean")
        if isinstance(value, syntax.Call) and text_of(value.function) == "Identity":
            return points[0]
        if isinstance(value, syntax.Call) and text_of(value.function) == "Linear":
            return self._linear(function, value, points[0], function.outputs)
        mean = (
            self.value(value)
            if node.operator != "~"
            else self._argument(function.name, "GP", "mean", node, "")
        )
        if isinstance(mean, Function):
            mean = dataclasses.replace(mean, domain=function.domain)
            return self.apply(mean, points, f"{mean.name}({function.name})")
        for dim, at in function.at.items():
            mean = mean.gathered(dim, at) if dim in mean.dims else mean
        return mean

    def _linear(
        self, function: Function, prior: syntax.Call, x: Named, outputs: str | None
    ) -> Named:
        """sum_d weights[d] x[d] + bias."""
        name, given = function.name, _by_name(prior, {"weights": None, "bias": 0.0})
        assert function.domain is not None
        own = vector_dim(function.domain, x)
        dims = tuple(d for d in (own, outputs) if d)
        node = given.get("weights") or _default("Normal(0, 1)")
        indices = tuple(d for d in function.indices if d in node.indices or True)
        weights = self._argument(name, "Linear", "weights", node, "", (*indices, *dims))
        bias = scalar(0.0)
        if "bias" in given:
            bias = self._argument(name, "Linear", "bias", given["bias"], "")
        for dim, at in function.at.items():
            weights = weights.gathered(dim, at) if dim in weights.dims else weights
            bias = bias.gathered(dim, at) if dim in bias.dims else bias
        product = elementwise(np.multiply, weights, x)
        total = reduced(np.sum, product, (own,)) if own else product
        result = elementwise(np.add, total, bias)
        coordinates = tuple(c for c in (outputs,) if c)
        return dataclasses.replace(result, coordinates=coordinates)

    def _network(self, function: Function, prior: syntax.Call, x: Named) -> Named:
        """Layer by layer; the names of a layer's units are those that its biases come with."""
        assert function.domain is not None
        inside = vector_dim(function.domain, x)
        given = _by_name(prior, {"hidden": None, "activation": None, "weights": None})
        law = given["weights"].value if "weights" in given else _default("Normal(0, 1)").value
        activation = WORDS[text_of(given["activation"].value) if "activation" in given else "tanh"]
        widths = given["hidden"].value if "hidden" in given else None
        count = len(widths.items) if isinstance(widths, syntax.List) else 2
        outputs = tuple(d for d in (function.outputs,) if d)
        words = [*(f"layer{i + 1}" for i in range(count)), "output"]
        value = x
        for number, word in enumerate(words):
            value = elementwise(activation, value) if number else value
            ends = (*function.indices, *outputs)
            places = {"weights": (*ends, *((inside,) if inside else ())), "bias": ends}
            parts = [
                # Only the output's may be integrated out; the values of others bring their dims.
                self._unknown(
                    f"{function.name}.{word}.{part}", (), None, law, function.name, places[part]
                )
                for part in ("weights", "bias")
            ]
            weights, bias = parts
            product = elementwise(np.multiply, weights, value)
            if inside:
                size = self.size(inside) if inside in self.sizes else int(inside.rstrip("'"))
                total = reduced(np.sum, product, (inside,))
                product = elementwise(np.divide, total, scalar(np.sqrt(size)))
            value = elementwise(np.add, product, bias)
            inside = next((d for d in bias.dims if d not in function.indices), None)
        return dataclasses.replace(value, coordinates=outputs)

    def _multilinear(self, function: Function, prior: syntax.Call, points: list[Named]) -> Named:
        """The sum over all positions of a weight times one entry of each argument."""
        name, given = function.name, _by_name(prior, {"weights": None, "diagonal": None})
        assert function.domain is not None
        is_diagonal = "diagonal" in given and text_of(given["diagonal"].value) == "true"
        outputs = tuple(d for d in (function.outputs,) if d)
        inside: list[str] = []
        values = []
        for (_, space), point in zip(factors_of(function.domain), points, strict=True):
            own = vector_dim(space, point)
            word = own
            while word in (*function.indices, *outputs, *(() if is_diagonal else inside)):
                word += "'"
            inside += [word] if word and word not in inside else []
            dims = tuple(word if d == own else d for d in point.dims)
            values.append(Named(dims, point.array))
        node = given.get("weights") or _default("Normal(0, 1)")
        places = (*function.indices, *outputs, *inside)
        total = self._argument(name, "Multilinear", "weights", node, "", places)
        for dim, at in function.at.items():
            total = total.gathered(dim, at) if dim in total.dims else total
        for value in values:
            total = elementwise(np.multiply, total, value)
        total = reduced(np.sum, total, tuple(inside)) if inside else total
        return dataclasses.replace(total, coordinates=outputs)

    def _prior_argument(self, function: str, name: str) -> syntax.Argument | None:
        prior = self.tildes[function].prior
        assert isinstance(prior, syntax.Call)
        return _by_name(prior, {"kernel": None, "mean": 0.0, "outputs": None}).get(name)

    def _outputs(self, name: str) -> np.ndarray | None:
        """The covariance between the outputs of a function to Real^k."""
        output = self.name(name).outputs
        if output is None:
            return None
        size = self.size(output)
        node = self._prior_argument(name, "outputs")
        if node is None:
            return np.eye(size)
        if self._is_kernel(node.value):
            space: Space = ("Label", output)
            kernel = self._covariance(node.value, name, space, None)
            codes = range(size)
            return np.array(
                [[kernel(((i,),), ((j,),), {}, kernels.Floats) for j in codes] for i in codes]
            )
        value = self.number(node.value)
        return value.ordered((output, output + "'"), self._sizes_of((output, output + "'")))

    # --- kernels ---

    def _kernel(self, name: str) -> Covariance:
        key = f"{name} kernel"
        if key not in self.memo:
            node = self._prior_argument(name, "kernel")
            function = self.name(name)
            assert node is not None
            domain = function.domain
            if domain is None:
                used = (p for f, p, _ in self.applications.values() if f.name == name)
                domain = domain_of(next(used))
            self.memo[key] = self._covariance(node.value, name, domain, None)
        found: Covariance = self.memo[key]
        return found

    def _usual(self, part: str, name: str, function: str, chosen: list[int]) -> syntax.Expression:
        """The default prior of a hyperparameter: about the inputs and the outcome that it meets."""
        uses = [(t, p) for t, (f, p, _) in self.applications.items() if f.name == function]
        inputs: list[Named] | None = None
        for text, points in uses:
            others = set(re.findall(r"[A-Za-z_]\w*", text)) - {function}
            if not others & set(self.tildes):
                inputs = [points[i] for i in chosen]
                break
        outcome = None
        for tilde in self.observed:
            named = tilde.target.name
            if named in self.data_targets and function in self._applied(tilde.prior):
                is_label = self.space(self.data_targets[named][1])[0] == "Label"
                outcome = None if is_label else self.raw[named]
                break
        return defaults.law(part, name, inputs, outcome)

    def _applied(self, node: Any) -> set[str]:
        """The functions whose values an expression adds up: not those inside another one, whose
        scale is no outcome's, but those that a linear or multilinear map multiplies."""
        if isinstance(node, tuple):
            return {name for part in node for name in self._applied(part)}
        if isinstance(node, syntax.Name) and node.id in self.defines:
            return self._applied(self.defines[node.id].value)
        if not isinstance(node, syntax.Node):
            return set()
        found: set[str] = set()
        if isinstance(node, syntax.Call):
            known = _words(node.function, self.defines) & self.tildes.keys()
            found = {name for name in known if self._is_function(self.tildes[name])}
            words = {_word(self.tildes[name].prior) for name in found}
            if found and not words & {"Multilinear", "Linear"}:
                return found
        return found | self._applied(tuple(getattr(node, f.name) for f in dataclasses.fields(node)))

    def _is_kernel(self, node: syntax.Expression) -> bool:
        match node:
            case syntax.Call(syntax.Name(word)):
                if word in self.defs:
                    return self._is_kernel(self.defs[word].value)
                return word in kernels.ARGUMENTS
            case syntax.Name(word):
                return word in self.defines and self._is_kernel(self.defines[word].value)
            case syntax.Lookup(base):
                return self._is_kernel(base)
            case syntax.Binary(_, left, right):
                return self._is_kernel(left) or self._is_kernel(right)
        return False

    def _covariance(
        self, node: syntax.Expression, owner: str, domain: Space, view: tuple[str, ...] | None
    ) -> Covariance:
        match node:
            case syntax.Name(word):
                return self._covariance(self.defines[word].value, word, domain, view)
            case syntax.Call(syntax.Name(word), arguments) if word in self.defs:
                return self._covariance(self.expanded(word, arguments), owner, domain, view)
            case syntax.Lookup(base, items):
                return self._covariance(base, owner, domain, tuple(text_of(i) for i in items))
            case syntax.Binary("^", base, power):
                inner = self._covariance(base, owner, domain, view)
                exponent = int(self.number(power).array)
                return lambda x, z, at, m: inner(x, z, at, m) ** exponent
            case syntax.Binary(operator, left, right):
                parts = []
                for side in (left, right):
                    if self._is_kernel(side):
                        # Of scales that multiply one another only the first may be left out.
                        again = operator == "*" and side is right and self._is_kernel(left)
                        before = self.is_later_factor
                        self.is_later_factor = again or before
                        parts.append(self._covariance(side, owner, domain, view))
                        self.is_later_factor = before
                    else:
                        parts.append(_constant(self.number(side)))
                first, second = parts
                join = BINARY[operator]
                if operator == "+":
                    return lambda x, z, at, m: first(x, z, at, m) + second(x, z, at, m)
                assert join is np.multiply
                return lambda x, z, at, m: first(x, z, at, m) * second(x, z, at, m)
            case syntax.Call(syntax.Name(word)):
                return self._leaf(node, word, owner, domain, view)
        raise NotImplementedError(f"no kernel {text_of(node)}")

    def _leaf(
        self,
        node: syntax.Call,
        word: str,
        owner: str,
        domain: Space,
        view: tuple[str, ...] | None,
    ) -> Covariance:
        factors = factors_of(domain)
        chosen = [i for i, (n, _) in enumerate(factors) if view is None or n in view]
        parameters: dict[str, Named] = {}
        known = kernels.ARGUMENTS[word]
        given = _by_name(node, known)
        for name, default in known.items():
            whole = self._full_name(owner, word, name)
            own_dims = None
            if word == "Coregion":
                (_, label) = factors[chosen[0]][1]
                rank = text_of(given["rank"].value) if "rank" in given else "1"
                own_dims = {"weights": (label, rank), "kappa": (label,)}.get(name)
            if name in given:
                space = "" if name in ("weights", "centre", "start") else "Positive"
                value = self._argument(owner, word, name, given[name], space, own_dims)
            elif name == "scale" and self.is_later_factor:
                value = scalar(1.0)
            elif whole in self.values:
                law = self._usual(word, name, owner, chosen)
                own = () if own_dims is None else own_dims
                space = "Real" if name == "weights" else "Positive"
                value = self._unknown(whole, own, (space,), law, whole)
            elif default is None and name != "scale":
                raise KeyError(f"{whole} needs a value")
            else:
                value = scalar(1.0 if default is None else default)
            if BASIS in value.dims:
                raise ValueError(f"{whole} is in a kernel and must be given")
            parameters[name] = value

        space = factors[chosen[0]][1] if len(chosen) == 1 else ("",)

        def covariance(x: Any, z: Any, at: dict[str, int], m: Any) -> Any:
            number = float if word == "Coregion" else m.number
            local = {n: _local(p, at, number) for n, p in parameters.items()}
            left = [v for i in chosen for v in x[i]]
            right = [v for i in chosen for v in z[i]]
            if space[0] == "Circle" and word not in ("White", "Constant"):
                period = curved.period_of(space)
                return curved.around_circle(word, left[0] - right[0], period, local, m)
            if space[0] == "Sphere" and word not in ("White", "Constant"):
                return curved.on_sphere(word, left, right, local)
            result = kernels.covariance(word, left, right, local, m)
            return m.number(result) if word == "Coregion" else result

        return covariance


def _word(node: Any) -> str:
    """The word that an expression calls."""
    is_call = isinstance(node, syntax.Call) and isinstance(node.function, syntax.Name)
    return node.function.id if is_call else ""


def _words(node: Any, defines: Mapping[str, syntax.Define]) -> set[str]:
    """The names in an expression, definitions followed."""
    found: set[str] = set()
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, tuple):
            waiting += part
        elif isinstance(part, syntax.Node):
            waiting += [getattr(part, f.name) for f in dataclasses.fields(part)]
        if isinstance(part, syntax.Name) and part.id not in found:
            found.add(part.id)
            waiting += [defines[part.id].value] if part.id in defines else []
    return found


_POSITIVE = ("scale", "rate", "concentration", "df", "concentration1", "concentration0")


def _by_name(call: syntax.Call, known: Mapping[str, Any]) -> dict[str, syntax.Argument]:
    """Arguments by name; positional ones take the names of `known` in order."""
    names = list(known)
    found = {}
    for position, argument in enumerate(call.arguments):
        found[argument.name or names[position]] = argument
    return found


def _default(text: str) -> syntax.Argument:
    declaration = parse(f"q ~ Normal(0, weights ~ {text})").declarations[0]
    return declaration.prior.arguments[1]  # type: ignore[attr-defined]


def _key(function: Function, points: list[Named]) -> tuple[Any, ...]:
    places = tuple((p.dims, p.array.tobytes()) for p in points)
    at = tuple((d, v.dims, v.array.tobytes()) for d, v in sorted(function.at.items()))
    return (function.name, function.operators, places, at)


def _constant(value: Named) -> Covariance:
    return lambda x, z, at, m: _local(value, at, m.number)


def _local(value: Named, at: dict[str, int], number: Any) -> Any:
    """A parameter at the labels of a function: a number, a list over coordinates, or a table."""
    place = tuple(at[d] if d in at else slice(None) for d in value.dims)
    array = np.asarray(value.array[place])
    if array.ndim == 0:
        return number(float(array))
    return [number(float(v)) for v in array] if array.ndim == 1 else array


def _bounds(space: Space) -> tuple[Any, Any]:
    match space[0]:
        case "Positive":
            return 0.0, None
        case "Unit":
            return 0.0, 1.0
    return None, None


def _label_log_probability(word: str, a: dict[str, np.ndarray], y: np.ndarray) -> np.ndarray:
    if word == "Categorical":
        scores = a["logits"] if "logits" in a else np.log(a["probs"])
        total = np.log(np.sum(np.exp(scores), axis=-1))
        return np.take_along_axis(scores, y[:, None], axis=-1)[:, 0] - total
    cuts = a["cutpoints"]
    edges = 1 / (1 + np.exp(-(cuts - a["predictor"][:, None])))
    zero, one = np.zeros((len(y), 1)), np.ones((len(y), 1))
    edges = np.concatenate([zero, edges, one], axis=1)
    pick = np.arange(len(y))
    return np.log(edges[pick, y + 1] - edges[pick, y])
