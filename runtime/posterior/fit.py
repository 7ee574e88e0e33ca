"""A posterior turned into what is asked of it: summaries, predictions, pictures, a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.dsl.span import Span
from mercer.dsl.suggest import nearest
from mercer.runtime.data.newlabels import component_keys, rows_between, shows
from mercer.runtime.inner import facts_of
from mercer.runtime.methods.checkpoint import Checkpoint
from mercer.runtime.methods.density import Arguments, arguments_of, keeps
from mercer.runtime.methods.draws import Draws
from mercer.runtime.posterior import groups
from mercer.runtime.posterior.blocks import Block, blocks_of, cut
from mercer.runtime.posterior.conditional import conditional, known_of
from mercer.runtime.posterior.containers import group_names, summary_of
from mercer.runtime.posterior.groups import kept_values, rows_of
from mercer.runtime.posterior.manyrows import draws_at_once, joined, rows_at_once, taken_apart
from mercer.runtime.posterior.predict import Prediction, predict, prediction_of
from mercer.runtime.posterior.statistics import SHARES, STATISTICS, is_of_outcomes
from mercer.runtime.through import at_means

if TYPE_CHECKING:
    from matplotlib.figure import Figure


Bind = Callable[..., Any]
"""`bind(new, fitted)` binds new data for predictions; a third argument names the inputs that must
be there, the others being unused."""

_FEW = 20
"""Values along rows that a summary shows without being asked."""

_STEP = 1_000_003
"""Between the seeds of two blocks of a prediction: beyond what else a fit draws by."""


@dataclass(frozen=True, eq=False)
class Fit:
    """A model fitted to data.

    `idata`: ArviZ's groups. `diagnostics`: sentences on how far to trust them. `settings`: method,
    seed, chains, warmup, draws. `learned`: arguments of the program that the fit found beside the
    draws. `model_source`, `plan_text`: what was fitted, and how. `docs`: what the model says of a
    name, as a rule its unit; of itself under the name "". `spans`: where it declares the unknowns.
    `rowwise`: the indices of rows that can be predicted apart from one another.
    """

    idata: Any
    program: ModuleType
    bound: Any
    arguments: Arguments
    sampled: Draws
    settings: Mapping[str, Any]
    diagnostics: tuple[str, ...] = ()
    learned: Mapping[str, np.ndarray] = field(default_factory=dict)
    bind: Bind | None = None
    model_source: str = ""
    plan_text: str = ""
    docs: Mapping[str, str] = field(default_factory=dict)
    spans: Mapping[str, Span] = field(default_factory=dict)
    rowwise: frozenset[str] = frozenset()
    checkpoint: Checkpoint = field(default_factory=Checkpoint)

    def summary(self, names: list[str] | None = None) -> Any:
        """Mean, sd, 94 % interval, R-hat and effective draws of the unknowns, as a table.

        Left out, `names` are the unknowns but for the `many`: those ask for by name.
        """
        posterior = self.idata["posterior"]
        has_statistics = [n for n in names or () if n in self.statistics()]
        if has_statistics:
            raise ValueError(
                f"names: of {', '.join(has_statistics)} this fit has no draws, but statistics in "
                f"fit.idata['posterior{STATISTICS}']"
            )
        if names is None:
            many = self.many()
            names = [n for n in posterior.data_vars if n not in many and posterior[n].size]
        elif unknown := [n for n in names if n not in posterior.data_vars]:
            near = nearest(unknown[0], list(posterior.data_vars))
            mend = f"did you mean {near}?" if near else None
            problem = f"the posterior has no {unknown[0]}"
            raise MercerError([Diagnostic("M506", problem, mend=mend)])
        table = summary_of(self.idata, names)
        table.attrs["diagnostics"] = self.diagnostics
        return table

    def many(self) -> dict[str, int]:
        """What has a value at each row of the data, by name, with their number: functions at the
        data, definitions along their rows, imputed columns; and the weights of equivariant layers.
        """
        posterior = self.idata["posterior"].data_vars
        sizes = {str(n): int(np.prod(v.shape[2:])) for n, v in posterior.items()}

        def is_along_rows(name: str) -> bool:
            dims = {str(d).rstrip("'") for d in posterior[name].dims}
            return bool(dims & self.bound.numbered) and sizes[name] > _FEW

        return {
            name: size
            for name, size in sizes.items()
            if "(" in name or self.is_of_layer(name) or is_along_rows(name)
        }

    def is_of_layer(self, name: str) -> bool:
        """Whether a name is one of the weights of an equivariant layer."""
        return name.rpartition(".")[0].split(".")[0] in getattr(self.program, "LAYERS", ())

    def predict(self, new: Any = None) -> Prediction:
        """The outcomes at new rows; at the data of the fit where `new` is left out."""
        return self._predict(self.bound_to(new), (), outcomes=True)

    def tables(self, new: Any = None) -> Iterator[Any]:
        """`predict(new).table()` in parts of some of its rows, one after another, for a file."""
        bound = self.bound_to(new)
        apart, size = self._blocks(bound, (), outcomes=True)
        dims = [self.program.DIMS.get(name, ()) for name in self.outcomes()]
        if size is None or any(own[:1] != tuple(apart) for own in dims):
            yield self._predict(bound, (), outcomes=True).table()
            return
        fit, size = self._for_blocks(bound, (), apart, size, outcomes=True)
        for block in blocks_of(bound, apart, size):
            yield fit._predict_at(block.bound, (), outcomes=True, of=block.number).table()

    def component(self, name: str, new: Any = None) -> Prediction:
        """The values of one function or effect of the model, at new inputs or at the data.

        Of new inputs, only those are needed that the function or effect has.
        """
        known = self.components()
        if name not in known:
            near = nearest(name, known)
            mend = f"did you mean {near}?" if near else f"there are {', '.join(known)}"
            problem = f"the model has no function {name} that could be shown"
            raise MercerError([Diagnostic("M506", problem, mend=mend)])
        return self._predict(self.bound_to(new, self._inputs(name)), (name,), outcomes=False)

    def plot(self, folder: str | Path | None = None) -> dict[str, Figure]:
        """Figures by name; written as PNG files where a folder is given."""
        from mercer.runtime.pictures import plot_fit

        return plot_fit(self, folder)

    def save(self, path: str | Path) -> Path:
        """All of the fit in one NetCDF file, which `mercer.open` reads; its checkpoint goes.

        Raises MercerError M504 where the file cannot be written: a checkpoint then stays, and says
        how to go on.
        """
        from mercer.runtime.posterior.archive import save_fit

        try:
            saved = save_fit(self, path)
        except MercerError as error:
            is_whole, path_left = self.checkpoint.write(), self.checkpoint.path
            if path_left is None or not path_left.exists():
                raise
            (told,) = error.diagnostics
            held = "all that was computed" if is_whole else "the fit, but for its last part,"
            mend = f"{told.mend or 'make room'}; {held} is in {path_left}: `resume` goes on there"
            raise MercerError([replace(told, mend=mend)]) from error
        self.checkpoint.discard()
        return saved

    def __repr__(self) -> str:
        count = f"{self.settings['chains']} × {self.settings['draws']} draws"
        return f"<mercer.Fit by {self.settings['method']}, {count}: {self.diagnostics[0]}>"

    def _repr_html_(self) -> str:
        """Diagnostics and summary, as a notebook shows them."""
        from mercer.dsl.html import sentences, table

        rows = self.summary()
        shown = [c for c in ("mean", "sd", "hdi_3%", "hdi_97%", "ess_bulk", "r_hat") if c in rows]
        cells = ((label, *(float(row[c]) for c in shown)) for label, row in rows.iterrows())
        return sentences(self.diagnostics) + table(("", *shown), cells)

    # --- for the parts that show a fit ---

    def statistics(self, group: str = "posterior") -> Mapping[str, Any]:
        """What has statistics at each row instead of draws, by name: [statistic, ...]."""
        name = f"{group}{STATISTICS}"
        return self.idata[name].data_vars if name in group_names(self.idata) else {}

    def components(self) -> list[str]:
        """The functions and Gaussian unknowns that `component` can show."""
        sites, quantities = self._shown
        processes = [site.process for site in sites.values()]
        # The weights that a function on a shape is a sum of are no values of it.
        own = [k for k in quantities if k not in sites or shows(sites[k], sites[k].process)]
        named = [k for k in quantities if k in processes]
        layers = [f.owner for f in facts_of(self.program).values() if len(f.law) == 2]
        return list(dict.fromkeys([*layers, *processes, *named, *own]))

    def everything(self) -> Prediction:
        """Outcomes and components at the data of the fit, in one pass over the draws.

        Where the draws were too many to keep, by the Normals of their mean and sd.
        """
        if any(name.endswith((STATISTICS, SHARES)) for name in group_names(self.idata)):
            return prediction_of(self.idata, self.bound, dict(self.program.DIMS))
        return self._predict(self.bound, tuple(self.components()), outcomes=True)

    def at_some(self, rows: Mapping[str, np.ndarray]) -> Prediction:
        """Outcomes and components at some rows of the data of the fit: `rows[index]` of each.

        With all draws, as `at`: of a fit that is thinned, as a rule.
        """
        bound = cut(self.bound, rows) if rows else self.bound
        return self._predict_at(bound, tuple(self.components()), outcomes=True)

    def at(self, keys: Iterable[str], new: Any = None) -> Prediction:
        """Outcomes and quantities by their full names (`f(x)`), at rows that hold what they need.

        What the other outcomes need is not asked for, and their values mean nothing.
        """
        keys, outcomes = list(keys), self.outcomes()
        has_inputs = hasattr(self.program, "INPUTS")
        wanted = {name for key in keys for name in self.needed_by(key)} if has_inputs else None
        bound = self.bound_to(new, wanted)
        parts = tuple(key for key in keys if key not in outcomes)
        return self._predict_at(bound, parts, outcomes=len(parts) < len(keys))

    def needed_by(self, key: str) -> tuple[str, ...]:
        """The data that an outcome or quantity needs at new rows; all, if the program is silent."""
        needed: Mapping[str, tuple[str, ...]] | None = getattr(self.program, "INPUTS", None)
        if needed is not None:
            return needed.get(key, ())
        return tuple(need.name for need in self.bound.needs.data if not need.is_outcome)

    def thinned(self, most: int) -> Fit:
        """The same fit with at most about `most` of its draws, evenly spaced: enough for an eye."""
        step = max(self.sampled.chains * self.sampled.draws // max(most, 1), 1)
        values = {name: v[:, ::step] for name, v in self.sampled.values.items()}
        count = len(range(0, self.sampled.draws, step))
        return replace(self, sampled=replace(self.sampled, values=values, draws=count, stats={}))

    def sites(self) -> Mapping[str, Any]:
        """Where random functions are evaluated in the model, by name of the value: `f(x)`."""
        return self._shown[0]

    @cached_property
    def shapes(self) -> Mapping[str, Any]:
        """The manifolds, meshes and graphs of the model, by name, as they were found: their graph,
        `frames`, `masses`, and the waves of `numbers` and `tangents` with their frequencies."""
        made = getattr(self.program, "shapes", None)
        return {} if made is None else dict(made(**self.arguments.all()))

    @cached_property
    def laws(self) -> Mapping[str, Any]:
        """The law of each outcome at the data, for one draw: of which kind it is."""
        draw = {name: values[0] for name, values in self.draws().items()}
        known = known_of(self.program, self.arguments.all(), draw)
        return conditional(self.program, at_means(self.program, known), draw).laws

    def arguments_at(self, bound: Any) -> Arguments:
        """What the program is given at other data; what is taken once stays as it was."""
        if bound is self.bound:
            return self.arguments
        every = {**self.arguments.arrays, **self.arguments.static}
        return arguments_of(self.program, bound, summaries=_summaries(self, every))

    def argument(self, name: str) -> Any:
        """What the program was given of one name of the model, or computed from data for it."""
        words = {n: w for w, n in self.program.NAMES.items()}
        return self.arguments.all().get(words.get(name, name))

    def shape_of(self, outcome: str) -> tuple[int, ...]:
        """The shape of an outcome at the data, of whatever the fit keeps of it."""
        for name in group_names(self.idata):
            if is_of_outcomes(name) and outcome in self.idata[name].data_vars:
                shape = tuple(self.idata[name][outcome].shape)
                if name.endswith(SHARES):
                    return shape[:-1]
                return shape[1:] if name.endswith(STATISTICS) else shape[2:]
        if outcome not in self.outcomes():
            raise ValueError(f"outcome: {', '.join(self.outcomes())} are there, got {outcome!r}")
        return tuple(self.bound.sizes[dim.rstrip("'")] for dim in self.program.DIMS[outcome])

    def outcomes(self) -> set[str]:
        """The outcomes of the model."""
        groups = [name for name in group_names(self.idata) if is_of_outcomes(name)]
        kept = {str(name) for group in groups for name in self.idata[group].data_vars}
        return kept if self.keeps_rows else set(keeps(self.program))

    @property
    def keeps_rows(self) -> bool:
        """Whether the fit has values at its data; else they are predicted when they are wanted."""
        return any(is_of_outcomes(name) for name in group_names(self.idata))

    def draws(self) -> dict[str, np.ndarray]:
        """Draws of the sampled unknowns, chains one after another."""
        return kept_values(self.program, self.sampled)

    @cached_property
    def _shown(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Sites and quantities at the data, for one draw."""
        words = self.arguments.all() | {k: v[0] for k, v in self.draws().items()}
        by_word = {w: words.get(n, words.get(w)) for w, n in self.program.NAMES.items()}
        known = {**words, **{k: v for k, v in by_word.items() if v is not None}}
        known = at_means(self.program, known)
        return self.program.sites(**known), self.program.quantities(**known)

    def _inputs(self, name: str) -> set[str] | None:
        """The data that one function or effect needs at new rows; None: all."""
        needed: Mapping[str, tuple[str, ...]] | None = getattr(self.program, "INPUTS", None)
        if needed is None:
            return None
        layers = [k for k, facts in facts_of(self.program).items() if facts.owner == name]
        keys = [*layers, *component_keys(name, *self._shown)]
        return {n for key in keys for n in needed.get(key, ())}

    def bound_to(self, new: Any = None, wanted: set[str] | None = None) -> Any:
        """New data matched to the names and labels of the fit; what is so already stays as it is.

        Of the inputs, only those `wanted` must be there; None: all.
        """
        if new is None:
            return self.bound
        if isinstance(new, type(self.bound)):
            return new
        if self.bind is None:
            raise ValueError("new: this fit cannot take new data, it was made without `bind`")
        return self.bind(new, self.bound, *(() if wanted is None else (wanted,)))

    def _predict(self, bound: Any, parts: tuple[str, ...], *, outcomes: bool) -> Prediction:
        """In one piece, or in blocks of rows where its draws would take too much."""
        apart, size = self._blocks(bound, parts, outcomes=outcomes)
        if size is None:
            if self.program.INFERENCE.lane == "variational" and bound is self.bound:
                bound = cut(bound, {})  # the arguments of such a fit hold only some of its rows
            return self._predict_at(bound, parts, outcomes=outcomes)

        fit, size = self._for_blocks(bound, parts, apart, size, outcomes=outcomes)

        def passes() -> Iterator[tuple[Block, Prediction]]:
            for block in blocks_of(bound, apart, size):
                yield (
                    block,
                    fit._predict_at(block.bound, parts, outcomes=outcomes, of=block.number),
                )

        return joined(passes, bound, dict(self.program.DIMS))

    def _blocks(
        self, bound: Any, parts: tuple[str, ...], *, outcomes: bool
    ) -> tuple[list[str], int | None]:
        """The indices to go along in blocks, and the rows of a block; None: all at once."""
        apart = taken_apart(bound, self.program.DIMS, self.rowwise)
        keys = {key for part in parts for key in component_keys(part, *self._shown)}
        size = rows_at_once(
            self.program,
            bound,
            keys | (self.outcomes() if outcomes else set()),
            apart,
            draws=self.sampled.chains * self.sampled.draws,
            fitted=rows_of(self.arguments),
            room=groups.KEPT_BYTES,
        )
        return apart, size

    def _for_blocks(
        self, bound: Any, parts: tuple[str, ...], apart: list[str], size: int, *, outcomes: bool
    ) -> tuple[Fit, int]:
        """The fit with the draws that blocks are made of, and the rows of a block with these."""
        count = self.sampled.chains * self.sampled.draws
        draws = draws_at_once(self.program, bound, apart, size, count)
        if draws == count:
            return self, size
        fit = self.thinned(draws)
        own = fit._blocks(bound, parts, outcomes=outcomes)[1]
        return fit, max(bound.sizes[d] for d in apart) if own is None else own

    def _predict_at(
        self, bound: Any, parts: tuple[str, ...], *, outcomes: bool, of: int = 0
    ) -> Prediction:
        """Prediction number `of`, whose draws are independent of those of the others."""
        return predict(
            self.program,
            self.arguments,
            self.arguments_at(bound),
            self.draws(),
            rows_between(self.bound, bound, self.spans),
            shape=(self.sampled.chains, self.sampled.draws),
            seed=int(self.settings["seed"]) + _STEP * of,
            bound=bound,
            parts=parts,
            outcomes=outcomes,
        )


def _summaries(fit: Fit, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What was taken once from the data of the fit, and is kept at new rows."""
    word = {name: w for w, name in fit.program.NAMES.items()}
    data = {word.get(n, n) for n in fit.bound.arrays}
    data |= {*getattr(fit.program, "INDICES", ()), *getattr(fit.program, "LABELS", ())}
    prepared = {*data, *keeps(fit.program).values(), *getattr(fit.program, "PREPARED", ())}
    named = {word.get(n.name, n.name) for n in fit.bound.needs.data}
    return {k: v for k, v in arguments.items() if k not in prepared | named}
