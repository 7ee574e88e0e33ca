"""A fit with functions inside others turned into pictures of how they were learned."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from mercer.runtime.pictures import style
from mercer.runtime.pictures.study import Study

_PRIOR = "prior "


def grams(study: Study) -> list[str]:
    """The learned Gram matrices."""
    names = map(str, study.posterior.data_vars)
    return [n for n in names if n.startswith("gram(") and _PRIOR + n in study.posterior]


def draw_grams(study: Study) -> Figure:
    """The Gram matrix of each layer beside that of its kernel, in the order of the principal
    component of what was learned, so that rows that became alike stand together."""
    names = grams(study)
    made = style.figure(7.0, 3.2 * len(names), "Gram matrices: of the kernel, and learned")
    axes = np.atleast_2d(made.subplots(len(names), 2, squeeze=False))
    for name, (left, right) in zip(names, axes, strict=True):
        learned, prior = (
            np.asarray(study.posterior[n].mean(("chain", "draw"))) for n in (name, _PRIOR + name)
        )
        order = np.argsort(np.linalg.eigh(learned - learned.mean())[1][:, -1])
        most = max(float(np.max(np.abs(m))) for m in (learned, prior))
        for axis, matrix, word in ((left, prior, "of the kernel"), (right, learned, "learned")):
            image = axis.imshow(matrix[np.ix_(order, order)], vmin=-most, vmax=most, cmap="RdBu_r")
            axis.set(title=f"{name[5:-1]}: {word}", xticks=[], yticks=[])
            axis.set_ylabel("inducing points")
        made.colorbar(image, ax=(left, right), shrink=0.8)
    return made


def traces(study: Study) -> list[str]:
    """What was kept over the iterations, the bound first."""
    stats = study.fit.idata["sample_stats"]
    return [str(n) for n in stats.data_vars if str(n).endswith(" over iterations")]


def draw_traces(study: Study) -> Figure:
    """The bound and its parts over the iterations, one below another."""
    stats, names = study.fit.idata["sample_stats"], traces(study)
    made = style.figure(7.0, 1.4 + 1.1 * len(names), "The bound and its parts, as it was raised")
    axes = np.atleast_1d(made.subplots(len(names), 1, sharex=True))
    for name, axis in zip(names, axes, strict=True):
        values = np.asarray(stats[name])
        axis.plot(np.asarray(stats["iteration"]), values, color=style.BLUE, linewidth=0.8)
        # The first steps, far below all others, would flatten the rest.
        axis.set_ylim(*_reach(values[len(values) // 20 :]))
        axis.set_title(name.removesuffix(" over iterations"), fontsize="small", loc="left")
    axes[-1].set_xlabel("iteration")
    return made


def _reach(values: np.ndarray) -> tuple[float, float]:
    low, high = float(np.min(values)), float(np.max(values))
    edge = 0.05 * (high - low) or 1.0
    return low - edge, high + edge
