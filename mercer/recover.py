"""A model and inputs turned into its calibration: simulate, fit, rank, many times side by side."""

from __future__ import annotations

import contextlib
import hashlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.model import METHODS, Model
from mercer.simulable import check_recoverable

if TYPE_CHECKING:
    from mercer.runtime.data.bind import Bound
    from mercer.runtime.recovery.calibration import Calibration
    from mercer.runtime.recovery.replicate import Replicate, Study

DRAWS, KEPT = 380, 19
"""Draws of each fit, and how many of them are ranked: NUTS forgets in 20, and 20 places for the
truth make bins of equal sizes."""
WARMUP = 300
_SAVED_EVERY = 10.0
"""Seconds between two versions of the file that an interrupted calibration leaves."""
_ONE_THREAD = {
    **{f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")},
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}


@dataclass(frozen=True, eq=False)
class Task:
    """What a process needs to make replicates: plain values, so that it can be sent to one."""

    model_text: str
    bound: Bound
    summaries: Mapping[str, Any]
    settings: Mapping[str, int]
    entries: int
    seed: int


def recover(
    model: Model,
    data: Any = None,
    *,
    simulations: int = 200,
    seed: int = 0,
    infer: str = "auto",
    draws: int = DRAWS,
    kept: int = KEPT,
    warmup: int = WARMUP,
    entries: int = 3,
    false_alarm: float = 0.01,
    processes: int = 1,
    columns: Any = None,
    progress: bool | None = None,
    path: str | Path | None = None,
) -> Calibration:
    """Simulation-based calibration of `model` at the inputs in `data` (Talts et al. 2018).

    See `Model.recover`. Raises MercerError M330 to M332 where the model cannot be simulated, and
    what `fit` raises before it fits; where one of the simulated data sets cannot be fitted, that is
    noted in the calibration.
    """
    counts = {"simulations": simulations, "draws": draws, "kept": kept, "entries": entries}
    for name, value, least in (
        *((name, value, 1) for name, value in counts.items()),
        ("processes", processes, 1),
        ("warmup", warmup, 0),
        ("seed", seed, 0),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name}: a whole number >= {least} is wanted, got {value!r}")
    if draws < kept:
        raise ValueError(f"draws: at least as many as `kept`, {kept}, are wanted, got {draws}")
    if not 0.0 < false_alarm < 1.0:
        raise ValueError(f"false_alarm: a number between 0 and 1 is wanted, got {false_alarm!r}")
    if infer not in METHODS:
        model, infer = model.asking(infer), "auto"
    check_recoverable(model.typed)
    if model.choice is not None:
        problem = "a calibration takes one number for `nu`, and this model chooses among several"
        span = model.choice.spans[0]
        raise MercerError(
            [Diagnostic("M331", problem, span, mend="write `nu = 10`")], model.typed.sources
        )
    model.plan(infer=infer)
    bound = model.bind({} if data is None else data, columns=columns, require_outcomes=False)
    plan = model.plan(bound.sizes, infer)
    if infer == "auto" and not plan.structure.links:  # the processes must not choose again
        infer = plan.method
    from mercer.inference import text_of
    from mercer.runtime.methods.density import summaries_of
    from mercer.runtime.progress import watched

    task = Task(
        model_text=f"{infer}\n{text_of(model)}",
        bound=bound,
        summaries=summaries_of(model.program(plan), bound),
        settings={"draws": draws, "warmup": warmup, "kept": kept},
        entries=entries,
        seed=seed,
    )
    study = _Study(task, simulations, false_alarm, None if path is None else Path(path))

    def compute(report: Any) -> Calibration:
        with _finished(task, study.missing, processes) as done:
            for number, outcome in done:
                study.add(number, outcome)
                report(study.trouble, study.share)
        return study.calibration()

    text = f"calibrating by {simulations} simulations, each fitted by {infer}"
    found = watched(text, compute, progress=progress)
    if path is not None:
        found.save(path)
    return found


class _Study:
    """The replicates so far, kept in a file as they come if it is one that can be read again."""

    def __init__(self, task: Task, count: int, false_alarm: float, path: Path | None) -> None:
        self.false_alarm, self.key = false_alarm, key_of(task)
        self.path = path if path is not None and path.suffix.lower() == ".nc" else None
        self.replicates: dict[int, Replicate] = {}
        self.unfitted: dict[int, str] = {}
        self.diverged = 0
        self.numbers = range(1, count + 1)
        self.saved = time.monotonic()
        if self.path is not None and self.path.exists():
            self._take_up(self.path)

    @property
    def missing(self) -> list[int]:
        return [n for n in self.numbers if n not in self.replicates and n not in self.unfitted]

    @property
    def share(self) -> float:
        return 1.0 - len(self.missing) / len(self.numbers)

    @property
    def trouble(self) -> str:
        return f"{len(self.unfitted)} could not be fitted" if self.unfitted else ""

    def add(self, number: int, outcome: Replicate | str) -> None:
        if isinstance(outcome, str):
            self.unfitted[number] = outcome
        else:
            self.replicates[number] = outcome
            self.diverged += outcome.diverged
        if self.path is not None and time.monotonic() > self.saved + _SAVED_EVERY:
            self.calibration().save(self.path)
            self.saved = time.monotonic()

    def calibration(self) -> Calibration:
        from mercer.runtime.recovery.calibration import Calibration

        found = Calibration.of(
            self.replicates, self.unfitted, false_alarm=self.false_alarm, key=self.key
        )
        return replace(found, diverged=self.diverged)

    def _take_up(self, path: Path) -> None:
        from mercer.runtime.recovery.calibration import open_calibration

        with contextlib.suppress(MercerError):  # another file of that name is written over
            earlier = open_calibration(path)
            if earlier.key == self.key and max(earlier.numbers, default=0) <= self.numbers[-1]:
                self.replicates, self.unfitted = earlier.replicates(), dict(earlier.unfitted)
                self.diverged = earlier.diverged


def key_of(task: Task) -> str:
    """What a calibration depends on, but for the number of simulations."""
    digest = hashlib.sha256()
    digest.update(task.model_text.encode())
    digest.update(repr((dict(task.settings), task.entries, task.seed)).encode())
    for group in (task.bound.arrays, task.bound.labels, task.summaries):
        for name, value in sorted(group.items()):
            digest.update(f"{name} {getattr(value, 'shape', '')}".encode())
            digest.update(value.tobytes() if hasattr(value, "tobytes") else repr(value).encode())
    return digest.hexdigest()


# --- one replicate, here or in a process of its own ---


def study_of(task: Task) -> Study:
    """The compiled program of a task, with all that its replicates share."""
    from mercer.inference import model_of
    from mercer.runtime.recovery.replicate import Study, settings_for

    infer, text = task.model_text.split("\n", 1)
    model = model_of(text, "a calibration")
    plan = model.plan(task.bound.sizes, infer)
    program = model.program(plan)
    simulator = model.program(model.plan_of_simulation(task.bound.sizes))
    settings = dict(task.settings)
    kept = settings.pop("kept")
    if plan.method != "nuts":  # draws of a Normal law are independent
        settings = {"draws": kept}
    return Study(
        program=program,
        simulator=simulator,
        bound=task.bound,
        summaries=task.summaries,
        method=plan.method,
        settings=settings_for(program, plan.method, **settings),
        kept=kept,
        entries=task.entries,
        left_out={n for n, d in model.typed.definitions.items() if d.is_data},
    )


def outcome_of(study: Study, task: Task, number: int) -> Replicate | str:
    """Replicate `number`, or why the simulated data could not be fitted."""
    from mercer.runtime.recovery.replicate import replicate

    try:
        return replicate(study, seed_of(task.seed, number))
    except MercerError as error:
        return str(error)


def seed_of(seed: int, number: int) -> int:
    """A seed of its own for each simulation."""
    import numpy as np

    return int(np.random.SeedSequence((seed, number)).generate_state(1)[0])


Outcomes = Iterator[tuple[int, "Replicate | str"]]


@contextlib.contextmanager
def _finished(task: Task, numbers: list[int], processes: int) -> Iterator[Outcomes]:
    """The outcomes by number, in the order in which they are done."""
    count = min(processes, len(numbers))
    if count <= 1:
        study = study_of(task) if numbers else None
        yield ((n, outcome_of(study, task, n)) for n in numbers if study is not None)
        return
    earlier = set(multiprocessing.active_children())
    with _quiet_tracker():
        pool = ProcessPoolExecutor(
            count, multiprocessing.get_context("spawn"), initializer=_start, initargs=(task,)
        )
    try:
        waiting = {pool.submit(_one, n): n for n in numbers}
        yield ((waiting[done], _result(done)) for done in as_completed(waiting))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - earlier:
            child.terminate()


@contextlib.contextmanager
def _quiet_tracker() -> Iterator[None]:
    """Starts what clears up after processes so that it does it silently when Ctrl-C ends them."""
    before = os.environ.get("PYTHONWARNINGS")
    own = "ignore::UserWarning:multiprocessing.resource_tracker"
    os.environ["PYTHONWARNINGS"] = own if before is None else f"{before},{own}"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = before


def _result(done: Future[Replicate | str]) -> Replicate | str:
    try:
        return done.result()
    except BrokenProcessPool as error:
        problem = "a process of the calibration ended before its work was done"
        why = "the machine may be short of memory for so many at a time"
        mend = "ask for fewer: --processes 1"
        raise MercerError([Diagnostic("M608", problem, why=why, mend=mend)]) from error


_HERE: Callable[[int], Any]
"""In a process of a calibration: what makes a replicate."""


def _start(task: Task) -> None:
    """Readies a process: one thread, no Ctrl-C of its own, an end when its parent has gone."""
    global _HERE
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(_ONE_THREAD)  # before NumPy and JAX are imported
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    study = study_of(task)
    _HERE = partial(outcome_of, study, task)


def _end_with(parent: Any) -> None:
    """Ends this process once its parent has ended, however that came."""
    parent.join()
    os._exit(1)


def _one(number: int) -> Any:
    return _HERE(number)
