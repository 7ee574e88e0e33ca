"""The text of a model turned into a `Model`: what can be checked, explained, simulated, fitted."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from mercer.compiler.check import compile_front
from mercer.compiler.typed import TypedModel
from mercer.dsl import syntax
from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.dsl.parse import parse, parse_partial

if TYPE_CHECKING:
    from mercer.compiler.choice import Choice
    from mercer.compiler.plan import Plan
    from mercer.compiler.structure import Structure
    from mercer.runtime.data.bind import Bound
    from mercer.runtime.posterior.fit import Fit
    from mercer.runtime.recovery.calibration import Calibration

Stage = Literal["syntax", "types", "graph", "plan", "numpyro", "jaxpr"]
STAGES: tuple[Stage, ...] = ("syntax", "types", "graph", "plan", "numpyro", "jaxpr")
METHODS = ("auto", "nuts", "map", "svi", "messages")


class Model:
    """A model that is well typed. Made by `mercer.compile` and `mercer.load`.

    `text` and `name` are as they were given; `typed` is the typed model.
    """

    def __init__(self, text: str, name: str, folder: Path | None) -> None:
        self.text = text
        self.name = name
        self._folder = folder
        self.typed: TypedModel = compile_front(text, name, folder)

    @classmethod
    def from_text(cls, text: str, name: str = "<model>") -> Model:
        """The model of a text that lies beside no file, so that it cannot `use` one."""
        if not isinstance(text, str):
            raise ValueError(f"text: a string is wanted, got {type(text).__name__}")
        return cls(text, name, None)

    @classmethod
    def from_file(cls, path: str | Path) -> Model:
        """The model in the file `path`. Raises MercerError M501 to M503 where it cannot be read."""
        path = Path(path)
        return cls(read_model_text(path), str(path), path.parent)

    @classmethod
    def from_sources(cls, name: str, sources: Mapping[str, str]) -> Model:
        """The model `name` out of the texts that it was made of, by name, files used included."""
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            for used, text in sources.items():
                inside = PurePosixPath(used)
                if used != name and not inside.is_absolute() and ".." not in inside.parts:
                    (folder / inside).parent.mkdir(parents=True, exist_ok=True)
                    (folder / inside).write_text(text, encoding="utf-8")
            return cls(sources[name], name, folder)

    def asking(self, infer: str) -> Model:
        """This model with the line `infer ...`, in place of what it says of the same itself.

        Raises MercerError where the line is not right.
        """
        if not isinstance(infer, str) or not infer.strip() or "\n" in infer.strip():
            wanted = ", ".join(METHODS)
            raise ValueError(f"infer: one of {wanted}, or METHOD(...) is wanted, got {infer!r}")
        line = f"infer {infer.strip()}\n"
        asked = parse_partial(line)[0].declarations
        names = {one.name for one in asked if isinstance(one, syntax.Infer)}
        text = _without_infer(self.text, self.name, names).rstrip()
        return Model(f"{text}\n\n{line}", self.name, self._folder)

    def __repr__(self) -> str:
        parts = [f"{len(self.typed.data)} data", f"{len(self.typed.unknowns)} unknowns"]
        if self.typed.functions:
            parts.append(f"{len(self.typed.functions)} functions")
        return f"<mercer.Model {self.name}: {', '.join(parts)}>"

    def _repr_html_(self) -> str:
        """The model as a notebook shows it."""
        from mercer.dsl.html import highlighted

        return highlighted(self.text)

    # --- what is chosen among numbers ---

    @cached_property
    def choice(self) -> Choice | None:
        """What a fit chooses by what is held out: `nu` among several numbers; None: nothing."""
        from mercer.compiler.choice import choice_of

        return choice_of(self.typed, self.name)

    def at(self, number: float) -> Model:
        """This model with one of the numbers that its `choice` is among."""
        if self.choice is None or number not in self.choice.numbers:
            raise ValueError(f"number: one that the model chooses among is wanted, got {number!r}")
        return Model(self.choice.text_with(number, self.text), self.name, self._folder)

    @cached_property
    def _settled(self) -> Model:
        """The model whose plan is shown before anything is chosen; itself, as a rule."""
        return self if self.choice is None else self.at(self.choice.usual)

    # --- the stages ---

    @cached_property
    def structure(self) -> Structure:
        """Which unknowns are Gaussian and linear, and the sum of terms of each outcome."""
        from mercer.compiler.structure import analyse

        return analyse(self._settled.typed)

    def plan(self, sizes: Mapping[str, int] | None = None, infer: str = "auto") -> Plan:
        """What is integrated out, sampled or optimised, for data of these sizes.

        Raises MercerError M3xx where a part of the model has no engine yet.
        """
        from mercer.compiler.plan import plan

        if infer not in METHODS:
            return self.asking(infer).plan(sizes)
        found = replace(plan(self.structure, sizes, method=infer), asked=infer)
        if self.choice is None:
            return found
        from mercer.compiler.deep import held_share

        if sizes is None:  # what one of them cannot do is told before data are read
            for number in self.choice.numbers:
                self.at(number).plan(infer=infer)
        told = self.choice.sentence(held_share(self.structure, found.method))
        return replace(found, sentences=(told, *found.sentences))

    def plan_of_simulation(self, sizes: Mapping[str, int]) -> Plan:
        """The plan of what is drawn from: exact, whatever a fit approximates."""
        from mercer.compiler.plan import plan_of_simulation

        return plan_of_simulation(self.structure, sizes)

    @property
    def source(self) -> str:
        """The NumPyro program, as `mercer compile` writes it."""
        return self.source_of(self.plan())

    def source_of(self, plan: Plan) -> str:
        """The program of one plan."""
        from mercer.compiler.emit import emit

        return emit(plan)

    def show(self, stage: Stage, data: Any = None) -> str:
        """One stage of the compiler as text; `jaxpr` takes the shapes of `data`, or small ones."""
        if stage == "syntax":
            from mercer.dsl.show import show_syntax

            return show_syntax(parse(self.text, self.name))
        if stage == "types":
            from mercer.compiler.show import show_types

            return show_types(self.typed)
        if stage == "graph":
            from mercer.graph import show_graph

            return show_graph(self.typed)
        if stage == "plan":
            return self.explain(data)
        if stage == "numpyro":
            return self.source if data is None else self.source_of(self.plan(self.bind(data).sizes))
        if stage == "jaxpr":
            from mercer.trace import show_jaxpr

            return show_jaxpr(self, data)
        raise ValueError(f"stage: one of {', '.join(STAGES)} is wanted, got {stage!r}")

    def explain(self, data: Any = None, *, infer: str = "auto", columns: Any = None) -> str:
        """The plan in sentences, one a line; with sizes and costs where there are data."""
        if data is None:
            return "\n".join(self.plan(infer=infer).sentences)
        from mercer.compiler.grids import is_count

        bound = self.bind(data, columns=columns)
        named = {dim: size for dim, size in bound.sizes.items() if not is_count(dim)}
        sizes = ", ".join(f"{dim} = {size}" for dim, size in named.items())
        lines = [bound.describe(), ""]
        for said in bound.warnings:
            lines += [said.render(bound.needs.sources), ""]
        plan = self.plan(bound.sizes, infer)
        from mercer.devices import devices_sentence

        told = devices_sentence(plan)
        shown = plan.sentences if told is None else (*plan.sentences, told)
        lines += [f"Sizes: {sizes}." if sizes else "No index.", "", *shown]
        if any(unknown.is_default for unknown in self.typed.unknowns.values()):
            from mercer.defaults import show_defaults

            lines += ["", show_defaults(self.typed, self.program(plan), bound)]
        return "\n".join(lines)

    # --- data ---

    def bind(
        self,
        data: Any,
        *,
        columns: Mapping[str, Sequence[str] | str] | None = None,
        require_outcomes: bool = True,
    ) -> Bound:
        """The arrays of `data` (paths, a dict, a DataFrame, ...) that the model asks for.

        What it gave is taken as it is. Raises MercerError M4xx with every mistake in the data.
        """
        from mercer.needs import needs_of
        from mercer.runtime.data.bind import Bound, bind
        from mercer.runtime.data.tables import read

        if isinstance(data, Bound):
            return data
        needs = needs_of(self.typed)
        tables = read(data, columns=columns)
        bound = bind(needs, tables, require_outcomes=require_outcomes)
        from mercer.gridded import with_grid

        return with_grid(self, bound)

    def program(self, plan: Plan | None = None) -> ModuleType:
        """The emitted program as a module."""
        from mercer.program import program_of

        return program_of(self.source_of(plan or self.plan()), self.name)

    # --- inference ---

    def fit(
        self,
        data: Any,
        infer: str = "auto",
        *,
        seed: int = 0,
        chains: int | None = None,
        warmup: int | None = None,
        draws: int | None = None,
        columns: Mapping[str, Sequence[str] | str] | None = None,
        progress: bool | None = None,
        checkpoint: str | Path | None = None,
        resume: bool = False,
    ) -> Fit:
        """The posterior given `data`.

        `infer` is "auto" (the plan chooses), "nuts", "map", "svi", "messages", or what stands after
        `infer` in a model: "NUTS(target = 0.95)", "f by Whitened()". NUTS runs `chains` chains of
        `warmup` + `draws` steps; the others give `chains * draws` draws. Left out, they are what
        the model's `infer` says, or else 4, 500 and 500. The same seed gives the same draws.
        `progress` True tells how far it is, False does not; left out, a terminal is told, and a log
        once a minute is over. Raises MercerError: M3xx of the plan, M4xx of the data, M6xx of
        numerics.

        `checkpoint` names a file for the state of the fit, which is written every ten seconds and
        removed by `fit.save`. With `resume` the fit goes on from there, whatever ended it before,
        and gives the same result bit for bit; a file of another fit is M511.
        """
        for name, value, least in (
            ("chains", chains, 1),
            ("warmup", warmup, 0),
            ("draws", draws, 1),
            ("seed", seed, 0),
        ):
            if value is None and name != "seed":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{name}: a whole number >= {least} is wanted, got {value!r}")
        if resume and checkpoint is None:
            raise ValueError("resume: a `checkpoint` to go on from is wanted, got none")
        if infer not in METHODS:
            asking, infer = self.asking(infer), "auto"
            return asking.fit(
                data, seed=seed, chains=chains, warmup=warmup, draws=draws, columns=columns,
                progress=progress, checkpoint=checkpoint, resume=resume,
            )  # fmt: skip
        from mercer.contradictions import check_contradictions
        from mercer.runtime.hosts import hosts

        # Refuses what has no engine before any data are read.
        self.check_together(self.plan(infer=infer), hosts().count, chains)
        self._refuse_nothing_unknown()
        bound = self.bind(data, columns=columns)
        check_contradictions(self.typed, bound)
        plan = self.plan(bound.sizes, infer)
        self.check_together(plan, hosts().count, chains)
        if self.choice is not None:
            from mercer.choosing import fit_chosen

            return fit_chosen(
                self, plan, bound, infer, seed=seed, chains=chains, warmup=warmup, draws=draws,
                progress=progress, checkpoint=checkpoint, resume=resume,
            )  # fmt: skip
        from mercer.inference import fit_program

        return fit_program(
            self,
            plan,
            bound,
            seed=seed,
            chains=chains,
            warmup=warmup,
            draws=draws,
            progress=progress,
            checkpoint=checkpoint,
            resume=resume,
        )

    def check_together(self, plan: Plan, processes: int, chains: int | None = None) -> None:
        """Raises MercerError M314 where several processes of a fit would have nothing to share."""
        from mercer.compiler.together import check_together

        if processes > 1:
            check_together(plan, processes, chains, is_chosen=self.choice is not None)

    def _refuse_nothing_unknown(self) -> None:
        if self.typed.unknowns or self.typed.functions:
            return
        spans = [o.span for o in self.typed.observations.values()]
        raise MercerError(
            [
                Diagnostic(
                    "M309",
                    "nothing in this model is unknown, so that there is nothing to fit",
                    spans[0] if spans else None,
                    mend="declare what is to be learnt: `b ~ Normal(0, 1)`",
                )
            ],
            self.typed.sources,
        )

    def simulate(self, data: Any = None, *, seed: int = 0, columns: Any = None) -> Any:
        """An xarray Dataset: one draw from the prior of the unknowns, and of the outcomes.

        What the plan integrates out is there too, functions by their values at the inputs (`f(x)`).
        `data` are the inputs; outcomes among them are not used.
        """
        from mercer.simulable import check_simulable

        self.plan()
        check_simulable(self.typed)
        bound = self.bind({} if data is None else data, columns=columns, require_outcomes=False)
        from mercer.inference import simulate_program

        return simulate_program(self, self.plan_of_simulation(bound.sizes), bound, seed=seed)

    def recover(self, data: Any = None, **options: Any) -> Calibration:
        """Whether fits find what simulations put in: simulation-based calibration.

        `simulations` (200) times unknowns and outcomes are drawn at the inputs of `data`, the
        outcomes are fitted by `infer`, and each unknown is ranked among `kept` (19) of the `draws`
        (380) of its posterior, of which `warmup` (300) steps went before. Of arrays, `entries` (3)
        are ranked. Outcomes in `data` say only which cells are missing, and how wide default priors
        are. `processes` (1) work side by side; with more, a script needs the usual
        `if __name__ == "__main__":`. `path` takes the result; a `*.nc` of the same calibration is
        gone on with. The result's `is_right` is the verdict, at the probability `false_alarm`
        (0.01) of failing a right model; `table()` and `plot()` show more. Same `seed`, same result.
        """
        from mercer.recover import recover

        return recover(self, data, **options)


def _without_infer(text: str, name: str, of: set[str | None]) -> str:
    """The text with its `infer` lines on the names `of` left blank, so that no line moves."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for declaration in parse(text, name).declarations:
        if isinstance(declaration, syntax.Infer) and declaration.name in of:
            first, last = declaration.span.line - 1, declaration.span.end_line - 1
            before = lines[first][: declaration.span.column - 1]
            after = lines[last][declaration.span.end_column - 1 :]
            lines[first : last + 1] = [before, *[""] * (last - first)]
            lines[last] += after
    return "\n".join(lines)


def open_fit(path: str | Path) -> Fit:
    """The fit in a file that `fit.save` wrote."""
    from mercer.inference import open_program_fit

    return open_program_fit(path)


def read_model_text(path: Path) -> str:
    """The text of a model file; raises MercerError M501 to M503 or M505."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise _unreadable("M501", f"there is no file {path}", mend=_nearest_file(path)) from None
    except IsADirectoryError:
        mend = "name a model file in it"
        raise _unreadable("M502", f"{path} is a folder", mend=mend) from None
    except UnicodeDecodeError:
        mend = "a model is a text file, in UTF-8"
        raise _unreadable("M505", f"{path} is not UTF-8 text", mend=mend) from None
    except OSError as error:
        why = error.strerror or str(error)
        raise _unreadable("M503", f"cannot read {path}", why=why) from None


def _nearest_file(path: Path) -> str | None:
    from mercer.dsl.suggest import nearest

    if not path.parent.is_dir():
        return None
    near = nearest(path.name, (p.name for p in path.parent.iterdir() if p.is_file()))
    return None if near is None else f"did you mean {path.parent / near}?"


def _unreadable(
    code: str, problem: str, *, why: str | None = None, mend: str | None = None
) -> MercerError:
    return MercerError([Diagnostic(code, problem, why=why, mend=mend)])
