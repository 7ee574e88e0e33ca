"""A fit turned into pictures of whether to believe it: calibration, and data it would make."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from mercer.dsl.spaces import Bool, Label
from mercer.runtime.pictures import style
from mercer.runtime.pictures.study import Study
from mercer.runtime.posterior.pit import foretold_ranks

_SIMULATIONS = 1000
"""Uniform samples behind a band that holds 95 % of them as a whole."""
_BINS = 10


def draw_calibration(study: Study, outcome: str) -> Figure:
    """Where each observation falls among what the others foretell for it: uniform if calibrated.

    Left the histogram, right how far the distribution function strays from that of uniform ranks,
    in a band that holds 95 % of such curves as a whole.
    """
    ranks = foretold_ranks(
        study.fit,
        outcome,
        study.observed(outcome),
        cells=study.cells(outcome),
        censored=study.censored(outcome),
    )
    ranks = np.sort(ranks)
    title = f"Calibration of {outcome}: each row foretold by the others"
    made = style.figure(7.5, 3.4, title + study.of_how_many(outcome))
    left, right = made.subplots(1, 2)
    count = len(ranks)
    bins = int(np.clip(count // 8, 4, 20))
    low, high = (_binomial(count, 1 / bins, level) for level in (0.025, 0.975))
    left.axhspan(low, high, color=style.BLUE, alpha=0.18, linewidth=0, label="95 % if calibrated")
    left.hist(ranks, np.linspace(0, 1, bins + 1), color=style.GREY, alpha=0.75, rwidth=0.92)
    left.set(xlabel="probability below the observation (PIT)", ylabel="rows", xlim=(0, 1))
    levels = np.linspace(0, 1, 101)
    strays = np.searchsorted(ranks, levels, side="right") / count - levels
    width = _width_of_band(count, levels)
    right.fill_between(levels, -width, width, color=style.BLUE, alpha=0.18, linewidth=0)
    right.axhline(0, color=style.GREY, linewidth=0.8)
    right.plot(levels, strays, color=style.INK, linewidth=1.3)
    right.set(xlabel="level", ylabel="share of rows below it, less the level", xlim=(0, 1))
    style.legend_below(made, left)
    return made


def draw_reliability(study: Study, outcome: str) -> Figure:
    """How often something happened among the rows for which it had about that probability."""
    seen, shown = study.seen_at(outcome), study.at_data
    space = study.space(outcome)
    if isinstance(space, Label):
        chance = shown.probabilities[outcome].reshape(-1, len(study.labels(space.index)))
        value = seen.reshape(-1)
        keep = np.isfinite(value)
        happened = value[keep, None] == np.arange(chance.shape[1])
        chance = chance[keep]
    else:
        keep = np.isfinite(seen)
        chance, happened = shown.means[outcome][keep], seen[keep] == 1
    chance, happened = chance.ravel(), happened.ravel()
    order = np.argsort(chance, kind="stable")
    groups = [g for g in np.array_split(order, min(_BINS, max(len(order) // 8, 1))) if len(g)]
    x = np.array([chance[g].mean() for g in groups])
    y = np.array([happened[g].mean() for g in groups])
    sizes = np.array([len(g) for g in groups])
    what = "of each label" if isinstance(space, Label) else "of yes"
    made = style.figure(5.4, 5.0, f"Calibration of {outcome}: probability {what}")
    axes = made.subplots()
    ends = np.array([[_binomial(n, p, q) / n for p, n in zip(x, sizes)] for q in (0.025, 0.975)])
    axes.vlines(x, *ends, color=style.BLUE, alpha=0.3, linewidth=7, label="95 % if calibrated")
    axes.plot([0, 1], [0, 1], color=style.GREY, linewidth=0.9, linestyle="--")
    axes.plot(x, y, "o", color=style.INK, markersize=5, label="rows of about equal probability")
    axes.set(xlabel="probability", ylabel="how often it happened", xlim=(-0.03, 1.03))
    axes.set_ylim(-0.03, 1.03)
    style.legend_below(made, axes)
    return made


def draw_predictive(study: Study, outcome: str) -> Figure:
    """How the data are distributed, and how data that the fitted model makes would be."""
    values = study.observed(outcome).ravel()[study.cells(outcome)]
    made_up = study.made_up(outcome)
    title = f"{outcome}: the data among data that the model makes"
    made = style.figure(7.5, 3.8, title + study.of_how_many(outcome))
    axes = made.subplots()
    edges, ticks = _bins(study, outcome, values, made_up)
    # What lies beyond the last edges counts in the last bins.
    inside = np.clip(made_up, edges[0], np.nextafter(edges[-1], -np.inf))
    counts = np.stack([np.histogram(row, edges)[0] for row in inside])
    low, middle, high = np.quantile(counts, (0.025, 0.5, 0.975), axis=0)
    centres, widths = (edges[:-1] + edges[1:]) / 2, np.diff(edges)
    gap = 0.86 if study.is_discrete(outcome) else 1.0
    axes.bar(
        centres, np.histogram(values, edges)[0], widths * gap, color=style.FAINT,
        edgecolor=style.GREY, linewidth=0.5, label="data",
    )  # fmt: skip
    axes.vlines(centres, low, high, color=style.BLUE, linewidth=2, label="95 % of data made")
    axes.plot(centres, middle, "o", color=style.BLUE, markersize=4, label="their median")
    axes.set(xlabel=study.titled(outcome), ylabel="rows")
    if ticks:
        names = [style.short(name, 14) for name in ticks]
        turned = sum(len(name) for name in names) > 60
        axes.set_xticks(centres, names, rotation=90 if turned else 0)
    style.legend_below(made, axes)
    return made


def draw_survival(study: Study, outcome: str) -> Figure:
    """The share that lasts longer than each time, of the data (Kaplan & Meier 1958) and of data
    that the fitted model makes."""
    from scipy.stats import CensoredData, ecdf

    cells, censored = study.cells(outcome), study.censored(outcome)
    assert censored is not None
    times, is_above = (part.ravel()[cells] for part in (study.observed(outcome), censored[1]))
    share = ecdf(CensoredData(times[~is_above], right=times[is_above])).sf
    made_up = np.sort(study.made_up(outcome), axis=1)
    grid = np.linspace(min(0.0, float(times.min())), float(times.max()), 200)
    lasting = np.stack([1 - np.searchsorted(d, grid, side="right") / d.size for d in made_up])
    low, high = np.quantile(lasting, (0.025, 0.975), axis=0)
    title = f"{outcome}: share that lasts longer"
    made = style.figure(7.5, 3.8, title + study.of_how_many(outcome))
    axes = made.subplots()
    axes.fill_between(grid, low, high, color=style.BLUE, alpha=0.18, label="95 % of data made")
    axes.plot(grid, lasting.mean(axis=0), color=style.BLUE, label="mean")
    axes.stairs(
        [1.0, *share.probabilities], [grid[0], *share.quantiles, grid[-1]], baseline=None,
        color=style.INK, linewidth=1.4, label="data (Kaplan-Meier)",
    )  # fmt: skip
    ends = times[is_above]
    axes.plot(ends, share.evaluate(ends), "|", color=style.INK, label="seen no longer")
    axes.set(xlabel=study.titled(outcome), ylabel="share", ylim=(-0.03, 1.03))
    style.legend_below(made, axes)
    return made


def is_survival(study: Study, outcome: str) -> bool:
    """Whether some true values lie above those recorded, and none below."""
    censored = study.censored(outcome)
    return censored is not None and bool(censored[1].any()) and not censored[0].any()


def is_seen(study: Study, outcome: str) -> bool:
    """Whether every value is the true one."""
    censored = study.censored(outcome)
    return censored is None or not any(part.any() for part in censored)


def _bins(
    study: Study, outcome: str, values: np.ndarray, made_up: np.ndarray
) -> tuple[np.ndarray, list[str]]:
    """Edges of the bins; a bin for each label or small count, with the names of labels."""
    space = study.space(outcome)
    if isinstance(space, Bool):
        return np.arange(-0.5, 2), ["no", "yes"]
    if isinstance(space, Label):
        names = study.labels(space.index)
        return np.arange(-0.5, len(names)), names
    low, high = float(values.min()), float(values.max())
    ends = np.quantile(made_up, (0.005, 0.995))
    low, high = min(low, float(ends[0])), max(high, float(ends[1]))
    if high <= low:
        low, high = low - 0.5, high + 0.5
    if study.is_discrete(outcome):
        step = max(int(np.ceil((high - low + 1) / 40)), 1)
        return np.arange(np.floor(low) - 0.5, high + 0.5 + step, step), []
    return np.linspace(low, high, int(np.clip(np.sqrt(len(values)) * 2, 8, 40)) + 1), []


def _binomial(count: int, probability: float, level: float) -> float:
    from scipy.stats import binom

    return float(binom.ppf(level, count, min(max(probability, 0.0), 1.0)))


def _width_of_band(count: int, levels: np.ndarray) -> np.ndarray:
    """Half the width at each level of a band that holds 95 % of uniform samples of `count` whole.

    The band has the shape of the binomial standard deviation, as in Säilynoja et al. (2022).
    """
    random = np.random.default_rng(0)
    draws = np.sort(random.uniform(size=(_SIMULATIONS, count)), axis=1)
    shape = np.sqrt(np.maximum(levels * (1 - levels), 1e-12) / count)
    found = np.stack([np.searchsorted(row, levels, side="right") for row in draws]) / count
    inner = (levels > 0.5 / count) & (levels < 1 - 0.5 / count)
    strays = np.max(np.abs(found - levels)[:, inner] / shape[inner], axis=1)
    return float(np.quantile(strays, 0.95)) * shape
