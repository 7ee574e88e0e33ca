"""Message passing on daily measurements: error of CP and Tucker forms, and time by rows.

    python benchmarks/tucker.py PATH            errors on the splits of PATH/beijing_pm25.npz
    python benchmarks/tucker.py PATH --days     the same with whole days left out
    python benchmarks/tucker.py PATH --rows     seconds of a sweep by the number of rows
    python benchmarks/tucker.py PATH --start    seconds to the first law, compilation included
    python benchmarks/tucker.py PATH --by SVI   the errors, by another method: SVI or NUTS

Outcomes of the test rows are missing in the data of a fit. Errors are of the laws themselves, not
of draws; beside them stand the mean of the same day's training rows, the log predictive density and
the share of test rows inside the central 95 % interval. `--level` adds a function of time to the
product; `--log` models log(y + 1.3), all y being above -1.11: errors and densities are of y all the
same. `--first N` takes the first N days alone. Beside whole days that are left out stand
the mean of all training rows and that of the nearest days. With `--out FILE` each split is a line
of FILE once it is done, and one that is there is not run again.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

import mercer
from mercer.runtime.methods.infer import arguments_of, settings_of
from mercer.runtime.methods.passing import Passing, best_of

MODEL = """
data a[n], b[n], t[n], y[n] : Real
u : Real -> Real^{rank} ~ GP({kernel}())
v : Real -> Real^{rank} ~ GP({kernel}())
w : Real -> Real^{rank} ~ GP(Matern12())
core : Real^{rank} * Real^{rank} * Real^{rank} -> Real ~ Multilinear(diagonal = {diagonal})
noise ~ HalfNormal(1)
y ~ Normal({level}core(u(a), v(b), w(t)), noise)
"""

INFER = {
    "Messages": "infer Messages(restarts = {restarts}, steps = {steps})\n",
    "SVI": "infer SVI(steps = {steps}, draws = 50)\n",
    "NUTS": "infer NUTS(chains = 2, warmup = {steps}, draws = {steps}, depth = 8)\n",
}
WHITENED = "".join(f"infer {name} by Whitened()\n" for name in "uvw")
"""Of the other methods: along the line, so that a density takes time linear in the rows; the core
is integrated out."""

SHIFT = 1.3
"""Added to the standardised outcome before its logarithm is taken."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("path", type=Path)
    parser.add_argument("--days", action="store_true")
    parser.add_argument("--rows", action="store_true")
    parser.add_argument("--start", action="store_true")
    parser.add_argument("--by", choices=list(INFER), default="Messages")
    parser.add_argument("--first", type=int)
    parser.add_argument("--level", action="store_true")
    parser.add_argument("--log", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--kernel", nargs="+", default=["Matern12", "Matern32"])
    parser.add_argument("--rank", nargs="+", type=int, default=[2, 3, 5])
    parser.add_argument("--form", nargs="+", default=["CP", "Tucker"])
    parser.add_argument("--restarts", type=int, default=8)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--splits", type=int, default=5)
    given = parser.parse_args()
    if given.rows:
        by_rows(given)
        return
    data, tests = read(given)
    if given.days:
        tests = whole_days(data["day"], given.splits)
    if given.start:
        tests, given.rank, given.form, given.kernel = tests[:1], [2], ["CP"], ["Matern12"]
        given.restarts, given.steps = 2, 40
    baselines = {"the same day": day_means}
    if given.days:
        baselines = {"all other days": overall, "the nearest days": nearest_days}
    for word, baseline in baselines.items():
        found = [errors(baseline(data, test), data["y"][test]) for test in tests]
        print(f"{word:24}", told(found), flush=True)
    for kernel in given.kernel:
        for form in given.form:
            for rank in given.rank:
                found = []
                for number, test in enumerate(tests):
                    name = f"{kernel} {form} {rank}{' and a level' if given.level else ''}"
                    name = f"log {name}" if given.log else name
                    name = name if given.by == "Messages" else f"{name} by {given.by}"
                    name = f"{name}, {given.first} days" if given.first else name
                    row = f"{'days ' if given.days else ''}{name}, split {number + 1}"
                    own = kept(given.out).get(row)
                    if own is None:
                        start = time.perf_counter()
                        law = fitted(data, test, given, kernel=kernel, form=form, rank=rank)
                        own = [*law.tolist(), time.perf_counter() - start]
                        keep(given.out, row, own)
                    found.append(np.array(own))
                    print(f"{row:44}", *(f"{x:8.4f}" for x in own), flush=True)
                print(f"{name:24}", told(found), f"{np.sum(found, 0)[-1]:7.1f} s", flush=True)


def read(given: Any) -> tuple[dict[str, Any], list[np.ndarray]]:
    """The data, and the test rows of each split."""
    data = dict(np.load(given.path / "beijing_pm25.npz"))
    tests = list(data.pop("test"))[: given.splits]
    if given.first:
        own = np.flatnonzero(data["day"] < np.unique(data["day"])[given.first])
        data = {name: column[own] for name, column in data.items()}
        tests = [np.searchsorted(own, test[np.isin(test, own)]) for test in tests]
    return data, tests


def text_of(given: Any, *, kernel: str, form: str, rank: int) -> str:
    text = MODEL.format(
        kernel=kernel,
        rank=rank,
        diagonal="true" if form == "CP" else "false",
        level="level(t) + " if given.level else "",
    )
    text += INFER[given.by].format(restarts=given.restarts, steps=given.steps)
    text += WHITENED if given.by != "Messages" else ""
    return f"{text}level : Real -> Real ~ GP(Matern12())\n" if given.level else text


def kept(path: Path | None) -> dict[str, list[float]]:
    """The rows that are done."""
    if path is None or not path.exists():
        return {}
    return dict(json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())


def keep(path: Path | None, row: str, values: list[float]) -> None:
    if path is not None:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([row, values]) + "\n")


def passing_of(text: str, data: dict[str, Any]) -> tuple[Passing, dict[str, Any]]:
    model = mercer.compile(text)
    bound = model.bind(data)
    program = model.program(model.plan(bound.sizes))
    return Passing(program, arguments_of(program, bound)), settings_of(program, "messages", {})


def fitted(
    data: dict[str, Any], test: np.ndarray, given: Any, *, kernel: str, form: str, rank: int
) -> np.ndarray:
    y = data["y"].copy()
    y[test] = np.nan
    log = np.log(y + SHIFT)
    middle, width = np.nanmean(log), np.nanstd(log)
    y = (log - middle) / width if given.log else y
    columns = {"a": data["temperature"], "b": data["pressure"], "t": data["time"], "y": y}
    text = text_of(given, kernel=kernel, form=form, rank=rank)
    if given.by != "Messages":
        return errors(law_by_draws(text, columns, test), data["y"][test])
    passing, settings = passing_of(text, columns)
    passing.compile()
    state = best_of(passing, seed=0, restarts=settings["restarts"], steps=settings["steps"])
    found = passing.functions.located(state.flat, state.laws, passing.data)
    mean, variance, noise = (np.asarray(x)[test] for x in found)
    law = mean, np.sqrt(variance + noise**2)
    if not given.log:
        return errors(law, data["y"][test])
    mean, sd = middle + width * law[0], width * law[1]
    own = errors((mean, sd), np.log(data["y"][test] + SHIFT))
    residual = data["y"][test] - (np.exp(mean + 0.5 * sd**2) - SHIFT)
    density = own[2] - np.mean(np.log(data["y"][test] + SHIFT))
    return np.array([np.sqrt(np.mean(residual**2)), np.mean(np.abs(residual)), density, own[3]])


def law_by_draws(
    text: str, columns: dict[str, Any], test: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the rows left out, over the draws of a fit."""
    fit = mercer.compile(text).fit(columns, seed=0, progress=False)
    print(*(f"  {sentence}" for sentence in fit.diagnostics), sep="\n", flush=True)
    found = fit.predict({k: v[test] for k, v in columns.items() if k != "y"})
    return found.means["y"], found.sds["y"]


def overall(data: dict[str, Any], test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean of all training rows."""
    y = np.delete(data["y"], test)
    return np.full(len(test), y.mean()), np.full(len(test), y.std(ddof=1))


def nearest_days(data: dict[str, Any], test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Between the means of the training days before and after, by how far away they are; the
    errors of training days told by their neighbours give the sd."""
    train = np.setdiff1d(np.arange(len(data["y"])), test)
    days, place = np.unique(data["day"][train], return_inverse=True)
    means = np.bincount(place, data["y"][train]) / np.bincount(place)
    odd = np.interp(days[1::2], days[::2], means[::2])
    left = data["y"][train] - np.interp(data["day"][train], days[1::2], odd)
    sd = left[np.isin(data["day"][train], days[1::2])].std()
    return np.interp(data["day"][test], days, means), np.full(len(test), sd)


def day_means(data: dict[str, Any], test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean of the same day's training rows, of all where there is none; one sd for all."""
    train = np.setdiff1d(np.arange(len(data["y"])), test)
    day, y = data["day"] - data["day"].min(), data["y"]
    count = np.bincount(day[train], minlength=day.max() + 1)
    total = np.bincount(day[train], y[train], minlength=day.max() + 1)
    mean = np.where(count > 0, total / np.maximum(count, 1), y[train].mean())
    sd = np.sqrt(np.sum((y[train] - mean[day[train]]) ** 2) / (len(train) - np.sum(count > 0)))
    return mean[day[test]], np.full(len(test), sd)


def whole_days(day: np.ndarray, count: int) -> list[np.ndarray]:
    """A fifth of the days at a time."""
    shuffled = np.random.default_rng(0).permutation(np.unique(day))
    return [np.flatnonzero(np.isin(day, part)) for part in np.array_split(shuffled, 5)[:count]]


def errors(law: tuple[np.ndarray, np.ndarray], y: np.ndarray) -> np.ndarray:
    mean, sd = law
    z = (y - mean) / sd
    density = np.mean(-0.5 * z**2 - np.log(sd)) - 0.5 * np.log(2 * np.pi)
    inside = np.mean(np.abs(z) < 1.96)
    return np.array([np.sqrt(np.mean((y - mean) ** 2)), np.mean(np.abs(y - mean)), density, inside])


def told(found: list[np.ndarray]) -> str:
    mean, sd = np.mean(found, axis=0), np.std(found, axis=0)
    return (
        f"RMSE {mean[0]:.4f} +- {sd[0]:.4f}  first {found[0][0]:.4f}  MAE {mean[1]:.4f}  "
        f"lpd {mean[2]:6.3f}  95 % {mean[3]:.3f}"
    )


def by_rows(given: Any) -> None:
    """Three modes of which the time has a twelfth as many points as rows."""
    for rows in (10_000, 100_000, 1_000_000):
        rng = np.random.default_rng(0)
        a, b = (rng.integers(0, 400, rows) / 40.0 for _ in range(2))
        t = rng.integers(0, rows // 12, rows) * (120.0 / rows)
        y = np.sin(a) * np.cos(b) * np.sin(3 * t) + 0.1 * rng.standard_normal(rows)
        text = text_of(given, kernel="Matern12", form="CP", rank=2)
        passing, _ = passing_of(text, {"a": a, "b": b, "t": t, "y": y})
        passing.compile()
        state = passing.sweep(passing.begin(0, 0))
        start = time.perf_counter()
        for _ in range(5):
            state = passing.sweep(state)
        jax.block_until_ready(state.laws)
        seconds = (time.perf_counter() - start) / 5
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # so far: rows only grow
        print(f"{rows:>9,} rows  {seconds:8.3f} s a sweep  {most:8.0f} MB at most", flush=True)


if __name__ == "__main__":
    main()
