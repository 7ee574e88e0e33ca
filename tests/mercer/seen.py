"""A fit with every kind of outcome and of unknown, made once; and where texts of a figure meet."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text

import mercer
from mercer.runtime.posterior.fit import Fit

MODEL = """"What <every> figure is of & more."

index grade = ["bad", "fair", "good"]
index kind = ["zinc", "lead", "iron"]
data x[n]     : Real              "hours since the start"
data lon[n], lat[n] : Real
data z[n]     : Real^d
data group[n] : Label(g)
data site[m]  : Label(s)
data y[n]     : Real              "price in $ of $10"
data k[n]     : Count
data yes[n]   : Bool
data mark[n]  : Label(grade)
data warm[n], rough[n] : Real
data level[m] : Real

slope[g] ~ Normal(0, 1)
rate     ~ Normal(0, 1)
cuts : Ordered(2) ~ Normal(0, 3)
east     ~ Normal(0, 1)
north    ~ Normal(0, 1)
beta[d]  ~ Normal(0, 1)
effect[s] ~ Normal(0, scale ~ HalfNormal(1))
Omega : Correlation(kind) ~ LKJ(2)
noise    ~ HalfNormal(1)           "a scale"

y     ~ StudentT(4, slope[group] * x, noise)
k     ~ Poisson(exp(rate * x))
yes   ~ Bernoulli(logits = rate * x)
mark  ~ OrderedLogistic(rate * x, cuts)
warm  ~ StudentT(4, east * lon + north * lat, noise)
rough ~ StudentT(4, sum(z * beta, d), noise)
level ~ StudentT(4, effect[site], noise)
"""
SITES = 300

CURVE = """data t[n] : Real "decimal year"
data a[n], b[n] : Real
data place[n] : Label(p)
f ~ GP(RBF(lengthscale = 1, scale = 1))
own[p] : Real -> Real ~ GP(RBF(lengthscale = 2, scale = 0.5))
over : (a: Real, b: Real) -> Real ~ GP(RBF(lengthscale = 1, scale = 1))
data y[n] : Real
y ~ Normal(f(t) + own[place](t) + over(a, b), 0.3)
"""

OF_EVERYTHING = {
    *(f"data {name}" for name in ("y", "k", "yes", "mark", "warm", "rough", "level")),
    *(f"calibration {name}" for name in ("y", "k", "yes", "mark", "warm", "rough", "level")),
    *(f"predictive {name}" for name in ("y", "k", "yes", "mark", "warm", "rough", "level")),
    *(f"forest {name}" for name in ("slope", "cuts", "beta", "effect", "Omega")),
    *("posterior", "trace", "rank"),
}
OF_CURVES = {
    *("data y", "calibration y", "predictive y"),
    *("component f", "component own", "component over"),
}
"""The pictures of the two fits, by name."""


@lru_cache
def everything() -> Fit:
    """Draws of a normal law about the mode will do: it is not the posterior that is looked at."""
    random = np.random.default_rng(3)
    n = 45
    x = random.uniform(-1, 1, n)
    sites = [f"site {i}" for i in range(SITES)]
    rows = {
        "x": x,
        "lon": random.uniform(8, 12, n),
        "lat": random.uniform(54, 57, n),
        **{f"z.{i}": random.normal(size=n) for i in (1, 2, 3)},
        "group": np.array(["$a_b$", "x^2", "a group whose name is as long as a sentence"])[
            np.arange(n) % 3
        ],
        "y": x + 0.3 * random.normal(size=n),
        "k": random.poisson(np.exp(x)),
        "yes": random.uniform(size=n) < 0.5,
        "mark": np.array(["bad", "fair", "good"])[random.integers(0, 3, n)],
        "warm": random.normal(size=n),
        "rough": random.normal(size=n),
    }
    table = {"site": sites, "level": random.normal(size=SITES)}
    model = mercer.compile(MODEL, "every.mercer")
    return model.fit([rows, table], infer="map", chains=2, draws=25, seed=1)


@lru_cache
def curves() -> Fit:
    """Nothing is sampled: a joint Gaussian of known scales."""
    random = np.random.default_rng(5)
    n = 24
    data = {
        "t": np.sort(random.uniform(0, 6, n)),
        "a": random.uniform(-1, 1, n),
        "b": random.uniform(-1, 1, n),
        "place": np.array(["North", "South"])[np.arange(n) % 2],
        "y": random.normal(size=n),
    }
    return mercer.compile(CURVE, "curve.mercer").fit(data, chains=1, draws=8)


def texts(figure: Figure) -> list[Text]:
    """The texts that a reader sees."""
    figure.draw_without_rendering()
    found = [t for t in figure.findobj(Text) if isinstance(t, Text)]
    hidden: set[int] = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            room = 1e-9 * (high - low)
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not low - room <= tick.get_loc() <= high + room:
                    hidden |= {id(tick.label1), id(tick.label2)}
            if not axis.get_visible() or not axes.axison:
                hidden |= {id(t) for t in axis.findobj(Text)}
    return [t for t in found if t.get_visible() and t.get_text().strip() and id(t) not in hidden]


def meeting(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of texts that lie on one another by more than a pixel."""
    renderer: Any = figure.canvas.get_renderer()
    seen = [(t.get_text(), t.get_window_extent(renderer)) for t in texts(figure)]
    return [
        (first, second)
        for place, (first, one) in enumerate(seen)
        for second, other in seen[place + 1 :]
        if min(one.x1, other.x1) - max(one.x0, other.x0) > 1
        and min(one.y1, other.y1) - max(one.y0, other.y0) > 1
    ]


def outside(figure: Figure) -> list[str]:
    """Texts that the edge of the figure cuts."""
    renderer: Any = figure.canvas.get_renderer()
    width, height = figure.bbox.width, figure.bbox.height
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in texts(figure)]
    return [
        text
        for text, box in boxes
        if box.x0 < -1 or box.y0 < -1 or box.x1 > width + 1 or box.y1 > height + 1
    ]
